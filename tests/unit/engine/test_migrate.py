"""Machines that move between two fake hosts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority
from tests.crash.faults import failing, injected, is_killed, killed
from tests.crash.moves import JOURNEYS, MoveStage
from tinycloud.drivers.fake.host import FakeHost
from tinycloud.engine.doctor_moves import check_copies
from tinycloud.engine.lock import hold_lock
from tinycloud.errors import Declined, Failed, LibvirtFailed, NoHost, NotFound, Refused, Unfinished
from tinycloud.model.host import HostEntry
from tinycloud.model.move import Credentials, Way

if TYPE_CHECKING:
    from tinycloud.engine.events import Event


@pytest.fixture
def stage(tmp_path: Path) -> MoveStage:
    made = MoveStage(JOURNEYS[0], tmp_path / "stage")
    made.build()
    return made


def test_a_machine_that_runs_moves_with_its_memory(stage: MoveStage) -> None:
    heard: list[Event] = []
    with stage.cloud() as cloud:
        done = cloud.migrate("shop/web-1", "b", listener=heard.append)
        assert cloud.machine("shop/web-1").facts.host == "b"
        event = cloud.events("shop", "web-1")[0]
        assert any(line.endswith(f"migrated {event.text}") for line in cloud.why("shop/web-1").facts)
    assert (done.source, done.target, done.way) == ("a", "b", Way.LIVE)
    assert event.kind == "migrated"
    assert re.fullmatch(r"from a to b \([\d.]+ s, stood still \d+ ms\)", event.text)
    assert any("of 128 MiB" in it.text for it in heard if it.kind == "part")


def test_without_a_host_it_goes_where_most_memory_is_free(stage: MoveStage) -> None:
    with stage.cloud() as cloud:
        assert cloud.migrate("shop/web-1").target == "b"


def test_where_no_other_host_can_take_it_each_says_why(stage: MoveStage) -> None:
    with stage.cloud(only="a") as cloud, pytest.raises(NoHost, match="no other host can take shop/web-1") as failure:
        cloud.migrate("shop/web-1")
    assert failure.value.facts == ("there is no other host",)


def test_a_host_that_is_not_there_is_told_by_the_nearest_name(stage: MoveStage) -> None:
    with stage.cloud() as cloud, pytest.raises(NotFound, match='there is no host "bb"'):
        cloud.migrate("shop/web-1", "bb")


def test_everything_in_the_way_is_said_and_nothing_was_changed(stage: MoveStage) -> None:
    before = stage.photograph()
    with stage.cloud() as cloud:
        cloud.parts.hosts["b"].entry = HostEntry("b")
        with pytest.raises(Refused, match="shop/web-1 cannot move to b") as failure:
            cloud.migrate("shop/web-1", "b")
    assert failure.value.kind == "cannot-move"
    assert stage.photograph() == before


@pytest.mark.parametrize(("tls", "forced"), [(True, ""), (False, "a"), (False, "b")])
def test_a_move_that_has_to_be_encrypted_needs_certificates_on_both_sides(
    stage: MoveStage, monkeypatch: pytest.MonkeyPatch, tls: bool, forced: str
) -> None:
    before = stage.photograph()
    with stage.cloud() as cloud:
        if forced:
            host = cloud.parts.hosts[forced]
            monkeypatch.setattr(host, "credentials", replace(FakeHost.credentials, forced=True), raising=False)
        with pytest.raises(Refused) as failure:
            cloud.migrate("shop/web-1", "b", tls=tls)
    assert failure.value.kind == "cannot-move"
    assert [fact.split(":")[0].split() for fact in failure.value.facts] == [["tls", "b"], ["tls", "a"]]
    assert "Encrypted" in failure.value.hint
    assert stage.photograph() == before


def test_a_move_is_encrypted_when_both_believe_each_other(stage: MoveStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority.make(tmp_path / "pki")
    files = {"ca-cert.pem": authority.text}
    with stage.cloud() as cloud:
        address = cloud.parts.hosts["b"].entry.address
        server, client = (authority.sign(name, address)[0].read_text() for name in ("b", "a"))
        for name, more in (("a", {"client-cert.pem": client}), ("b", {"server-cert.pem": server})):
            has = Credentials("/pki", forced=name == "b", files={**files, **more})
            monkeypatch.setattr(cloud.parts.hosts[name], "credentials", has, raising=False)
        plans = []
        cloud.migrate("shop/web-1", "b", agree=lambda plan: plans.append(plan) or True)
        (move,) = [step for step in plans[0].steps if step.kind == "machine.move"]
        assert move.args["tls"] is True
        assert plans[0].changes[-1].text.endswith(", encrypted")


def test_a_person_who_says_no_changes_nothing(stage: MoveStage) -> None:
    before = stage.photograph()
    with stage.cloud() as cloud, pytest.raises(Declined):
        cloud.migrate("shop/web-1", "b", agree=lambda plan: False)
    assert stage.photograph() == before
    assert not stage.list_unfinished()


def test_the_plan_says_what_travels(stage: MoveStage) -> None:
    with stage.cloud() as cloud:
        plans = []
        cloud.migrate("shop/web-1", "b", agree=lambda plan: plans.append(plan) or True)
    changes = plans[0].changes
    assert changes[-1].name == "web-1"
    assert changes[-1].text.startswith("a → b, 128 MiB of memory")
    assert changes[0].kind == "image"


def test_after_a_kill_other_work_waits_and_says_what_to_type(stage: MoveStage) -> None:
    assert is_killed(stage.act, do=killed("web-1:move", "before"))
    with stage.cloud() as cloud:
        with pytest.raises(Unfinished) as failure:
            cloud.up(stage.folder / "stack.yaml")
        assert any("tinycloud resume shop" in fact for fact in failure.value.facts)
        with pytest.raises(Unfinished):
            cloud.migrate("shop/web-1", "b")
        cloud.resume("shop")
        assert cloud.machine("shop/web-1").facts.host == "a"


def test_a_failure_says_where_the_machine_is(stage: MoveStage) -> None:
    with stage.cloud() as cloud, injected(do=failing("web-1:move", "before")), pytest.raises(LibvirtFailed) as failure:
        cloud.migrate("shop/web-1", "b")
    assert any(fact.startswith("shop/web-1 is on a; execution") for fact in failure.value.facts)


def test_a_move_that_arrived_is_not_undone(stage: MoveStage) -> None:
    """What the journal does not know, the hosts do."""
    from tinycloud.engine.execute import make_step
    from tinycloud.engine.migrate import Mover
    from tinycloud.engine.steps import ACTIONS
    from tinycloud.model.plan import Plan

    assert is_killed(stage.act, do=killed("web-1:move", "after"))
    with stage.cloud() as cloud:
        record = cloud.parts.store.find_unfinished("shop")
        assert record is not None
        mover = Mover(cloud.parts)
        journal = mover._open(record)
        run = mover._make_run(Plan("shop", "migrate", (), ()), journal, lambda event: None)
        line = next(it for it in journal.list_steps() if it.kind == "machine.move")
        with pytest.raises(Refused) as failure:
            ACTIONS["machine.move"].undo(run, make_step(line), line.before)
        assert failure.value.kind == "has-moved"
        cloud.rollback("shop")
        assert cloud.machine("shop/web-1").facts.host == "b"


def test_a_machine_that_neither_host_has_is_said_so(stage: MoveStage) -> None:
    assert is_killed(stage.act, do=killed("web-1:move", "before"))
    with stage.cloud() as cloud:
        host = cloud.parts.hosts["a"]
        host.domains.destroy("shop-web-1")
        host.domains.undefine("shop-web-1")
        with pytest.raises(Failed, match="neither of a and b has shop/web-1"):
            cloud.resume("shop")


def test_the_old_host_does_not_start_it_by_itself_while_it_moves(stage: MoveStage) -> None:
    assert is_killed(stage.act, do=killed("web-1:move", "before"))
    assert stage.photograph()["a"]["domains"]["shop-web-1"]["autostart"] is False
    stage.resume()
    assert stage.photograph()["a"]["domains"]["shop-web-1"]["autostart"] is True


def test_the_doctor_tells_of_a_copy_that_is_left_over(stage: MoveStage) -> None:
    assert is_killed(stage.act, do=killed("web-1:vacate", "before"))
    with stage.cloud() as cloud:
        (finding,) = check_copies(cloud.parts)
        assert finding.text == "shop/web-1 is on b; the copy on a (stopped) is left over from a move"
        assert finding.command == "tinycloud resume shop"
        answer = cloud.why("shop/web-1")
        assert f"copy     {finding.text}" in answer.facts
        assert answer.hints[-1] == "tinycloud resume shop"
        assert list(check_copies(cloud.parts, fix=True, host="b")) == [], "it is about the host that has the copy"
        (finding,) = check_copies(cloud.parts, fix=True)
        assert (finding.state, finding.text[-9:]) == ("ok", " (mended)")
        assert list(check_copies(cloud.parts)) == []
        assert not cloud.has_unfinished("shop")


def test_a_copy_of_which_nothing_is_written_down_is_cleared_when_it_is_off_and_older(stage: MoveStage) -> None:
    assert is_killed(stage.act, do=killed("web-1:vacate", "before"))
    with stage.cloud() as cloud:
        cloud.parts.store.set_execution(cloud.executions("shop")[0].id, state="done")  # as if the database had been lost
        (finding,) = check_copies(cloud.parts)
        assert finding.command == "tinycloud doctor --fix --host a"
        cloud.parts.hosts["a"].domains.start("shop-web-1")
        (finding,) = check_copies(cloud.parts, fix=True)
        assert (finding.state, finding.command) == ("problem", ""), "two that run are for a person to look at"
        assert (
            "the copy on a (running) runs too: look at both; when it is the wrong one: virsh -c fake://a destroy shop-web-1" in finding.text
        )
        counted = cloud.machine("shop/web-1").host
        cloud.parts.hosts["a"].domains.destroy("shop-web-1")
        (finding,) = check_copies(cloud.parts, fix=True)
        assert finding.state == "ok"
        assert (counted, cloud.machine("shop/web-1").host) == ("b", "b")
        assert cloud.parts.hosts["a"].domains.find("shop-web-1") is None
        left = [name for name in cloud.parts.hosts["a"].volumes.list_names() if "web-1" in name]
        assert left == ["shop.web-1.vol-data.qcow2"], "what is to be kept is nobody's to throw away here"
        assert next(event.kind for event in cloud.events("shop", "web-1")) == "stale"


def test_a_copy_is_left_to_who_is_at_work_on_the_stack(stage: MoveStage) -> None:
    assert is_killed(stage.act, do=killed("web-1:vacate", "before"))
    with stage.cloud() as cloud, hold_lock(cloud.parts.locks, "shop", "somebody else"):
        (finding,) = check_copies(cloud.parts, fix=True)
        assert finding.state == "problem"
        assert "tried to mend it: shop is being worked on; somebody else" in finding.text
