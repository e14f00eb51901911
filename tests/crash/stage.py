"""A cloud on a fake host, all of it files: built once, copied for every fault, photographed to be compared."""

from __future__ import annotations

import base64
import json
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lxml import etree

from tests.builders import SHA, fake_parts, put_image, put_pools
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost
from tinycloud.engine.inventory import read_world
from tinycloud.model.names import POOL, find_pool_card, find_volume_name
from tinycloud.model.plan import Act
from tinycloud.plan import plan_down
from tinycloud.templates.objects import render_pool
from tinycloud.templates.xml import LIVE_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.crash.scenarios import Scenario
    from tinycloud.model.plan import Step
    from tinycloud.store.store import StepRecord

Photo = dict[str, Any]
_LITTLE = 64 * 1024**2
GIVEN = {"password": "given-secret"}


class Stage:
    """One cloud in ``folder``. Stack files lie elsewhere, so that copies read the same file."""

    def __init__(self, scenario: Scenario, folder: Path, files: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self.files = files

    def build(self) -> None:
        """Everything up to the moment of the change."""
        self.files.mkdir(parents=True, exist_ok=True)
        (self.files / "before.yaml").write_text(self.scenario.before)
        (self.files / "stack.yaml").write_text(self.scenario.text)
        if self.scenario.is_far:
            FakeHost(self.folder / "host-other", "other").volumes.ensure_pool(render_pool(POOL, "/pool"))
        with self.cloud() as cloud:
            host = cloud.parts.first_host
            if self.scenario.has_image:
                put_image(host, "nano", SHA)
            if self.scenario.has_pools:
                put_pools(host)
            if self.scenario.before:
                cloud.up(self.files / "before.yaml", GIVEN)
            self.scenario.prepare(host)
            assert cloud.parts.store.list_stacks() is not None  # the database is there
            assert cloud.parts.keys.public

    def copy(self, folder: Path) -> Stage:
        """The same cloud once more."""
        shutil.copytree(self.folder, folder)
        return Stage(self.scenario, folder, self.files)

    @contextmanager
    def cloud(self) -> Iterator[Cloud]:
        with Cloud(parts=fake_parts(self.folder, hosts=self._hosts)) as cloud:
            yield cloud

    @property
    def _hosts(self) -> dict[str, FakeHost] | None:
        """A small host and a large one, where machines go; None for the usual one."""
        if not self.scenario.is_far:
            return None
        return {"local": FakeHost(self.folder / "host", memory=_LITTLE), "other": FakeHost(self.folder / "host-other", "other")}

    # the change, and what can be done about it

    def act(self) -> None:
        with self.cloud() as cloud:
            if self.scenario.is_down:
                cloud.down("shop", volumes=self.scenario.volumes)
            else:
                cloud.up(self.files / "stack.yaml", self._given, replace=self.scenario.replace)

    @property
    def _given(self) -> dict[str, str]:
        return GIVEN if "inputs:" in self.scenario.text else {}

    def list_steps(self) -> list[Step]:
        """The steps of the change."""
        with self.cloud() as cloud:
            if self.scenario.is_down:
                plan = plan_down("shop", read_world(cloud.parts.hosts.values()), volumes=self.scenario.volumes)
            else:
                plan = cloud.plan(self.files / "stack.yaml", self._given, replace=self.scenario.replace)
        return list(plan.steps)

    def resume(self) -> None:
        with self.cloud() as cloud:
            cloud.resume("shop")

    def rollback(self) -> None:
        with self.cloud() as cloud:
            cloud.rollback("shop")

    def down(self) -> list[str]:
        """Take the stack away; returns the volumes that were said to stay."""
        with self.cloud() as cloud:
            plan = cloud.down("shop")
        return [change.name for change in plan.changes if change.act is Act.KEEP]

    def list_unfinished(self) -> list[str]:
        with self.cloud() as cloud:
            return ["an execution is unfinished"] if cloud.has_unfinished("shop") else []

    def list_begun(self) -> list[StepRecord]:
        """The journal of the last execution, newest line first."""
        with self.cloud() as cloud:
            store = cloud.parts.store
            (execution,) = store.list_executions("shop", limit=1)
            return store.list_steps(execution.id)[::-1]

    # what is there

    def photograph(self) -> Photo:
        """Everything the host holds, but for when and why a machine was started or stopped."""
        photo = photograph(self.folder / "host")
        if self.scenario.is_far:
            for kind, look in _LOOKS.items():
                photo[kind] |= {f"{path.stem}@other": look(_read(path)) for path in self._list("host-other", kind)}
        return photo

    def _list(self, host: str, kind: str) -> list[Path]:
        return sorted((self.folder / host / kind).glob("*.json"))

    def list_ours(self) -> list[str]:
        """Everything on the host that is the stack's."""
        photo = self.photograph()
        volumes = [name.removesuffix("@other") for kind, found in photo.items() if kind.startswith("volumes") for name in found]
        return [
            *photo["domains"],
            *photo["firewall"],
            *photo["networks"],
            *photo["sheets"],
            *photo["secrets"],
            *filter(find_volume_name, volumes),
            *_list_claims(photo),
        ]

    def list_known_hosts(self) -> list[str]:
        """Machines whose host keys this cloud keeps a note of."""
        return sorted(path.name for path in (self.folder / "keys/known").glob("*"))


def photograph(host: Path) -> Photo:
    """Everything that the fake host in that folder holds."""
    others = [path.name for path in host.glob("volumes-*")]
    looks = {**_LOOKS, **dict.fromkeys(sorted(others), _look_at_volume)}
    return {kind: {path.stem: look(_read(path)) for path in sorted((host / kind).glob("*.json"))} for kind, look in looks.items()}


def _read(path: Path) -> Photo:
    document: Photo = json.loads(path.read_text())
    return document


def _look_at_domain(it: Photo) -> Photo:
    return {
        "uuid": it["uuid"],
        "state": it["state"],
        "autostart": it["autostart"],
        "xml": _canonical(it["xml"]),
        "live": it["live"] and _canonical(_by_mac(it["live"])),
        "level": it["live"] and _read_level(it["live"]),
    }


def _read_level(xml: str) -> str:
    note = etree.fromstring(xml).find(f"metadata/{{{LIVE_NAMESPACE}}}live")
    return "" if note is None else str(note.get("level"))


def _by_mac(xml: str) -> str:
    """NICs of what runs in one order: one that was unplugged and put back is the last one then."""
    root = etree.fromstring(xml)
    devices = root.find("devices")
    nics = sorted(root.findall("devices/interface"), key=lambda nic: [mac.get("address") for mac in nic.findall("mac")])
    if devices is not None and nics:
        devices.extend(nics)
    return etree.tostring(root, encoding="unicode")


def _canonical(xml: str) -> str:
    """The same bytes for the same content: without blanks and live notes, metadata and reservations in one order."""
    root = etree.fromstring(xml, etree.XMLParser(remove_blank_text=True))
    for note in root.findall(f"metadata/{{{LIVE_NAMESPACE}}}live"):
        note.getparent().remove(note)  # type: ignore[union-attr]
    for lease in root.findall("ip/dhcp/host/lease"):
        lease.getparent().remove(lease)  # type: ignore[union-attr]
    for parent in (*root.findall("metadata"), *root.findall("ip/dhcp")):
        parent[:] = sorted(parent, key=_tag_and_values)
    return etree.tostring(root, method="c14n2").decode()


def _tag_and_values(element: Any) -> list[str]:
    return [str(element.tag), *map(str, element.values())]


def _look_at_network(it: Photo) -> Photo:
    return {"uuid": it["uuid"], "xml": _canonical(it["xml"]), "live": it["live"] and _canonical(it["live"])}


def _look_at_volume(it: Photo) -> Photo:
    """A volume; in the card of a pool it does not count whether a disk was ever used."""
    card = _read_card(it)
    if "units" not in card:
        return it
    units = [{key: value for key, value in unit.items() if key != "used"} for unit in card["units"]]
    return {**it, "allocation": 0, "body": base64.b64encode(json.dumps({**card, "units": units}).encode()).decode()}


def _read_card(it: Photo) -> Photo:
    """The JSON in a volume, empty for one that holds something else."""
    try:
        card = json.loads(base64.b64decode(it["body"]).rstrip(b"\0"))
    except ValueError:
        return {}
    return card if isinstance(card, dict) else {}


_LOOKS: dict[str, Callable[[Photo], Photo]] = {
    "domains": _look_at_domain,
    "firewall": lambda it: {"cut": False, **it},
    "networks": _look_at_network,
    "pools": lambda it: it,
    "secrets": lambda it: it,
    "sheets": lambda it: it,
    "volumes": _look_at_volume,
}


def _list_claims(photo: Photo) -> list[str]:
    """The volumes that disks of a target are."""
    cards = [_read_card(it) for name, it in photo["volumes"].items() if find_pool_card(name)]
    return [unit["claim"] for card in cards for unit in card.get("units", ()) if unit.get("claim")]


def without_levels(photo: Photo) -> Photo:
    """The photo without how far machines were seen to come: one that was stopped and started again has to be seen anew.

    And without whether access rules were in force: those that somebody flushed are not taken away once more.
    """
    domains = {name: {**it, "level": None} for name, it in photo["domains"].items()}
    return {**photo, "domains": domains, "firewall": {name: {**it, "in_force": None} for name, it in photo["firewall"].items()}}


def without_sizes(photo: Photo) -> Photo:
    """The photo without the sizes of disks: one that was grown stays so, for shrinking it would lose data."""
    kinds = [kind for kind in photo if kind.startswith("volumes")]
    return {**photo, **{kind: {name: {**it, "capacity": None} for name, it in photo[kind].items()} for kind in kinds}}


def without_edits(photo: Photo) -> Photo:
    """The photo without what is on disks: what was edited into one that a machine had stays there, as what it wrote itself would.

    And without images that came to another host: they stay too.
    """
    found = {name: it for name, it in photo["volumes"].items() if not (name.startswith("image-") and name.endswith("@other"))}
    volumes = {name: {**it, "body": None, "allocation": None} if it["format"] == "qcow2" else it for name, it in found.items()}
    return {**photo, "volumes": volumes}


def without_generations(photo: Photo) -> Photo:
    """The photo without the counters of changes: a change that was begun twice counts twice."""
    return {**photo, "domains": {name: _uncounted(it) for name, it in photo["domains"].items()}}


def _uncounted(it: Photo) -> Photo:
    return {**it, **{key: it[key] and re.sub(r' generation="\d+"', "", it[key]) for key in ("xml", "live")}}


def compare(found: Photo, expected: Photo) -> list[str]:
    """What differs, a line each; empty for equal photos."""
    out = []
    for kind, things in expected.items():
        for name in sorted({*things, *found[kind]}):
            old, new = things.get(name), found[kind].get(name)
            if old is None or new is None:
                out.append(f"{kind} {name} is {'left over' if old is None else 'missing'}")
            else:
                out += [f"{kind} {name}: {key} {_show(new[key])} != {_show(old[key])}" for key in old if old[key] != new[key]]
    return out


def _show(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else f"…{len(text)} letters…"
