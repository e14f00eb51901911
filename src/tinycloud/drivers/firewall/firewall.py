"""The firewall of one host, through ``nft`` there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.onhost import run_script, vxlan
from tinycloud.drivers.onhost.hooks import FOLDER
from tinycloud.drivers.records import Flow, RuleCount
from tinycloud.errors import Missing, Refused
from tinycloud.model.firewall import INET, Overlay, Part
from tinycloud.model.names import OVERLAY
from tinycloud.templates.firewall import make_part_mark, read_base

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.drivers.shell import Runner

MODULES: Final = ("whole_file", "nft_text", "vxlan", "neighbours", "links", "hooks")
"""What the script on the host is made of, beside itself."""
ASK_MARKS: Final = ["nft", "list", "set", *INET.split(), "parts"]
QUESTIONS: Final = (ASK_MARKS, vxlan.ASK_LINKS, vxlan.ASK_ENTRIES)
_MARK: Final = re.compile(r'"([0-9a-f]{12})"')
_LIMIT: Final = 120.0


class Firewall:
    """What the stacks have in it. Each change is one transaction: all of it is in force, or nothing is changed."""

    def __init__(self, shell: Runner) -> None:
        self._shell = shell

    def find_marks(self) -> frozenset[str]:
        """The marks of the parts that are in force; none where the tables are not there, or nobody lets us look."""
        try:
            done = self._shell.run(ASK_MARKS, root=True, check=False)
        except Missing:
            return frozenset()
        return frozenset(_MARK.findall(done.text)) if done.status == 0 else frozenset()

    def find_overlays(self) -> frozenset[Overlay]:
        """The devices that join networks of ours to other hosts, as they are there."""
        links = self._ask(vxlan.ASK_LINKS)
        found = vxlan.parse(links, self._ask(vxlan.ASK_ENTRIES)).values() if links else ()
        return frozenset(Overlay(*it) for it in found if it.device.startswith(OVERLAY))

    def _ask(self, argv: list[str]) -> list[dict[str, Any]]:
        done = self._shell.run(argv, check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout or b"[]") if done.status == 0 else []
        return [it for it in found if it]

    def find(self, stack: str) -> Part | None:
        """The part that the host keeps for a stack, in force or not."""
        done = self._shell.run(["cat", f"{FOLDER}/parts/{stack}.json"], root=True, check=False)
        return Part.from_dict(json.loads(done.stdout)["part"]) if done.status == 0 else None

    def apply(self, stack: str, part: Part) -> None:
        """Have this part of the stack in force, and kept for a restart of the host; an empty one as :meth:`remove`."""
        data = {"part": {} if part.is_empty else part.as_dict(), "base": read_base()}
        done = self._run({"do": "apply", "stack": stack, "mark": make_part_mark(stack, part)}, data)
        if added := done.get("added"):
            run_script(self._shell, "announce", {"addresses": added}, root=True, limit=_LIMIT)
        mine = [(address, link) for address, link in done.get("absent", ()) if (address, link) in part.addresses]
        for address, link in mine:
            message = f"there is no interface {link} for the floating address {address.partition('/')[0]}"
            raise Refused(message, code="no-interface", hint="ip -br link shows those that are there")
        for device, why in done.get("unjoined", ()):
            if device in {it.device for it in part.overlays}:
                raise Refused(f"device {device}, which joins a network to other hosts, cannot be made", code="no-overlay", facts=[why])

    def remove(self, stack: str) -> None:
        """Take the stack's part away; with the last one go the tables, the files and the hooks."""
        self.apply(stack, Part())

    def restore(self) -> bool:
        """Bring back what is kept and not in force; False when there is nothing to do."""
        return bool(self._run({"do": "restore"})["restored"])

    def read_flows(self, addresses: Sequence[str], floating: Sequence[str]) -> list[Flow]:
        args = {"do": "read", "addresses": list(addresses), "floating": list(floating)}
        rows = run_script(self._shell, "flows", args, root=True, limit=_LIMIT)["flows"]
        return [Flow(family, entry) for family, entry in rows]

    def write_flows(self, flows: Sequence[Flow]) -> None:
        if flows:
            data = [[it.family, it.entry] for it in flows]
            run_script(self._shell, "flows", {"do": "write"}, data=data, root=True, limit=_LIMIT)

    def drop_flows(self, addresses: Sequence[str]) -> None:
        run_script(self._shell, "flows", {"do": "drop", "addresses": list(addresses)}, root=True, limit=_LIMIT)

    def count(self, stack: str) -> list[RuleCount]:
        """What each rule of a stack met that counts and has a comment; empty where they are not in force."""
        try:
            done = self._shell.run(["nft", "-j", "-t", "list", "table", *INET.split()], root=True, check=False, limit=_LIMIT)
        except Missing:
            return []
        return find_counts(stack, json.loads(done.stdout)) if done.status == 0 else []

    def _run(self, args: dict[str, Any], data: Any = None) -> dict[str, Any]:
        done = run_script(self._shell, "firewall", args, data=data, also=MODULES, root=True, limit=_LIMIT)
        if done.get("trouble"):
            raise Refused("nft does not take the access rules", code="firewall", facts=done["trouble"], hint="tinycloud doctor")
        return done


def find_counts(stack: str, listed: dict[str, Any]) -> list[RuleCount]:
    """The counters in what ``nft -j list table`` says."""
    rules = (item["rule"] for item in listed["nftables"] if "rule" in item)
    ours = ((rule, rule["comment"]) for rule in rules if rule["chain"].startswith(f"{stack}.") and rule.get("comment"))
    counted = ((rule, comment, part["counter"]) for rule, comment in ours for part in rule["expr"] if "counter" in part)
    return [RuleCount(rule["chain"], comment, it["packets"], it["bytes"]) for rule, comment, it in counted]
