"""The hosts of the cloud: added after a look at them, changed, drained, removed when nothing of ours is on them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tinycloud.engine import seen
from tinycloud.engine.ask import ask_all
from tinycloud.engine.host_checks import Look, mend, say_fix
from tinycloud.engine.host_list import add_hosts, change_host, replace_host
from tinycloud.engine.inventory import read_world
from tinycloud.errors import InUse, NotFound, Refused, TinycloudError, WrongInput, make_did_you_mean
from tinycloud.model.host import LOCAL, HostEntry
from tinycloud.model.names import NAME_RULE, check_name, find_volume_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tinycloud.drivers.records import HostIdentity
    from tinycloud.engine.finding import Finding
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_URI: Final = re.compile(r"[a-z]+\+(?:ssh|libssh2?|tls|tcp)://[^/\s?#]+/\w*(?:\?\S*)?")
_CHANGEABLE: Final = frozenset({"address", "labels", "memory_ratio", "cpu_ratio", "fence", "uri", "target"})


@dataclass(frozen=True, slots=True)
class Added:
    """A host that is one now, and what was found about it."""

    entry: HostEntry
    findings: tuple[Finding, ...]


class Hosts:
    """The hosts of ``parts``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # looking

    def read_identity(self, name: str) -> HostIdentity | None:
        """Who a host is; None when it does not answer."""
        try:
            return self._parts.get_host(name).read_identity()
        except TinycloudError:
            return None

    # changing

    def add(self, entry: HostEntry, *, fix: bool = False) -> Added:
        """Look at a server and make it a host. Raises WrongInput, Unreachable, Refused (``unfit-host``) with all that was found."""
        entry = check_entry(entry)
        self._must_be_new(entry)
        host = self._parts.make_host(entry)
        look = Look(host, dict(self._parts.hosts), entry.address)
        try:
            findings = look.examine()
            if fix and any(it.fix and it.state != "ok" for it in findings):
                findings = mend(look, findings)
        finally:
            host.close()
        if any(it.state == "problem" for it in findings):
            raise _make_unfit(host, findings, fixed=fix)
        entry = replace(entry, address=look.address)
        add_hosts(self._parts, entry, *self._list_unwritten(look.client))
        return Added(entry, tuple(findings))

    def _must_be_new(self, entry: HostEntry) -> None:
        known = self._parts.hosts
        if entry.name in known:
            hint = f"--name OTHER, or: tinycloud host set {entry.name}"
            raise Refused(f'there is a host "{entry.name}" already', code="exists", hint=hint)
        for host in known.values():
            if host.entry.target == entry.target:
                raise Refused(f'{entry.target} is the host "{host.name}" already', code="exists", hint=f"tinycloud host show {host.name}")

    def _list_unwritten(self, client: str) -> list[HostEntry]:
        """What is a host without being written down, as it is the only one: this machine. The new one sees its address."""
        if LOCAL not in self._parts.hosts:
            return []
        local = self._parts.hosts[LOCAL].entry
        return [replace(local, address=local.address or client)]

    def set(self, name: str, **changes: Any) -> HostEntry:
        """Change what is said of a host: address, labels (a mapping; None removes one), memory_ratio, cpu_ratio, fence, uri, target."""
        if unknown := set(changes) - _CHANGEABLE:
            raise WrongInput(f"a host has no {', '.join(sorted(unknown))}", facts=[f"known: {', '.join(sorted(_CHANGEABLE))}"])
        labels = changes.pop("labels", {})
        self._parts.get_host(name)
        return change_host(
            self._parts, name, lambda entry: check_entry(replace(entry, labels=_merge_labels(dict(entry.labels), labels), **changes))
        )

    def drain(self, name: str, *, off: bool = False) -> HostEntry:
        """Place nothing new on a host, or, with ``off``, place machines there again. Drained twice, it is drained since the first time."""
        self._parts.get_host(name)
        return change_host(self._parts, name, lambda entry: replace(entry, drained=0.0 if off else entry.drained or time.time()))

    def remove(self, name: str, *, force: bool = False) -> HostEntry:
        """Forget a host that nothing of ours is on; what images it has stay there.

        ``force``: it is gone for good and switched off; what was on it is lost. Raises InUse, Refused, Unreachable.
        """
        host = self._parts.get_host(name)
        if len(self._parts.hosts) == 1:
            raise Refused(f'"{name}" is the only host', code="in-use", hint="add another one first: tinycloud host add root@SERVER")
        [(_, found)] = ask_all([host], _read) if not force else [(host, None)]
        if isinstance(found, TinycloudError):
            raise found
        if found is not None:
            _must_be_empty(name, found)
        entry = host.entry
        seen.forget(host)
        replace_host(self._parts, name, None)
        return entry


