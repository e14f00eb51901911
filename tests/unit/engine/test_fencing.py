"""Hosts that die: looked at, fenced, healed, let in again; on fake hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import fake_cloud
from tests.dying import NAMES, Bench
from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.fake.host import FakeShell
from tinycloud.drivers.onhost import common
from tinycloud.drivers.shell import Done
from tinycloud.engine import lease
from tinycloud.engine.doctor_moves import check_copies
from tinycloud.errors import Declined, Failed, NoHost, Refused, ToolFailed, Unreachable
from tinycloud.plan.beats import SILENT, SUSPECTED, WELL


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.remake()
    yield bench
    bench.cloud.close()


def test_a_host_that_nobody_hears_of_is_suspected_after_so_many_looks_and_listed_so(bench: Bench) -> None:
    bench.cut("h3")
    verdicts = [bench.cloud.hosts.check(3)["h3"].verdict for _ in range(3)]
    assert verdicts == [SILENT, SILENT, SUSPECTED]
    assert bench.cloud.hosts.show("h3").facts.unreachable.startswith("suspected dead: it missed 3 looks, and h1 and h2 and h4")
    bench.join("h3")
    assert bench.cloud.hosts.check(3)["h3"].verdict == WELL


def test_a_host_that_others_hear_of_is_not_suspected(bench: Bench) -> None:
    bench.cut("h3", hears=True)
    assert {bench.cloud.hosts.check(1)["h3"].verdict for _ in range(3)} == {"cut off"}


def test_a_controller_that_is_cut_off_itself_suspects_nobody(bench: Bench) -> None:
    bench.cut(*NAMES)
    assert {pulse.verdict for _ in range(4) for pulse in bench.cloud.hosts.check(1).values()} == {SILENT}


def test_without_fencing_nothing_starts_elsewhere(bench: Bench) -> None:
    bench.up()
    before = bench.where()
    bench.die(before["shop/web-1"])
    [healed] = bench.cloud.hosts.heal()
    assert healed.to == ""
    assert healed.reason == f"{before['shop/web-1']} does not answer, and is not known to be off"
    bench.up()
    assert bench.where() == before


def test_fencing_without_a_command_says_what_to_type_and_does_nothing(bench: Bench) -> None:
    bench.cut("h3")
    with pytest.raises(Refused) as caught:
        bench.cloud.hosts.fence("h3")
    assert (caught.value.kind, caught.value.hint) == ("no-fence", "switch it off, look, and say so: tinycloud host fence h3 --confirm")
    assert not bench.parts.hosts["h3"].entry.fenced


def test_a_host_that_answers_is_not_off_whoever_says_so(bench: Bench) -> None:
    with pytest.raises(Refused) as caught:
        bench.cloud.hosts.fence("h3", confirmed=True)
    assert caught.value.kind == "host-answers"


def test_a_person_who_says_no_fences_nothing(bench: Bench) -> None:
    bench.cut("h3")
    with pytest.raises(Declined):
        bench.cloud.hosts.fence("h3", confirmed=True, agree=lambda entry: False)
    assert not bench.parts.hosts["h3"].entry.fenced


def test_the_machine_that_the_controller_runs_on_is_not_fenced(tmp_path: Path) -> None:
    with fake_cloud(tmp_path) as cloud, pytest.raises(Refused, match="the machine that this command runs on"):
        cloud.hosts.fence("local", confirmed=True)


def set_fence(bench: Bench, name: str, *command: str, status: int = 0, said: bytes = b"Chassis Power Control: Down/Off\n") -> list[Any]:
    calls: list[Any] = []

    class Power:
        def run(self, argv: Any, **options: Any) -> Done:
            calls.append(list(argv))
            return Done(tuple(argv), status, said, b"")

    bench.parts.shell = Power()  # type: ignore[assignment]
    entries = [replace(host.entry, fence=command) if host.name == name else host.entry for host in bench.parts.hosts.values()]
    bench.parts.set_entries(entries)
    return calls


def test_the_fence_command_is_run_once_and_what_it_said_is_an_event(bench: Bench) -> None:
    calls = set_fence(bench, "h3", "ipmitool", "-H", "bmc3", "power", "off")
    bench.cut("h3")
    first = bench.cloud.hosts.fence("h3")
    assert bench.cloud.hosts.fence("h3").fenced == first.fenced
    assert calls == [["ipmitool", "-H", "bmc3", "power", "off"]]
    [event] = bench.parts.store.list_events("", "h3")
    assert (event.kind, event.text) == ("fenced", "ipmitool -H bmc3 power off / Chassis Power Control: Down/Off")
    assert [entry.fenced > 0 for entry in bench.parts.store.list_hosts()] == [False, False, True, False]


def test_a_fence_command_that_fails_starts_nothing(bench: Bench) -> None:
    bench.up()
    set_fence(bench, "h1", "ipmitool", "power", "off", status=1, said=b"Unable to establish session\n")
    bench.die("h1")
    with pytest.raises(ToolFailed) as caught:
        bench.cloud.hosts.fence("h1")
    assert caught.value.kind == "fence-failed"
    assert "Unable to establish session" in caught.value.facts
    assert not any(healed.to for healed in bench.cloud.hosts.heal())


def test_machines_of_a_fenced_host_start_elsewhere_once_and_an_execution_says_so(bench: Bench) -> None:
    bench.up()
    dead = bench.where()["shop/web-2"]
    bench.die(dead)
    bench.cloud.hosts.fence(dead, confirmed=True)
    [healed] = bench.cloud.hosts.heal()
    assert (healed.ref, healed.host, healed.way) == ("shop/web-2", dead, "anew")
    assert bench.running()["shop-web-2"] == [healed.to]
    assert bench.where()["shop/web-2"] == healed.to
    assert bench.parts.store.list_executions("shop")[0].kind == "heal"
    assert bench.cloud.hosts.heal() == ()


def test_a_machine_that_finds_no_room_does_not_keep_the_others(bench: Bench) -> None:
    bench.up()
    where = bench.where()
    spare = next(name for name in NAMES if name not in where.values())
    dead = [where["shop/web-1"], where["shop/web-2"]]
    for name in dead:
        bench.die(name)
        bench.cloud.hosts.fence(name, confirmed=True)
    healed = {it.ref: it for it in bench.cloud.hosts.heal()}
    assert [it.to for it in healed.values()].count(spare) == 1
    [left] = [it for it in healed.values() if not it.to]
    assert "no host can take machine" in left.reason
    assert any(spare in fact and "spread" in fact for fact in left.facts)


def test_an_up_does_the_rest_when_a_lost_machine_fits_nowhere_and_says_so(bench: Bench) -> None:
    bench.up()
    where = bench.where()
    lost = ["shop/web-1", "shop/web-2"]
    for name in lost:
        bench.die(where[name])
        bench.cloud.hosts.fence(where[name], confirmed=True)
    path = bench.folder / "stack.yaml"
    path.write_text(path.read_text() + "  db: {image: nano, memory: 128 MiB, networks: [front]}\n")
    shown = bench.cloud.plan(path, spare="0")
    assert [it.name for it in shown.changes if it.text.startswith("left alone: no host can take machine")] == ["web-2"]
    with pytest.raises(Failed) as caught:
        bench.cloud.up(path, spare="0")
    assert caught.value.kind == "not-healed"
    assert caught.value.message == "all of shop is as its file says, but for machines of a host that is gone: shop/web-2"
    assert "no host can take machine shop/web-2" in caught.value.facts[0]
    assert "spread: a machine of web is on it" in caught.value.facts[0]
    assert not bench.cloud.has_unfinished("shop")
    assert sorted(bench.running()) == ["shop-db-1", "shop-web-1", "shop-web-3"]
    with pytest.raises(Failed, match="shop/web-2"):
        bench.cloud.up(path, spare="0")
    path.write_text(path.read_text().replace("must: true", "must: false"))
    bench.cloud.up(path, spare="0")
    assert sorted(bench.running()) == ["shop-db-1", "shop-web-1", "shop-web-2", "shop-web-3"]


def test_a_new_machine_that_fits_nowhere_is_refused_as_ever(bench: Bench) -> None:
    bench.up()
    path = bench.folder / "stack.yaml"
    path.write_text(path.read_text().replace("count: 3", "count: 5"))
    with pytest.raises(NoHost, match="shop/web-5"):
        bench.cloud.up(path, spare="0")
    assert sorted(bench.running()) == ["shop-web-1", "shop-web-2", "shop-web-3"]


def test_a_fenced_host_that_is_back_has_its_old_copies_taken_away_before_it_takes_machines(bench: Bench) -> None:
    bench.up()
    dead = bench.where()["shop/web-2"]
    bench.cut(dead)  # only its link: it runs on, until it is switched off
    bench.cloud.hosts.fence(dead, confirmed=True)
    [healed] = bench.cloud.hosts.heal()
    bench.join(dead)
    assert sorted(bench.running()["shop-web-2"]) == sorted([dead, healed.to]), "somebody said that it was off, and it was not"
    assert bench.cloud.hosts.show(dead).notes == ("answers again",)
    (finding,) = check_copies(bench.parts)
    assert finding.text == f"shop/web-2 is on {healed.to}; the copy on {dead} (running) is from before that host was fenced"
    assert finding.command == f"tinycloud host unfence {dead}"
    cleaned = bench.cloud.hosts.unfence(dead)
    assert cleaned.gone == ("shop/web-2",)
    assert bench.running()["shop-web-2"] == [healed.to]
    back: Any = bench.parts.hosts[dead]
    assert back.domains.find("shop-web-2") is None
    assert not [name for name in back.volumes.list_names() if "web-2" in name]
    assert not back.entry.fenced
    assert bench.cloud.hosts.unfence(dead).gone == ()


def test_the_doctor_takes_old_copies_away_and_lets_nobody_in(bench: Bench) -> None:
    bench.up()
    dead = bench.where()["shop/web-2"]
    bench.cut(dead)
    bench.cloud.hosts.fence(dead, confirmed=True)
    [healed] = bench.cloud.hosts.heal()
    bench.join(dead)
    (finding,) = check_copies(bench.parts, fix=True)
    assert (finding.state, finding.host) == ("ok", dead)
    assert bench.running()["shop-web-2"] == [healed.to]
    assert bench.cloud.hosts.show(dead).state == "fenced"
    assert list(check_copies(bench.parts, fix=True)) == []


def test_a_host_that_does_not_answer_stays_fenced(bench: Bench) -> None:
    bench.cut("h3")
    bench.cloud.hosts.fence("h3", confirmed=True)
    with pytest.raises(Unreachable, match="stays fenced until it does"):
        bench.cloud.hosts.unfence("h3")
    assert bench.cloud.hosts.show("h3").state == "fenced"


def test_a_machine_that_may_be_elsewhere_by_then_does_not_start_with_its_host(bench: Bench) -> None:
    bench.up()
    host = bench.where()["shop/web-1"]
    document = json.loads((bench.folder / host / "domains" / "shop-web-1.json").read_text())
    assert document["autostart"] is False


class Folder(FakeShell):
    """A shell on a host that sees a folder of this machine."""

    def run(self, argv: Any, **options: Any) -> Done:
        options["on_line"](json.dumps(common.main(**json.loads(argv[-1]))))
        return Done(tuple(argv), 0, b"", b"")


def test_a_machine_in_a_shared_folder_is_not_started_where_an_older_copy_is(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.up()
    monkeypatch.setattr(lease, "_list_folders", lambda host, mark: [str(tmp_path / "common")])
    monkeypatch.setattr(common, "HOOK", str(tmp_path / "hook"))
    machine = bench.cloud.machine("shop/web-1").facts
    here = bench.parts.hosts[machine.host]
    here.shell = Folder()  # type: ignore[misc]
    newer = replace(machine.mark, generation=machine.mark.generation + 1)
    lease.take_lease(here, machine.mark)
    other: Any = FakeHost(tmp_path / "other", "other")
    other.shell = Folder()
    lease.take_lease(other, newer)
    here.domains.destroy("shop-web-1")
    with pytest.raises(Refused) as caught:
        bench.cloud.machine("shop/web-1").start()
    assert caught.value.kind == "stale-copy"
    assert caught.value.message == f"shop/web-1 is not started on {machine.host}: it was started on other since"
    lease.drop_lease(other, newer)
    lease.put_leases(here, machine.mark, lease.look_at_leases(here, machine.mark))
    bench.cloud.machine("shop/web-1").start()


def test_a_machine_that_came_to_a_host_just_before_it_fell_silent_is_not_made_anew(bench: Bench) -> None:
    bench.up()
    spare = next(name for name in NAMES if name not in bench.where().values())
    bench.cloud.migrate("shop/web-2", spare)
    bench.cut_off.add(spare)  # nobody looked at it since
    bench.remake()
    assert bench.where()["shop/web-2"] == spare
    assert bench.cloud.machine("shop/web-2").state == "unreachable"
    bench.up()
    assert bench.running()["shop-web-2"] == [spare]
    bench.cloud.hosts.fence(spare, confirmed=True)
    assert [it.ref for it in bench.cloud.hosts.heal() if it.to] == ["shop/web-2"]
