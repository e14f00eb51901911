"""What the Python API hands out: a stack, and a machine in it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lxml import etree

from tinycloud.drivers.guest.inside import make_door
from tinycloud.engine.probe import get_address, list_addresses, read_serial
from tinycloud.engine.refs import make_wake_hint
from tinycloud.errors import Failed, NotFound, Refused, Unreachable, make_did_you_mean
from tinycloud.model.machine import Lease, MachineSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tinycloud.drivers.guest.ssh import Door
    from tinycloud.drivers.host import Host
    from tinycloud.drivers.shell import Done
    from tinycloud.engine.answer import Answer
    from tinycloud.engine.disk_changes import DiskRow
    from tinycloud.engine.nic_rows import NicRow
    from tinycloud.engine.parts import Parts
    from tinycloud.model import world
    from tinycloud.model.disk import Attached


class Machine:
    """One machine, as it was when it was looked up; :meth:`refresh` looks again."""

    def __init__(self, parts: Parts, facts: world.Machine) -> None:
        self._parts = parts
        self.facts = facts

    def __repr__(self) -> str:
        return f"<Machine {self.ref} {self.state}>"

    @property
    def ref(self) -> str:
        """``shop/web-1``."""
        return self.facts.ref

    @property
    def name(self) -> str:
        """``web-1``."""
        return self.facts.mark.machine

    @property
    def spec(self) -> MachineSpec:
        """What was declared for it, as it was realised: sizes in bytes, times in seconds."""
        return self.facts.mark.spec

    @property
    def host(self) -> str:
        """Name of the host that it is on."""
        return self.facts.host

    @property
    def state(self) -> str:
        """ready, running (up, but not seen ready), paused, stopped, crashed, stopping; unreachable when its host does not answer."""
        is_ready = self.facts.state == "running" and self.facts.live.reaches(self.spec.level)
        return "ready" if is_ready else self.facts.state

    @property
    def waits_for_space(self) -> bool:
        """True for a machine that was paused because a write found no space; it goes on when there is some."""
        return self.facts.state == "paused" and self.facts.reason == "no space"

    @property
    def _host(self) -> Host:
        return self._parts.get_host(self.facts.host)

    @property
    def _is_lost(self) -> Unreachable | None:
        """The error for a machine whose host does not answer."""
        if self.facts.state != "unreachable":
            return None
        silence = self._host.silence
        hint = f"tinycloud host show {self.host}"
        return Unreachable(f"{self.ref} is on {self.host}, which does not answer", facts=[silence.reason] if silence else [], hint=hint)

    def refresh(self) -> Machine:
        """Look at the host again; raises NotFound when the machine is gone."""
        from tinycloud.engine.inventory import read_machine

        record = self._host.domains.find(self.facts.mark.domain)
        facts = read_machine(self.host, record) if record else None
        if facts is None:
            raise NotFound(f"machine {self.ref} is gone")
        self.facts = facts
        return self

    # reaching it

    @property
    def address(self) -> str:
        """Its first IPv4 address: reserved, else seen. Raises NotFound when nobody knows one."""
        address = get_address(self._host, self.facts.mark)
        if address is None:
            raise NotFound(f"no address of {self.ref} is known", hint=f"tinycloud why {self.ref}")
        return address

    def addresses(self) -> list[Lease]:
        """Every address anybody knows, with its source: reservation, lease, agent, arp."""
        reserved = [Lease(nic.mac, nic.address, "reservation") for nic in self.spec.nics if nic.address]
        return [*reserved, *(list_addresses(self._host, self.facts.mark) if self._is_lost is None else ())]

    def door(self, user: str = "") -> Door:
        """How to get in by ssh: address, user, key, known host key.

        Raises Refused for a machine that is not running, and for one whose access rules shut ssh.
        """
        from tinycloud.engine.why_reach import check_ssh

        if self.facts.state != "running":
            raise self._is_lost or Refused(f"{self.ref} is {self.facts.state}", hint=make_wake_hint(self.facts))
        check_ssh(self._host, self.facts)
        return self._make_door(user)

    def _make_door(self, user: str = "") -> Door:
        return make_door(self._parts.keys, self.facts.mark, self.address, self._host.shell.jump, user)

    def exec(self, command: Sequence[str], *, user: str = "", input: bytes | None = None, limit: float = 300.0) -> Done:
        """Run a command inside and wait; its words arrive as they are. Status 255 is ssh's own."""
        return self.door(user).run(self._parts.shell, command, input=input, limit=limit)

    def ssh(self, command: str, *, user: str = "", limit: float = 300.0) -> str:
        """The output of a shell command run inside. Raises Failed with its last words when it does not end with 0."""
        done = self.exec(["sh", "-c", command], user=user, limit=limit)
        if done.status != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-8:]
            raise Failed(f"{command!r} on {self.ref} ended with status {done.status}", facts=said)
        return done.text

    def copy(self, sources: Sequence[str], target: str, *, recursive: bool = False) -> None:
        """scp: ``REMOTE:/path`` names a path in the machine, anything else one here."""
        self._parts.shell.run(self.door().make_scp_argv([*sources, target], recursive=recursive), limit=3600)

    # power: what a button does depends on how the machine is now, not on how it was looked up

    def start(self) -> None:
        """Power on; one that runs stays as it is."""
        self._power.start(self._host, self._look())

    def stop(self, *, force: bool = False, limit: float | None = None) -> None:
        """Clean shutdown, waiting for it; the power is cut after ``limit`` seconds (default: the group's stop_timeout)."""
        self._power.stop(self._host, self._look(), force=force, limit=limit)

    def reboot(self) -> None:
        """Ask the guest to restart; returns at once."""
        self._power.reboot(self._host, self._look())

    def reset(self) -> None:
        """The reset button: no clean shutdown."""
        self._power.reset(self._host, self._look())

    def pause(self) -> None:
        """Freeze it; its memory stays."""
        self._power.pause(self._host, self._look())

    def unpause(self) -> None:
        """Let a paused machine go on."""
        self._power.resume(self._host, self._look())

    def _look(self) -> world.Machine:
        """How it is now. Raises Unreachable at once where its host did not answer a moment ago."""
        if (lost := self._is_lost) is not None:
            raise lost
        return self.refresh().facts

    @property
    def _power(self) -> Any:
        from tinycloud.engine import power

        return power

    def nics(self) -> list[NicRow]:
        """Every NIC, with its address, its limits, and what it has moved since the machine was started."""
        from tinycloud.engine.nic_rows import list_nics

        return list_nics(self._parts, self.refresh().facts)

    # disks: what is changed here stays until the file says something new about it

    def disks(self) -> list[DiskRow]:
        """Every disk and drive, with what it is and how it is plugged in."""
        from tinycloud.engine.disk_changes import list_disks

        return list_disks(self._parts, self.refresh().facts)

    def attach(self, what: str, **how: Any) -> Attached:
        """Plug in a volume (``scratch``, ``shop/db-1/data``) or an image, at once and for every start.

        ``how``: name, bus, readonly, shared (raw volumes), copy (of an image: a fresh disk on it), serial, cache.
        """
        from tinycloud.engine.attach import How, attach
        from tinycloud.model.disk import DiskTuning

        tuning = DiskTuning(serial=how.pop("serial", ""), cache=how.pop("cache", ""))
        return attach(self._parts, self.facts, what, How(tuning=tuning, **how))

    def detach(self, disk: str) -> Attached:
        """Take out a disk that was plugged in by hand, once the guest has let go of it. What is on it stays."""
        from tinycloud.engine.attach import detach

        return detach(self._parts, self.facts, disk)

    def grow_disk(self, disk: str, size: int | str) -> DiskRow:
        """Make a disk larger; a running guest sees it at once."""
        from tinycloud.engine.disk_changes import grow, parse_size

        return grow(self._parts, self.facts, disk, parse_size(size))

    def limit_disk(self, disk: str, **limits: int | str) -> None:
        """The most a disk may do in a second from now on: iops, read_iops, write_iops, bytes, read_bytes, write_bytes; none lifts all."""
        from tinycloud.engine.disk_changes import limit, make_limits

        limit(self._parts, self.facts, disk, make_limits(limits))

    def insert_cd(self, what: str, *, force: bool = False) -> world.Image:
        """Put an image, or an ISO file, into the CD drive; a machine without one gets one."""
        from tinycloud.engine.cd import insert

        return insert(self._parts, self.facts, what, force=force)

    def eject_cd(self, *, force: bool = False) -> None:
        """Take out what lies in the CD drive; ``force`` although the guest holds it."""
        from tinycloud.engine.cd import eject

        eject(self._parts, self.facts, force=force)

    # looking

    def xml(self, *, inactive: bool = False) -> str:
        """libvirt's XML; ``inactive``: as at the next start."""
        return self._host.domains.get_xml(self.facts.mark.domain, inactive=inactive)

    def command_line(self) -> str:
        """The QEMU command line that runs it."""
        return self._host.domains.make_command_line(self.facts.mark.domain)

    def console_argv(self) -> list[str]:
        """The command that opens its serial line."""
        if not self.spec.serial:
            raise Refused(f"{self.ref} has no serial line", hint="serial: true in its group")
        return self._host.make_virsh_argv("console", "--safe", self.facts.mark.domain)

    def serial(self, lines: int = 40) -> list[str]:
        """The last lines it said on its serial line, without control sequences."""
        return read_serial(self._host, self.facts.mark.domain, lines)

    @contextmanager
    def screen(self) -> Iterator[str]:
        """``host:port`` at which its screen is seen from here, as long as the context lasts. Raises Refused, Unreachable as :meth:`vnc`."""
        address, _, port = self.vnc().rpartition(":")
        with self._host.shell.forward(address, int(port)) as place:
            yield place

    def vnc(self) -> str:
        """``host:port`` of its screen, on its host. Raises Refused when it has none or is off."""
        graphics = etree.fromstring(self.xml()).find("devices/graphics[@type='vnc']")
        if graphics is None:
            raise Refused(f"{self.ref} has no screen", hint="graphics: vnc in its group")
        port = graphics.get("port", "-1")
        if port == "-1":
            raise Refused(f"{self.ref} is {self.facts.state}", hint=f"tinycloud start {self.ref}")
        return f"{graphics.get('listen', '127.0.0.1')}:{port}"

    def why(self) -> Answer:
        """Everything known about why it is as it is."""
        from tinycloud.engine.why import explain, explain_lost

        if self._is_lost is not None:
            return explain_lost(self._parts, self._host, self.facts)
        return explain(self._parts, self._host, self.refresh().facts)


