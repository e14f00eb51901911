"""A machine moves to another host: looked at on both sides, agreed to, done, and mended after whatever came between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tinycloud.engine.events import Listener, ignore
from tinycloud.engine.inventory import read_machines, read_world
from tinycloud.engine.lock import hold_lock, use_images
from tinycloud.engine.move_tls import Wire, examine_wire
from tinycloud.engine.refs import get_machine
from tinycloud.engine.run import Run
from tinycloud.engine.steps.moving import describe_side, let_go, look_at
from tinycloud.engine.who import make_who
from tinycloud.errors import Declined, Failed, Interrupted, Lost, NoHost, Refused, Stale, TinycloudError, Unfinished, as_failed
from tinycloud.model.move import Moved, Verdict, Way
from tinycloud.model.plan import Plan, Step
from tinycloud.model.units import Duration
from tinycloud.plan.move_check import Ask, check_target, choose_way, list_obstacles, refuse
from tinycloud.plan.move_disks import Fate, list_moving
from tinycloud.plan.move_steps import Ride, plan_leaving, plan_move
from tinycloud.plan.move_verdict import decide
from tinycloud.plan.placing.refuges import rank_targets
from tinycloud.store.peek import has_unfinished
from tinycloud.templates.moved import read_traits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host
    from tinycloud.engine.journal import Journal
    from tinycloud.engine.parts import Parts
    from tinycloud.model.move import Abilities, Side, Traits
    from tinycloud.model.world import Machine, World
    from tinycloud.plan.move_disks import Moving
    from tinycloud.store.store import ExecutionRecord


@dataclass(frozen=True)
class MoveWish:
    """How a machine is to move. ``bandwidth`` in bytes a second, ``max_downtime`` in seconds; 0 leaves them to QEMU."""

    bandwidth: int = 0
    max_downtime: float = 0.0
    tls: bool = False
    strict: bool = False
    wait: float = 0.0
    agree: Callable[[Plan], bool] = field(default=lambda _plan: True)
    listener: Listener = ignore

    def as_options(self) -> dict[str, Any]:
        return {"bandwidth": self.bandwidth, "max_downtime": self.max_downtime, "tls": self.tls, "strict": self.strict}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a move."""

    machine: str
    source: str
    target: str
    way: Way
    moved: Moved


