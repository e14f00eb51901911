"""The Python API. What is not here does not exist: the command line and HTTP only show it.

::

    from tinycloud import Cloud

    with Cloud() as cloud:
        shop = cloud.up("shop.yaml")
        print(shop["web-1"].ssh("uptime"))
        cloud.down("shop")
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tinycloud.engine.events import Listener, ignore
from tinycloud.engine.inventory import read_machines, read_world
from tinycloud.engine.read_outside import read_outside
from tinycloud.engine.refs import find_machines, get_machine
from tinycloud.engine.wish import Wish
from tinycloud.errors import Failed, NotFound, Refused, make_did_you_mean
from tinycloud.nouns.database import Database
from tinycloud.nouns.hosts import Hosts
from tinycloud.nouns.images import Images
from tinycloud.nouns.networks import Networks
from tinycloud.nouns.outside import Outside
from tinycloud.nouns.policies import Policies
from tinycloud.nouns.pools import Pools
from tinycloud.nouns.space import Space
from tinycloud.nouns.volumes import Volumes
from tinycloud.views import Machine, Stack, make_ansible_inventory, make_ssh_config
from tinycloud.wiring import Settings, make_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tinycloud.engine.answer import Answer, Reached
    from tinycloud.engine.declarations import Declarations
    from tinycloud.engine.deploy import Deployer
    from tinycloud.engine.doctor import Finding
    from tinycloud.engine.migrate import Result
    from tinycloud.engine.parts import Parts
    from tinycloud.engine.rebalance import Done
    from tinycloud.engine.recover import Recovered
    from tinycloud.model.balance import Balance, Move
    from tinycloud.model.plan import Plan
    from tinycloud.model.world import World
    from tinycloud.plan.placing.capacity import Capacity
    from tinycloud.source import Loaded
    from tinycloud.store.store import EventRecord, ExecutionRecord


class Cloud:
    """One cloud: its hosts, its memory. Use it as a context manager, or call :meth:`close`.

    ``uri`` is libvirt's (default ``qemu:///system``), ``state`` the folder of database and keys (default: root's
    /var/lib/tinycloud, else XDG). ``on_run`` hears every child process before it starts.
    """

    def __init__(
        self,
        *,
        uri: str | None = None,
        state: str | Path | None = None,
        on_run: Callable[[str], None] | None = None,
        parts: Parts | None = None,
    ) -> None:
        settings = Settings.from_environment(uri, Path(state) if state else None)
        self.parts = parts or make_parts(settings, on_run)
        self.hosts = Hosts(self.parts)
        self.images = Images(self.parts)
        self.volumes = Volumes(self.parts)
        self.pools = Pools(self.parts)
        self.networks = Networks(self.parts)
        self.policies = Policies(self.parts)
        self.outside = Outside(self.parts)
        self.space = Space(self.parts)
        self.database = Database(self.parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to hosts and database."""
        self.parts.close()

    @cached_property
    def _deployer(self) -> Deployer:
        from tinycloud.engine.deploy import Deployer  # 50 ms of import: the planner and pydantic

        return Deployer(self.parts)

    @cached_property
    def _declarations(self) -> Declarations:
        from tinycloud.engine.declarations import Declarations

        return Declarations(self.parts)

    # stacks

    def load(self, file: str | Path, inputs: Mapping[str, Any] = {}) -> Loaded:
        """Read and check a stack file; raises WrongFile with file, line and column."""
        return self._declarations.load(Path(file), inputs)[0]

    def plan(
        self,
        file: str | Path,
        inputs: Mapping[str, Any] = {},
        *,
        replace: Iterable[str] = (),
        saved: World | None = None,
        spare: str = "",
    ) -> Plan:
        """What :meth:`up` would do. With a ``saved`` world nothing is asked of any host."""
        loaded, vault = self._declarations.load(Path(file), inputs)
        return self._deployer.plan(loaded, vault, frozenset(replace), saved, spare)

    def up(
        self,
        file: str | Path,
        inputs: Mapping[str, Any] = {},
        *,
        replace: Iterable[str] = (),
        keep_failed: bool = False,
        wait: float = 0.0,
        spare: str = "",
        agree: Callable[[Plan], bool] = lambda _plan: True,
        listener: Listener = ignore,
    ) -> Stack:
        """Make a stack file real, and return the stack.

        ``replace`` names what may be made anew (machines, groups, networks; ``*`` for all). After a failure everything is undone,
        unless ``keep_failed``. ``wait``: seconds to wait for somebody else's work on the stack. ``agree`` is shown the plan.
        ``spare`` ("0", "1", "auto"): how many hosts may die without their machines losing their room; empty: as the cloud keeps it.
        Raises WrongFile, NeedsReplace, NoHost, Clash, Unfinished, Busy with nothing changed; Failed otherwise, also when
        all is done but for machines of a dead host that fit nowhere (``not-healed``).
        """
        loaded, vault = self._declarations.load(Path(file), inputs)
        wish = Wish(frozenset(replace), keep_failed=keep_failed, wait=wait, spare=spare, agree=agree, listener=listener)
        plan = self._settle_after(self._deployer.up(loaded, vault, wish))
        if plan.stranded:
            raise _make_stranded(plan)
        return self.stack(loaded.stack.stack)

    def _settle_after(self, plan: Plan) -> Plan:
        """What took or freed space lets machines go on that waited for it."""
        if plan.steps:
            self.space.settle()
        return plan

    def run(
        self,
        image: str,
        name: str = "",
        *,
        listener: Listener = ignore,
        keep_failed: bool = False,
        **group: Any,
    ) -> Machine:
        """One machine without a file: a stack ``name`` of its own with one network. ``group`` are keys of a group: memory="1 GiB"."""
        name = name or self._free_name(image)
        if any(machine.facts.mark.domain == f"{name}-vm-1" for machine in self.machines()):
            raise Refused(f'a machine "{name}" exists', code="clash", hint=f"tinycloud down {name}, or give another --name")
        loaded, vault = self._declarations.load_text(make_run_text(image, name, group), {})
        self._deployer.up(loaded, vault, Wish(keep_failed=keep_failed, listener=listener))
        return self.stack(name)["vm-1"]

    def _free_name(self, image: str) -> str:
        base = "".join(c if c.isalnum() else "-" for c in image.lower()).strip("-").replace("--", "-")[:24]
        base = base if base[:1].isalpha() else f"m-{base}"
        taken = set(self.list_stacks())
        return next(name for n in range(1, 10_000) if (name := f"{base}-{n}") not in taken)

    def down(
        self,
        stack: str | Path,
        *,
        volumes: bool = False,
        wait: float = 0.0,
        agree: Callable[[Plan], bool] = lambda _plan: True,
        listener: Listener = ignore,
    ) -> Plan:
        """Take a stack (its name, or its file) away. Volumes marked keep stay unless ``volumes``."""
        wish = Wish(volumes=volumes, wait=wait, agree=agree, listener=listener)
        return self._settle_after(self._deployer.down(self._name_of(stack), wish))

    def _name_of(self, stack: str | Path) -> str:
        """A stack's name; a file is opened only for the name in it, so that one with mistakes can still be taken down."""
        text = str(stack)
        if "/" not in text and not text.endswith((".yaml", ".yml")):
            return text
        from tinycloud.source.load import parse_yaml, read_text

        value = parse_yaml(read_text(Path(stack)), text).value
        if not isinstance(value, dict) or not isinstance(value.get("stack"), str):
            raise NotFound(f"{text} names no stack")
        return str(value["stack"])

    def has_unfinished(self, stack: str) -> bool:
        """True when an execution of the stack was begun and neither ended nor undone."""
        from tinycloud.store.peek import has_unfinished

        return has_unfinished(self.parts.database, stack)

    def resume(self, stack: str, *, listener: Listener = ignore, keep_failed: bool = False, wait: float = 0.0) -> Plan:
        """Finish the unfinished execution of a stack. ``wait``: seconds to wait for whoever is at work on it, or was."""
        return self._deployer.resume(stack, Wish(keep_failed=keep_failed, wait=wait, listener=listener))

    def rollback(self, stack: str, *, listener: Listener = ignore, wait: float = 0.0) -> None:
        """Undo what the unfinished execution of a stack did."""
        self._deployer.rollback(stack, Wish(wait=wait, listener=listener))

    def list_stacks(self) -> list[str]:
        """Names of all stacks of which anything exists on a host."""
        return list(read_world(self.parts.hosts.values()).stacks)

    def stack(self, name: str) -> Stack:
        """A stack by name; raises NotFound when nothing of it exists."""
        found = read_machines(self.parts.hosts.values())
        machines = [Machine(self.parts, facts) for facts in found.stack_machines(name)]
        if not machines and name not in self.list_stacks():
            known = sorted({m.mark.stack for m in found.machines})
            raise NotFound(f'there is no stack "{name}"', hint=make_did_you_mean(name, known) or "tinycloud ls")
        return Stack(self.parts, name, machines)

    def executions(self, stack: str = "") -> list[ExecutionRecord]:
        """What was done, newest first."""
        return self.parts.store.list_executions(stack)

    def events(self, stack: str, machine: str = "") -> list[EventRecord]:
        """What happened to a stack's machines, newest first."""
        return self.parts.store.list_events(stack, machine)

    # machines

    def machines(self, ref: str = "") -> list[Machine]:
        """All machines, or those that ``ref`` means: a stack, a group (``shop/web``), one machine."""
        found = read_machines(self.parts.hosts.values())
        return [Machine(self.parts, facts) for facts in (find_machines(found, ref) if ref else found.machines)]

    def machine(self, ref: str) -> Machine:
        """The one machine that ``ref`` means; raises NotFound."""
        return Machine(self.parts, get_machine(read_machines(self.parts.hosts.values()), ref))

    def migrate(
        self,
        ref: str,
        host: str = "",
        *,
        max_downtime: float = 0.0,
        bandwidth: int = 0,
        tls: bool = False,
        strict: bool = False,
        wait: float = 0.0,
        agree: Callable[[Plan], bool] = lambda _plan: True,
        listener: Listener = ignore,
    ) -> Result:
        """Move a machine to another host, without one to that which it leaves least full: as it runs, or, when it is off, its disks.

        ``max_downtime`` in seconds, ``bandwidth`` in bytes a second; 0 leaves them to QEMU. ``strict``: it is let go only when its old host
        has ended it. Raises Refused (cannot-move, with all that is in the way on either side), NoHost, Busy, Unfinished: nothing changed.
        After a failure it is on exactly one host, and the other is clean; where nobody can tell which, :meth:`resume` does later.
        """
        from tinycloud.engine.migrate import Mover, MoveWish

        wish = MoveWish(bandwidth, max_downtime, tls=tls, strict=strict, wait=wait, agree=agree, listener=listener)
        return Mover(self.parts).move(ref, host, wish)

    def xml(self, ref: str) -> str:
        """Libvirt's XML of a machine, of a network (``shop/front``) or of a machine's disk (``shop/web-1/data``); raises NotFound."""
        from tinycloud.engine.show_xml import get_xml

        return get_xml(self.parts.hosts, ref)

    def disk_use(self, machines: Iterable[Machine]) -> dict[str, int]:
        """Bytes that the files of each running machine take, by ref; left out are those with a disk that is no file."""
        from tinycloud.engine.disk_use import read_disk_use

        return read_disk_use(self.parts.hosts, [machine.facts for machine in machines])

    def why(self, ref: str) -> Answer:
        """Why a machine is as it is."""
        return self.machine(ref).why()

    def reach(self, source: str, target: str, port: str) -> Reached:
        """May one reach the other, and why? Each is a machine, ``host`` or an address; ``port`` is ``tcp/5432``, ``udp/53`` or ``icmp``."""
        from tinycloud.engine.why_reach import explain_reach

        return explain_reach(self.parts.hosts.values(), source, target, port)

    def ssh_config(self, ref: str = "") -> str:
        """Lines for ssh_config(5)."""
        return make_ssh_config(self.machines(ref))

    def inventory(self, ref: str = "") -> dict[str, Any]:
        """Ansible's dynamic inventory."""
        return make_ansible_inventory(self.machines(ref))

    # room

    def capacity(
        self,
        target: str | Path = "",
        group: str = "",
        inputs: Mapping[str, Any] = {},
        *,
        memory: str = "",
        cpus: int = 1,
        disk: str = "",
        image: str = "",
        on: Mapping[str, str] = {},
        saved: World | None = None,
    ) -> Capacity:
        """How many more machines fit: such as those of ``shop/web``, of a ``group`` of a stack file, or of a size. With a ``saved``
        world nothing is asked of any host. Raises NotFound, WrongFile, WrongInput.
        """
        from tinycloud.engine.capacity import find_declared, find_kind, make_kind, parse_size
        from tinycloud.plan.placing.capacity import count_capacity

        world = saved or self.world()
        if group:
            kind = find_declared(world, self.load(target, inputs), group)
        elif target:
            kind = find_kind(world, str(target))
        else:
            kind = make_kind(world, parse_size(memory, "memory"), cpus, parse_size(disk, "disk"), image, on)
        return count_capacity(world, kind)

    def balance(
        self, *, most: int = 0, price: float = 1.0, keep: Iterable[str] = (), sample: float | None = None, saved: World | None = None
    ) -> Balance:
        """Moves that make the hosts more evenly full, and mend broken rules; nothing is moved.

        ``most`` machines (0: as many as pay off); ``price``: how dear a move is, 0 for free; ``keep``: machines that stay. Load is what a
        watch keeps, and is measured for 5 s where it keeps nothing; with ``sample`` for so many seconds; not at all with a ``saved`` world.
        """
        from tinycloud.engine.rebalance import read_for_balance
        from tinycloud.plan.balance import plan_balance

        world = saved or read_for_balance(self.parts, sample)
        kept = [machine.ref for ref in keep for machine in find_machines(world, ref)]
        return plan_balance(world, most, price, kept)

    def pack(self, *, spare: str = "", saved: World | None = None) -> Balance:
        """Moves that empty as many hosts as can be; ``spare`` as of :meth:`up`, for the hosts that are left."""
        from tinycloud.engine.rebalance import read_with_loads
        from tinycloud.plan.balance import plan_pack
        from tinycloud.plan.place import keeps_spare

        world = saved or read_with_loads(self.parts)
        return plan_pack(world, spare=keeps_spare(world, spare or self.parts.spare))

    def evacuate(self, host: str, *, saved: World | None = None) -> Balance:
        """Moves that leave nothing on a host; nothing is moved. Raises NotFound."""
        from tinycloud.engine.rebalance import read_with_loads
        from tinycloud.plan.balance import plan_drain

        return plan_drain(saved or read_with_loads(self.parts), host)

    def carry_out(
        self, found: Balance, *, wait: float = 0.0, tell: Callable[[Move], None] = lambda _move: None, listener: Listener = ignore
    ) -> Done:
        """Make the moves of a proposal, one after the other. The first that fails ends it; none is half made. Raises Failed, Refused."""
        from tinycloud.engine.rebalance import carry_out

        return carry_out(self.parts, found, tell, listener, wait)

    # the whole

    def world(self) -> World:
        """Everything that exists, read now, with what a watch keeps of what machines use."""
        from tinycloud.engine.meter import find_loads

        hosts = self.parts.hosts.values()
        found = read_world(hosts)
        return replace(found, outside=read_outside(hosts), loads=find_loads(self.parts, found.machines))

    def recover(self) -> Recovered:
        """Rebuild the database from the hosts."""
        from tinycloud.engine.recover import recover

        return recover(self.parts)

    def doctor(self, *, fix: bool = False, host: str = "") -> list[Finding]:
        """Are the hosts able to run machines, or this one? With ``fix``, what can be mended is."""
        from tinycloud.engine.doctor import examine

        return examine(self.parts, fix=fix, host=host)


def _make_stranded(plan: Plan) -> Failed:
    facts = [f"{ref}  {reason}" for ref, reason in plan.stranded.items()]
    what = f"all of {plan.stack} is as its file says, but for machines of a host that is gone: {', '.join(plan.stranded)}"
    kept = any("spare: " in reason for reason in plan.stranded.values())
    hint = "the same up with --spare 0 keeps no reserve" if kept else "the same up again when there is room; tinycloud host list"
    return Failed(what, code="not-healed", facts=facts, hint=hint)


def make_run_text(image: str, name: str, group: Mapping[str, Any]) -> str:
    """The stack file that stands for ``tinycloud run``; JSON is YAML."""
    import json

    body = {"image": image, "networks": ["lan"], **group}
    return json.dumps({"stack": name, "networks": {"lan": {}}, "groups": {"vm": body}}, indent=2)