def _read(host: Any) -> world.World:
    return read_world([host])


def _must_be_empty(name: str, found: world.World) -> None:
    facts = []
    for what, refs in (
        ("machines", [machine.ref for machine in found.machines]),
        ("networks", [network.ref for network in found.networks]),
        ("volumes", [volume.name for volume in found.volumes if not _is_note(volume.name)]),
    ):
        if refs:
            more = f" and {len(refs) - 5} more" if len(refs) > 5 else ""
            facts.append(f"{what}: {', '.join(refs[:5])}{more}")
    if facts:
        hint = f"tinycloud host drain {name} --evacuate moves machines away; a host that is gone for good: --force"
        raise InUse(f'the host "{name}" is not empty', facts=facts, hint=hint)


def _is_note(volume: str) -> bool:
    """What is kept of a stack for ``recover``, on one of its hosts; its next up writes it anew."""
    name = find_volume_name(volume)
    return name is not None and not name.machine


def _make_unfit(host: Any, findings: list[Finding], *, fixed: bool) -> Refused:
    problems = [it for it in findings if it.state == "problem"]
    facts = [f"{it.topic:<10} {it.text}" for it in findings if it.state != "ok"]
    mends = [say_fix(host, it) for it in problems if it.fix]
    hint = "" if not mends else f"--fix, or: {mends[0]}" if not fixed else mends[0]
    return Refused(f'"{host.name}" cannot be a host of this cloud as it is', code="unfit-host", facts=facts, hint=hint)


def make_name(target: str) -> str:
    """``root@server2.example.org`` → ``server2``."""
    word = target.rpartition("@")[2].partition(".")[0] if not target.rpartition("@")[2][:1].isdigit() else target.rpartition("@")[2]
    word = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:31].strip("-")
    return word if word[:1].isalpha() else f"h-{word}"[:31].strip("-")


def check_entry(entry: HostEntry) -> HostEntry:
    """The entry itself; raises WrongInput for what cannot be a host's."""
    try:
        check_name(entry.name)
    except ValueError as err:
        raise WrongInput(f'the name of a host is "{entry.name}"; expected {NAME_RULE}', code="wrong-name", hint="--name NAME") from err
    if entry.name == LOCAL and entry.target:
        what = f'"{LOCAL}" is the machine that tinycloud runs on, not {entry.target}'
        raise WrongInput(what, code="wrong-name", hint=f"--name OTHER; this machine: tinycloud host add {LOCAL}")
    if entry.name != LOCAL and not re.fullmatch(r"[^\s@-][^\s@]*(@[^\s@-][^\s@]*)?", entry.target):
        raise WrongInput(f'"{entry.target}" is no place that ssh could go to', code="wrong-value", hint="tinycloud host add root@server2")
    _check_uri(entry)
    for what, ratio in (("memory", entry.memory_ratio), ("cpu", entry.cpu_ratio)):
        if not 0.1 <= ratio <= 1000:
            raise WrongInput(f"the {what} ratio of {entry.name} is {ratio:g}; expected 0.1 to 1000", code="wrong-value")
    for key, value in entry.labels:
        if not _LABEL.fullmatch(key) or not _LABEL.fullmatch(value) or key == "host":
            expected = "small letters, digits, dots, dashes and underscores on both sides; the key host is taken"
            raise WrongInput(f'the label "{key}={value}" of {entry.name} is none', facts=[f"expected: {expected}"], code="wrong-value")
    return entry


def _check_uri(entry: HostEntry) -> None:
    """libvirt on another machine, where it is not the one that ssh leads to by itself."""
    if entry.uri and not entry.target:
        what = f'libvirt of "{entry.name}", this machine, is told by TINYCLOUD_URI, not by --uri'
        raise WrongInput(what, code="wrong-value", hint=f"TINYCLOUD_URI={entry.uri}")
    if entry.uri and not _URI.fullmatch(entry.uri):
        found = f'the address of libvirt on {entry.name} is "{entry.uri}"; expected one that leads to another machine'
        raise WrongInput(found, code="wrong-value", hint=f"--uri qemu+tls://{entry.target.rpartition('@')[2]}/system")


def parse_labels(words: Iterable[str]) -> dict[str, str | None]:
    """``rack=b``; ``rack=`` removes the label. Raises WrongInput."""
    out: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise WrongInput(f'--label "{word}": expected KEY=VALUE', code="wrong-value", hint="--label rack=b")
        out[key] = value or None
    return out


def _merge_labels(labels: dict[str, str], changes: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    for key, value in changes.items():
        if value is None and key not in labels:
            raise NotFound(f'there is no label "{key}"', hint=make_did_you_mean(key, labels))
    return tuple(sorted((key, value) for key, value in {**labels, **changes}.items() if value is not None))