class Mover:
    """Moves machines of one cloud, one at a time each."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # before

    def look(self, ref: str, target: str, wish: MoveWish = MoveWish()) -> Plan:
        """What would be done; raises Refused with everything that is in the way."""
        world = read_world(self._parts.hosts.values())
        return plan_move(world, self._find(world, ref, target, wish))

    def choose(self, world: World, machine: Machine, wish: MoveWish) -> Ride:
        """The move to the host that it leaves least full of those that can take it; raises NoHost with each host's reasons."""
        facts = []
        for name, why in rank_targets(world, machine.ref):
            if why:
                facts.append(f"{name}  {why}")
                continue
            try:
                return self._examine(world, machine, name, wish)
            except Refused as err:
                facts += [f"{name}  {fact}" for fact in err.facts]
        raise NoHost(f"no other host can take {machine.ref}", facts=facts or ["there is no other host"], hint="tinycloud host list")

    def _find(self, world: World, ref: str, target: str, wish: MoveWish) -> Ride:
        machine = get_machine(world, ref)
        return self._examine(world, machine, target, wish) if target else self.choose(world, machine, wish)

    def _examine(self, world: World, machine: Machine, target: str, wish: MoveWish) -> Ride:
        """The move, when nothing is in its way on either side."""
        self._parts.get_host(target)
        if obstacles := check_target(world, machine, target):
            raise refuse(machine, target, obstacles)
        here, there = self._parts.get_host(machine.host), self._parts.get_host(target)
        way = choose_way(machine)
        address = world.host_by_name[target].entry.address
        with ThreadPoolExecutor(4) as pool:
            near, far = pool.submit(_read_abilities, here), pool.submit(_read_abilities, there)
            wired = pool.submit(examine_wire, self._parts.shell, here, there, address, wanted=wish.tls) if way is Way.LIVE else None
            blocked = pool.submit(here.moves.find_block, address) if way is Way.LIVE and address else None
            traits = read_traits(here.moves.get_xml(machine.mark.domain))
            wire = wired.result() if wired else Wire()
            ask = Ask(
                world,
                machine,
                world.host_by_name[target],
                way,
                traits,
                near.result(),
                far.result(),
                cpu_fits=_compare_cpu(there, machine, traits) if way is Way.LIVE else None,
                ties=tuple(here.moves.list_ties(machine.mark.domain)),
                blocked=blocked.result() if blocked else "",
                tls=wire.troubles,
            )
        if obstacles := list_obstacles(ask):
            raise refuse(machine, target, obstacles)
        return Ride(machine, target, way, replace(wish, tls=wire.encrypted).as_options(), _read_backings(here, machine))

    # the move

    def move(self, ref: str, target: str, wish: MoveWish = MoveWish()) -> Result:
        """Move a machine, and return when it is on its new host and the old one is clean.

        Raises Refused with nothing changed. Interrupted or failed, the machine is on exactly one host and the other is clean, or, where a
        host does not answer, the execution is left for ``resume``.
        """
        stack = get_machine(read_machines(self._parts.hosts.values()), ref).mark.stack
        with hold_lock(self._parts.locks, stack, f"migrate by {make_who()}", wait=wish.wait):
            if has_unfinished(self._parts.database, stack):
                raise Unfinished(f"{stack} has an unfinished execution", hint=f"tinycloud resume {stack}")
            world = read_world(self._parts.hosts.values())
            ride = self._find(world, ref, target, wish)
            plan = plan_move(world, ride)
            self._agree(plan, ride, wish)
            return self._carry_out(plan, ride, wish)

    def _agree(self, plan: Plan, ride: Ride, wish: MoveWish) -> None:
        """Others wait for the stack's lock, but for those who start and stop machines."""
        if not wish.agree(plan):
            raise Declined("you said no")
        side = look_at(self._parts.get_host(ride.source), ride.machine.ref, ride.mark.domain)
        if (side.state, side.generation) != (ride.machine.state, ride.mark.generation):
            raise Stale(f"{ride.machine.ref} was changed while the plan was looked at: it is {side.state}", hint="look at the new plan")

    def _carry_out(self, plan: Plan, ride: Ride, wish: MoveWish) -> Result:
        from tinycloud.engine.journal import Journal

        journal = Journal.begin(self._parts.store, plan, {"move": ride.as_options()})
        run = self._make_run(plan, journal, wish.listener)
        try:
            self._execute(run, journal)
        except (TinycloudError, KeyboardInterrupt) as err:
            failure = err if isinstance(err, TinycloudError) else Interrupted("interrupted")
            if isinstance(failure, Lost):  # somebody else's business by now
                raise failure from err
            journal.end("failed", failure.message)
            if not self._mend(run, journal, ride, failure):
                raise failure from err
        moved = run.moved.get(ride.machine.ref, Moved())
        note_move(journal, ride, moved)
        return Result(ride.machine.ref, ride.source, ride.target, ride.way, moved)

    def _execute(self, run: Run, journal: Journal) -> None:
        from tinycloud.engine.execute import Executor

        run.tell("begin", text=run.plan.stack)
        executor = Executor(run, journal)
        with use_images(self._parts.locks, make_who()) as executor.let_go_of_images:
            executor.execute()
        self._remember(run.plan)
        journal.end("done")
        run.tell("end")

    def _remember(self, plan: Plan) -> None:
        """Keep which machines the two hosts have now: were one silent from here on, a plan would miss what came to it, and make it anew."""
        read_machines(self._parts.get_host(name) for name in plan.hosts)

    def _mend(self, run: Run, journal: Journal, ride: Ride, failure: TinycloudError) -> bool:
        """Put things right after a failure. True when the machine has moved after all; else the failure says what became of it."""
        run.stop.clear()
        try:
            verdict = self._settle(run, journal, ride)
        except TinycloudError as err:
            failure.facts = (*failure.facts, f"execution {journal.execution} is left as it is: {err.message}", *err.facts)
            failure.hint = f"tinycloud resume {journal.stack}"
            raise as_failed(failure) from err
        where = ride.source if verdict is Verdict.SOURCE else ride.target
        failure.facts = (*failure.facts, f"{ride.machine.ref} is on {where}; execution {journal.execution} was put in order")
        return verdict is Verdict.TARGET and not isinstance(failure, Interrupted)

    # after an interruption

    def resume(self, record: ExecutionRecord, listener: Listener = ignore) -> Verdict:
        """Finish an interrupted move, or undo it: as both hosts say. To be called with the stack's lock."""
        journal = self._open(record)
        run = self._make_run(Plan(record.stack, record.kind, (), ()), journal, listener)
        run.tell("begin", text=record.stack)
        ride = self._find_ride(record)
        verdict = self._settle(run, journal, ride)
        if verdict is Verdict.TARGET:
            note_move(journal, ride, Moved())
        where = ride.source if verdict is Verdict.SOURCE else ride.target
        run.tell("progress", Step("", "machine.move", where, ride.mark.machine), f"is on {where}")
        run.tell("end")
        return verdict

    def _open(self, record: ExecutionRecord) -> Journal:
        from tinycloud.engine.journal import Journal

        return Journal(self._parts.store, record.id, record.stack)

    def _find_ride(self, record: ExecutionRecord) -> Ride:
        """The move of an execution. The machine is found on either host, wherever it counts now."""
        told = record.options["move"]
        world = self._read_pair(told["source"], told["target"])
        copies = [it for it in (*world.machines, *world.leftovers) if it.ref == told["machine"]]
        if not copies:
            hosts = f"{told['source']} and {told['target']}"
            raise Failed(f"neither of {hosts} has {told['machine']}", hint=f"tinycloud recover, or: tinycloud up {record.stack}")
        newest = max(copies, key=lambda it: it.mark.generation)
        return Ride(replace(newest, host=told["source"]), told["target"], Way(told["way"]))

    def _read_pair(self, *hosts: str) -> World:
        return read_world([self._parts.get_host(name) for name in hosts])

    def _settle(self, run: Run, journal: Journal, ride: Ride) -> Verdict:
        """Both hosts are asked who has it; then the other one is cleared. Raises where one of them does not answer."""
        here, there = self._parts.get_host(ride.source), self._parts.get_host(ride.target)
        here.moves.end_job(ride.mark.domain)
        near, far = (look_at(host, ride.machine.ref, ride.mark.domain) for host in (here, there))
        verdict = decide(near, far, ride.way)
        if verdict is Verdict.NEITHER:
            facts = [describe_side(here, near), describe_side(there, far)]
            raise Failed(f"neither host has {ride.machine.ref}", facts=facts, hint=f"tinycloud up {ride.mark.stack}")
        if verdict is Verdict.SOURCE:
            self._go_back(run, journal)
        else:
            self._go_on(run, journal, ride, far)
        return verdict

    def _go_back(self, run: Run, journal: Journal) -> None:
        from tinycloud.engine.execute import undo

        self._see_files()
        undo(run, journal)
        journal.end("undone", "the machine stayed where it was")

    def _see_files(self) -> None:
        """Have libvirt look at the pools: what was killed may have made files that it does not know of."""
        for host in self._parts.hosts.values():
            for pool in host.list_pools():
                host.pool(pool).refresh()

    def _go_on(self, run: Run, journal: Journal, ride: Ride, side: Side) -> None:
        there = self._parts.get_host(ride.target)
        if side.state == "paused" and self._was_running(journal):
            let_go(there, ride.mark.domain)
        self._see_files()
        world = read_world(self._parts.hosts.values())
        plan = plan_leaving(world, ride, self._list_left(world, ride))
        journal.again(plan)
        run.plan = plan
        self._execute(run, journal)

    def _was_running(self, journal: Journal) -> bool:
        return any(it.kind == "machine.move" and it.before.get("state") == "running" for it in journal.list_steps())

    def _list_left(self, world: World, ride: Ride) -> list[Moving]:
        """What the source still has of the machine's disks."""
        moving = list_moving(world, ride.machine, world.host_by_name[ride.target])
        return [it for it in moving if it.fate is not Fate.STUCK]

    def _make_run(self, plan: Plan, journal: Journal, listener: Listener) -> Run:
        parts = self._parts
        run = Run(parts.hosts, parts.keys, parts.guests, plan, parts.edit, listener=listener, locks=parts.locks)
        run.execution = journal.execution
        return run