class Stack:
    """A stack that exists: its machines by name, its outputs."""

    def __init__(self, parts: Parts, name: str, machines: Sequence[Machine]) -> None:
        self._parts = parts
        self.name = name
        self._machines = {machine.name: machine for machine in machines}

    def __repr__(self) -> str:
        return f"<Stack {self.name}: {len(self._machines)} machines>"

    def __getitem__(self, machine: str) -> Machine:
        """``shop["web-1"]``; raises NotFound with the nearest name."""
        if machine not in self._machines:
            raise NotFound(f'stack {self.name} has no machine "{machine}"', hint=make_did_you_mean(machine, self._machines))
        return self._machines[machine]

    def __iter__(self) -> Iterator[Machine]:
        return iter(self._machines.values())

    def __len__(self) -> int:
        return len(self._machines)

    def group(self, name: str) -> list[Machine]:
        """The machines of one group, in order."""
        return [machine for machine in self if machine.facts.mark.group == name]

    def outputs(self, *, secrets: bool = False) -> dict[str, Any]:
        """The stack's outputs; a secret's value only with ``secrets``."""
        record = self._parts.store.find_stack(self.name)
        if record is None:
            return {}
        known = {**record.given, **record.secrets} if secrets else {}
        return {name: _reveal(value, known) for name, value in record.outputs.items()}

    def secrets(self) -> dict[str, str]:
        """The generated secrets, by input."""
        record = self._parts.store.find_stack(self.name)
        return dict(record.secrets) if record else {}


