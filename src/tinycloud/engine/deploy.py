"""up, down, resume, rollback: from a declaration to the world and back, under the stack's lock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tinycloud.engine.answers import ask_each
from tinycloud.engine.declarations import Declarations, make_note
from tinycloud.engine.inventory import read_world, remember
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.out_of_sight import must_see_all
from tinycloud.engine.read_outside import read_outside
from tinycloud.errors import (
    Declined,
    NeedsReplace,
    NotFound,
    Refused,
    Stale,
)
from tinycloud.model.plan import Plan
from tinycloud.plan import Options, plan_down, plan_up
from tinycloud.plan.up import fingerprint
from tinycloud.store.peek import has_unfinished

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from tinycloud.drivers.host import Host
    from tinycloud.engine.conduct import Conduct
    from tinycloud.engine.journal import Journal
    from tinycloud.engine.parts import Parts
    from tinycloud.engine.run import Run
    from tinycloud.engine.vault import StackVault
    from tinycloud.engine.wish import Wish
    from tinycloud.model.stack import Stack
    from tinycloud.model.world import World
    from tinycloud.source import Loaded
    from tinycloud.store.store import ExecutionRecord


class Deployer:
    """Carries out plans for one cloud."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._declarations = Declarations(parts)

    @property
    def _conduct(self) -> Conduct:
        from tinycloud.engine.conduct import Conduct  # what carries out is not needed by who only plans

        return Conduct(self._parts)

    def plan(
        self, loaded: Loaded, vault: StackVault, replace: frozenset[str] = frozenset(), saved: World | None = None, spare: str = ""
    ) -> Plan:
        """What would be done, against the world as it is, or against a saved one."""
        from tinycloud.engine.bring import look, plan_lacks

        world = saved or self._read_world(loaded.stack)
        loaded, lacks = look(self._parts, loaded, world)
        return plan_lacks(loaded, world, lacks) if lacks else self._plan(loaded, vault, Options(replace, spare=spare), world)

    def _plan(self, loaded: Loaded, vault: StackVault, options: Options, world: World) -> Plan:
        digest = self._parts.keys.fingerprint(make_note(loaded, vault).decode())
        return plan_up(loaded, world, replace(options, note=digest, spare=options.spare or self._parts.spare))

    def _bring(self, loaded: Loaded, wish: Wish) -> tuple[Loaded, World]:
        """The images that the stack lacks, fetched or imported; a person is asked first."""
        from tinycloud.engine.bring import bring, look, plan_lacks

        world = self._read_world(loaded.stack)
        loaded, lacks = look(self._parts, loaded, world)
        if not lacks:
            return loaded, world
        self._agree(plan_lacks(loaded, world, lacks), wish)
        bring(lacks, wish.listener)
        world = self._read_world(loaded.stack)
        return look(self._parts, loaded, world)[0], world

    def _read_world(self, stack: Stack | None = None) -> World:
        """Everything; and what hosts are to the outside, for a stack that leads to machines from there."""
        hosts = self._parts.hosts.values()
        world = read_world(hosts)
        return replace(world, outside=outside) if stack and (outside := read_outside(hosts, stack)) else world

    # carrying out

    def up(self, loaded: Loaded, vault: StackVault, wish: Wish) -> Plan:
        """Make the stack real and return what was planned.

        Raises NeedsReplace, Unfinished, Busy, Declined and what planning refuses with nothing changed; after a failure everything
        this execution did is undone, unless ``wish.keep_failed``.
        """
        stack = loaded.stack.stack
        with self._lock(stack, "up", wish.wait):
            if has_unfinished(self._parts.database, stack):
                self._conduct.check_unfinished(stack)
            loaded, world = self._bring(loaded, wish)
            plan = self._plan(loaded, vault, Options(wish.replace, spare=wish.spare, only=wish.only), world)
            self._agree(plan, wish)
            if plan.steps:
                self._declarations.keep(loaded, vault)
                self._carry_out(self._make_run(plan, wish, loaded, vault), self._begin(plan, wish), wish)
                self._declarations.keep(loaded, vault, plan)
                self._remember(plan)
            return plan

    def down(self, stack: str, wish: Wish) -> Plan:
        """Take the stack away. Interrupted, it is resumed, not undone: what is gone is gone."""
        with self._lock(stack, "down", wish.wait):
            if has_unfinished(self._parts.database, stack):
                record = self._conduct.get_unfinished(stack)
                if not self._settle_move(record, wish):
                    must_see_all(self._parts, self._journal(record.id, stack))
                self._see_files()
            plan = self._plan_down(stack, volumes=wish.volumes)
            if not plan.changes and not plan.steps and not self._declarations.is_known(stack):
                raise NotFound(f'there is no stack "{stack}"', hint="tinycloud ls")
            self._agree(plan, wish)
            if plan.steps:
                self._carry_out(self._make_run(plan, wish), self._begin(plan, wish), wish)
            self._declarations.forget(stack, plan)
            self._remember(plan)
            return plan

    def _plan_down(self, stack: str, *, volumes: bool) -> Plan:
        return plan_down(stack, self._read_world(), self._declarations.find(stack), volumes=volumes)

    def resume(self, stack: str, wish: Wish) -> Plan:
        """Finish the unfinished execution of a stack: what it still lacks is planned anew, against the world as it is."""
        from tinycloud.engine.execute import undo_halves

        with self._lock(stack, "resume", wish.wait):
            record = self._conduct.get_unfinished(stack)
            if self._settle_move(record, wish):
                return Plan(stack, record.kind, (), ())
            journal = self._journal(record.id, stack)
            must_see_all(self._parts, journal)
            self._see_files()
            undo_halves(self._make_run(Plan(stack, record.kind, (), ()), wish), journal)
            loaded = vault = None
            if record.kind == "down":
                plan = self._plan_down(stack, volumes=bool(record.options.get("volumes")))
            else:
                loaded, vault = self._declarations.load_kept(stack)
                loaded, world = self._bring(loaded, wish)
                plan = self._plan(loaded, vault, _recall(record.options), world)
            self._agree(plan, wish)
            journal.again(plan)
            self._carry_out(self._make_run(plan, wish, loaded, vault), journal, wish)
            if loaded is not None and vault is not None:
                self._declarations.keep(loaded, vault, plan)
            else:
                self._declarations.forget(stack, plan)
            self._remember(plan)
            return plan

    def rollback(self, stack: str, wish: Wish) -> None:
        """Undo what the unfinished execution of a stack did. Raises Refused when it threw something away already."""
        from tinycloud.engine.execute import is_past_undo, undo

        with self._lock(stack, "rollback", wish.wait):
            record = self._conduct.get_unfinished(stack)
            if self._settle_move(record, wish):
                return
            journal = self._journal(record.id, stack)
            if record.kind == "down" or is_past_undo(journal):
                why = "a down is not undone" if record.kind == "down" else f"the {record.kind} was nearly done"
                raise Refused(f"{why}: what it removed is gone (execution {record.id})", hint=f"tinycloud resume {stack}")
            run = self._make_run(Plan(stack, record.kind, (), ()), wish)
            run.execution = record.id
            self._see_files()
            undo(run, journal)
            self._conduct.end_undone(journal, record.error or "rolled back")

    # parts of the work

    def _settle_move(self, record: ExecutionRecord, wish: Wish) -> bool:
        """An interrupted move ends as both hosts say, whatever was asked for; False for an execution of another kind."""
        from tinycloud.engine.migrate import Mover

        if record.kind != "migrate":
            return False
        Mover(self._parts).resume(record, wish.listener)
        return True

    def _remember(self, plan: Plan) -> None:
        """Keep what the hosts have now, for a time in which one of them is silent."""
        if len(hosts := self._parts.hosts) > 1:
            remember(hosts[name] for name in {step.host for step in plan.steps} & hosts.keys())

    def _see_files(self) -> None:
        """Have libvirt look at the pools: what was killed may have made files that it does not know of."""
        ask_each(self._parts, _refresh_pools)

    def _lock(self, stack: str, what: str, wait: float) -> AbstractContextManager[None]:
        from tinycloud.engine.who import make_who

        return hold_lock(self._parts.locks, stack, f"{what} by {make_who()}", wait=wait)

    def _agree(self, plan: Plan, wish: Wish) -> None:
        if plan.refused:
            names = " ".join(change.name for change in plan.refused)
            facts = [f"{c.kind} {c.name}: {c.text} ({c.reason})" for c in plan.refused]
            raise NeedsReplace(f"{plan.stack}: refused without --replace", facts=facts, hint=f"--replace {names}")
        if plan.is_empty:
            return
        if not wish.agree(plan):
            raise Declined("you said no")
        if fingerprint(self._read_world(), plan.stack) != plan.parent:
            raise Stale(f"stack {plan.stack} was changed while the plan was looked at", hint="look at the new plan")

    def _make_run(self, plan: Plan, wish: Wish, loaded: Loaded | None = None, vault: StackVault | None = None) -> Run:
        from tinycloud.engine.run import Run

        note = make_note(loaded, vault) if loaded and vault else b""
        templates = loaded.templates if loaded else {}
        parts = self._parts
        return Run(parts.hosts, parts.keys, parts.guests, plan, parts.edit, templates, note, wish.listener, locks=parts.locks)

    def _begin(self, plan: Plan, wish: Wish) -> Journal:
        from tinycloud.engine.journal import Journal

        return Journal.begin(self._parts.store, plan, wish.as_options())

    def _carry_out(self, run: Run, journal: Journal, wish: Wish) -> None:
        self._conduct.carry_out(run, journal, keep_failed=wish.keep_failed)

    def _journal(self, execution: str, stack: str) -> Journal:
        from tinycloud.engine.journal import Journal

        return Journal(self._parts.store, execution, stack)


def _recall(options: Mapping[str, Any]) -> Options:
    """What the person allowed when the execution began."""
    only = frozenset(options["only"]) if "only" in options else None
    return Options(frozenset(options.get("replace", ())), spare=str(options.get("spare", "")), only=only)


def _refresh_pools(host: Host) -> None:
    for pool in host.list_pools():
        host.pool(pool).refresh()
