"""up, down, resume, rollback: from a declaration to the world and back, under the stack's lock."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinycloud.engine.answers import ask_each
from tinycloud.engine.inventory import read_world, remember
from tinycloud.engine.lock import IMAGES, IMAGES_LOCK, hold_lock
from tinycloud.engine.out_of_sight import must_see_all
from tinycloud.engine.read_outside import read_outside
from tinycloud.engine.vault import StackVault
from tinycloud.errors import (
    Declined,
    Failed,
    Interrupted,
    Lost,
    NeedsReplace,
    NotFound,
    Refused,
    Stale,
    TinycloudError,
    Unfinished,
    WrongInput,
    as_failed,
)
from tinycloud.model.plan import Act, Plan
from tinycloud.model.secret import Secret, Text
from tinycloud.plan import Options, plan_down, plan_up
from tinycloud.plan.up import fingerprint
from tinycloud.store.peek import has_unfinished, is_made

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from tinycloud.drivers.host import Host
    from tinycloud.engine.journal import Journal
    from tinycloud.engine.parts import Parts
    from tinycloud.engine.run import Run
    from tinycloud.engine.wish import Wish
    from tinycloud.model.stack import Stack
    from tinycloud.model.world import World
    from tinycloud.source import Loaded
    from tinycloud.store.store import ExecutionRecord


class Deployer:
    """Carries out plans for one cloud."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # reading

    def load(self, path: Path, given: Mapping[str, Any]) -> tuple[Loaded, StackVault]:
        """A stack file with this cloud's secrets."""
        from tinycloud.source import load_stack

        vaults: list[StackVault] = []
        loaded = load_stack(path, given, lambda name: self._vault(name, vaults))
        return loaded, vaults[0]

    def load_text(self, text: str, given: Mapping[str, Any]) -> tuple[Loaded, StackVault]:
        """A stack that was written by a program."""
        from tinycloud.source import parse_stack

        vaults: list[StackVault] = []
        loaded = parse_stack(text, "the command line", given, lambda name: self._vault(name, vaults))
        return loaded, vaults[0]

    def load_kept(self, stack: str) -> tuple[Loaded, StackVault]:
        """A stack as the database keeps it; raises NotFound."""
        from tinycloud.source import parse_stack

        record = self._parts.store.find_stack(stack)
        if record is None:
            raise NotFound(f'nothing is known of a stack "{stack}"', hint="tinycloud ls")
        vaults: list[StackVault] = []
        loaded = parse_stack(record.text, record.file, record.given, lambda name: self._vault(name, vaults))
        return loaded, vaults[0]

    def _vault(self, stack: str, made: list[StackVault]) -> StackVault:
        made.append(StackVault(self._parts.keys, self._parts.database, stack))
        return made[-1]

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
            self._check_unfinished(stack)
            loaded, world = self._bring(loaded, wish)
            plan = self._plan(loaded, vault, Options(wish.replace, spare=wish.spare, only=wish.only), world)
            self._agree(plan, wish)
            if plan.steps:
                self._keep(loaded, vault)
                run = self._make_run(plan, wish, loaded, vault)
                self._carry_out(run, self._begin(plan, wish), wish)
                self._finish(loaded, vault, plan)
                self._remember(plan)
            return plan

    def down(self, stack: str, wish: Wish) -> Plan:
        """Take the stack away. Interrupted, it is resumed, not undone: what is gone is gone."""
        with self._lock(stack, "down", wish.wait):
            if has_unfinished(self._parts.database, stack):
                record = self._get_unfinished(stack)
                if not self._settle_move(record, wish):
                    must_see_all(self._parts, self._journal(record.id, stack))
                self._see_files()
            plan = self._plan_down(stack, volumes=wish.volumes)
            if not plan.changes and not plan.steps and not self._is_known(stack):
                raise NotFound(f'there is no stack "{stack}"', hint="tinycloud ls")
            self._agree(plan, wish)
            if plan.steps:
                self._carry_out(self._make_run(plan, wish), self._begin(plan, wish), wish)
            self._forget(stack, plan)
            self._remember(plan)
            return plan

    def _plan_down(self, stack: str, *, volumes: bool) -> Plan:
        return plan_down(stack, self._read_world(), self._find_declared(stack), volumes=volumes)

    def _find_declared(self, stack: str) -> Stack | None:
        """What was last asked for; None where that is lost, or its files are."""
        if not self._is_known(stack):
            return None
        try:
            return self.load_kept(stack)[0].stack
        except (NotFound, WrongInput):
            return None

    def _is_known(self, stack: str) -> bool:
        if not is_made(self._parts.database):
            return False
        return self._parts.store.find_stack(stack) is not None or has_unfinished(self._parts.database, stack)

    def resume(self, stack: str, wish: Wish) -> Plan:
        """Finish the unfinished execution of a stack: what it still lacks is planned anew, against the world as it is."""
        from tinycloud.engine.execute import undo_halves

        with self._lock(stack, "resume", wish.wait):
            record = self._get_unfinished(stack)
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
                loaded, vault = self.load_kept(stack)
                loaded, world = self._bring(loaded, wish)
                plan = self._plan(loaded, vault, _recall(record.options), world)
            self._agree(plan, wish)
            journal.again(plan)
            self._carry_out(self._make_run(plan, wish, loaded, vault), journal, wish)
            if loaded is not None and vault is not None:
                self._finish(loaded, vault, plan)
            else:
                self._forget(stack, plan)
            self._remember(plan)
            return plan

    def rollback(self, stack: str, wish: Wish) -> None:
        """Undo what the unfinished execution of a stack did. Raises Refused when it threw something away already."""
        from tinycloud.engine.execute import is_past_undo, undo

        with self._lock(stack, "rollback", wish.wait):
            record = self._get_unfinished(stack)
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
            self._end_undone(journal, record.error or "rolled back")

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

    def _check_unfinished(self, stack: str) -> None:
        if not has_unfinished(self._parts.database, stack):
            return
        record = self._get_unfinished(stack)
        journal = self._journal(record.id, stack)
        done = sum(step.state == "done" for step in journal.list_steps())
        when = time.strftime("%H:%M", time.localtime(record.started))
        how = f"failed: {record.error}" if record.state == "failed" else "interrupted"
        raise Unfinished(
            f"{stack} has an unfinished {record.kind} {record.id} ({when}, {how}, after {done} of {record.steps} steps, by {record.who})",
            facts=self._list_ways(journal, record.kind),
        )

    def _list_ways(self, journal: Journal, kind: str) -> list[str]:
        """What a person can do about an unfinished execution."""
        from tinycloud.engine.execute import is_past_undo

        stack = journal.stack
        forward, back = f"tinycloud resume {stack}      finish it", f"tinycloud rollback {stack}    undo what it did"
        if kind == "migrate":
            return [f"tinycloud resume {stack}      ask both hosts who has the machine, and clear the other one"]
        return [forward] if kind == "down" or is_past_undo(journal) else [forward, back]

    def _get_unfinished(self, stack: str) -> Any:
        record = self._parts.store.find_unfinished(stack)
        if record is None:
            raise NotFound(f"stack {stack} has no unfinished execution", hint=f"tinycloud show {stack}")
        return record

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

    def _keep(self, loaded: Loaded, vault: StackVault) -> None:
        """Remember what was asked for before anything is done, so that it can be resumed."""
        from tinycloud.store.store import StackRecord

        before = self._parts.store.find_stack(loaded.stack.stack)
        outputs = before.outputs if before else {}
        self._parts.store.save_stack(
            StackRecord(loaded.stack.stack, loaded.file, loaded.text, loaded.given, vault.values, outputs, time.time())
        )

    def _finish(self, loaded: Loaded, vault: StackVault, plan: Plan) -> None:
        from tinycloud.store.store import StackRecord

        outputs = {name: _hide(value) for name, value in plan.outputs.items()}
        self._parts.store.save_stack(
            StackRecord(loaded.stack.stack, loaded.file, loaded.text, loaded.given, vault.values, outputs, time.time())
        )

    def _forget(self, stack: str, plan: Plan) -> None:
        """After a down nothing of the stack is left but its history: no intent, no execution to finish.

        Its secrets stay as long as volumes of it do, for those may need them.
        """
        if not is_made(self._parts.database):
            return
        while (open_one := self._parts.store.find_unfinished(stack)) is not None:
            self._parts.store.set_execution(open_one.id, state="overtaken", ended=time.time())
        if not any(change.act is Act.KEEP for change in plan.changes):
            self._parts.store.forget_stack(stack)

    def _make_run(self, plan: Plan, wish: Wish, loaded: Loaded | None = None, vault: StackVault | None = None) -> Run:
        from tinycloud.engine.run import Run

        note = make_note(loaded, vault) if loaded and vault else b""
        templates = loaded.templates if loaded else {}
        parts = self._parts
        return Run(parts.hosts, parts.keys, parts.guests, plan, parts.edit, templates, note, wish.listener, locks=parts.locks)

    def _begin(self, plan: Plan, wish: Wish) -> Journal:
        from tinycloud.engine.journal import Journal

        return Journal.begin(self._parts.store, plan, wish.as_options())

    def _journal(self, execution: str, stack: str) -> Journal:
        from tinycloud.engine.journal import Journal

        return Journal(self._parts.store, execution, stack)

    def _carry_out(self, run: Run, journal: Journal, wish: Wish) -> None:
        from tinycloud.engine.execute import Executor
        from tinycloud.engine.who import make_who

        run.execution = journal.execution
        run.tell("begin", text=run.plan.stack)
        executor = Executor(run, journal)
        try:
            with hold_lock(self._parts.locks, IMAGES_LOCK, make_who(), shared=True, wait=60, label=IMAGES):
                executor.execute()
            journal.end("done")
        except (TinycloudError, KeyboardInterrupt) as err:
            failure = err if isinstance(err, TinycloudError) else Interrupted("interrupted")
            undo = not wish.keep_failed and not executor.abandoned and run.plan.kind != "down"
            raise (failure if self._give_up(run, journal, failure, undo=undo) else as_failed(failure)) from err
        run.tell("end")

    def _give_up(self, run: Run, journal: Journal, failure: TinycloudError, *, undo: bool) -> bool:
        """Undo, or leave things for a look; either way the failure says which. True when nothing is left."""
        try:
            if isinstance(failure, Lost):
                raise failure
            return self._undo_or_leave(run, journal, failure, undo=undo)
        except Lost as lost:
            why = () if lost is failure else (lost.message, *lost.facts)
            left = f"execution {journal.execution} is left as it is: "
            left += "it is another's" if lost.kind == "lease-lost" else f"tinycloud resume {run.plan.stack}"
            failure.facts = (*failure.facts, *why, left)
            return False

    def _undo_or_leave(self, run: Run, journal: Journal, failure: TinycloudError, *, undo: bool) -> bool:
        from tinycloud.engine.execute import is_past_undo
        from tinycloud.engine.execute import undo as undo_all

        id, stack = journal.execution, run.plan.stack
        journal.end("failed", failure.message)
        if not undo or is_past_undo(journal):
            failure.facts = (*failure.facts, f"execution {id} is left as it is:", *self._list_ways(journal, run.plan.kind))
            return False
        run.stop.clear()
        try:
            undo_all(run, journal)
        except Lost:
            raise
        except Failed as err:
            failure.facts = (*failure.facts, f"execution {id} was undone in part: {err.message}", *err.facts, f"tinycloud rollback {stack}")
            return False
        self._end_undone(journal, failure.message)
        failure.facts = (*failure.facts, f"execution {id}: what it did was undone")
        return True

    def _end_undone(self, journal: Journal, why: str) -> None:
        from tinycloud.engine.recover import restore_record

        restore_record(self._parts, journal.stack)
        journal.end("undone", why)


def _recall(options: Mapping[str, Any]) -> Options:
    """What the person allowed when the execution began."""
    only = frozenset(options["only"]) if "only" in options else None
    return Options(frozenset(options.get("replace", ())), spare=str(options.get("spare", "")), only=only)


def make_note(loaded: Loaded, vault: StackVault) -> bytes:
    """What a host keeps of a stack for ``recover``: the file, the inputs as given, the generated secrets."""
    file = str(Path(loaded.file).resolve()) if Path(loaded.file).exists() else loaded.file
    note = {"stack": loaded.stack.stack, "file": file, "text": loaded.text, "given": loaded.given, "secrets": vault.values}
    return json.dumps(note, sort_keys=True).encode()


def _hide(value: Any) -> Any:
    """An output as it is stored: a secret by its name alone."""
    if isinstance(value, Secret):
        return {"secret": value.name}
    if isinstance(value, Text):
        return {"text": [_hide(part) for part in value.parts]} if value.secrets else value.reveal()
    if isinstance(value, dict):
        return {key: _hide(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(item) for item in value]
    return value


def _refresh_pools(host: Host) -> None:
    for pool in host.list_pools():
        host.pool(pool).refresh()