def _reveal(value: Any, secrets: dict[str, Any]) -> Any:
    """An output from how it is stored: see ``_hide`` of :mod:`tinycloud.engine.deploy`."""
    if isinstance(value, dict) and set(value) == {"secret"}:
        return secrets.get(value["secret"], f"<secret {value['secret']}>")
    if isinstance(value, dict) and set(value) == {"text"}:
        return "".join(str(_reveal(part, secrets)) for part in value["text"])
    if isinstance(value, dict):
        return {key: _reveal(item, secrets) for key, item in value.items()}
    return [_reveal(item, secrets) for item in value] if isinstance(value, list) else value


def make_ssh_config(machines: Sequence[Machine]) -> str:
    """Lines for ssh_config(5): every machine that has an address, under its name and with its stack's."""
    blocks = []
    seen: dict[str, int] = {}
    for machine in machines:
        seen[machine.name] = seen.get(machine.name, 0) + 1
    for machine in machines:
        if machine.facts.state != "running" or get_address(machine._host, machine.facts.mark) is None:
            continue
        aliases = [machine.facts.mark.domain, f"{machine.name}.{machine.facts.mark.stack}"]
        aliases += [machine.name] if seen[machine.name] == 1 else []
        lines = [f"Host {' '.join(aliases)}", *(f"  {key} {_quote(key, value)}" for key, value in machine._make_door().options.items())]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + ("\n" if blocks else "")