def note_move(journal: Journal, ride: Ride, moved: Moved) -> None:
    """The one line that is left of a move. What was not measured, as of one that others finished, is not told."""
    told = [str(Duration(round(moved.seconds, 1)))] if moved.seconds else ["it was off"] if ride.way is Way.COLD else []
    told += [f"stood still {say_stillness(moved.downtime)}"] if moved.downtime else []
    text = f"from {ride.source} to {ride.target}" + (f" ({', '.join(told)})" if told else "")
    journal.event(ride.mark.machine, "migrated", text)


def say_stillness(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _read_abilities(host: Host) -> Abilities:
    return replace(host.moves.read_abilities(), clock=host.moves.read_clock())


def _compare_cpu(there: Host, machine: Machine, traits: Traits) -> bool | None:
    """Not for what shows the host itself: that has nothing to compare, and is checked by the hosts' being equal."""
    if not traits.cpu or traits.cpu_mode in ("host-passthrough", "maximum"):
        return None
    return there.moves.compare_cpu(traits.cpu, machine.mark.spec.hypervisor, traits.type)


def _read_backings(host: Host, machine: Machine) -> dict[str, str]:
    """What each disk of a machine stands on: not always its image, for some were flattened."""
    found: dict[str, str] = {}
    for volume in machine.mark.volumes:
        record = host.pool(machine.mark.pool_of(volume)).find(volume)
        if record is not None:
            found[volume] = record.backing
    return found


__all__ = ["MoveWish", "Mover", "Result"]