def _quote(key: str, value: str) -> str:
    """As ssh_config(5) reads it back: quotes around what has spaces, but for a command, which is the rest of the line as it is."""
    return f'"{value}"' if " " in value and key != "ProxyCommand" else value


def make_ansible_inventory(machines: Sequence[Machine]) -> dict[str, Any]:
    """Ansible's dynamic inventory: a group for each stack and each group of machines, connection facts for each machine.

    https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html
    """
    groups: dict[str, dict[str, Any]] = {}
    hostvars: dict[str, Any] = {}
    for machine in machines:
        mark = machine.facts.mark
        if machine.facts.state != "running" or get_address(machine._host, mark) is None:
            continue
        door = machine._make_door()
        options = {k: v for k, v in door.options.items() if k not in ("HostName", "User", "IdentityFile")}
        hostvars[mark.domain] = {
            "ansible_host": door.address,
            "ansible_user": door.user,
            "ansible_ssh_private_key_file": str(door.identity),
            "ansible_ssh_common_args": " ".join(
                ["-F", "/dev/null", *(w for k, v in options.items() for w in ("-o", shlex.quote(f"{k}={v}")))]
            ),
            "tinycloud_stack": mark.stack,
            "tinycloud_group": mark.group,
            "tinycloud_index": mark.index,
        }
        for name in (_ansible_name(mark.stack), _ansible_name(f"{mark.stack}_{mark.group}")):
            groups.setdefault(name, {"hosts": []})["hosts"].append(mark.domain)
    return {**groups, "_meta": {"hostvars": hostvars}}


def _ansible_name(name: str) -> str:
    return re.sub(r"\W", "_", name)


def run_interactively(argv: Sequence[str]) -> int:
    """Run a program on this terminal and return its status. Raises Missing when it is not installed."""
    try:
        return subprocess.call(list(argv), env={**os.environ})
    except FileNotFoundError as err:
        from tinycloud.drivers.shell import make_missing_tool

        raise make_missing_tool(argv[0]) from err
