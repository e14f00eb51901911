"""Access rules that somebody flushed: put back by what starts machines, by a watch, by the doctor, which also names who is in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import fake_cloud
from tests.unit.engine.pretend import TellingShell
from tinycloud.cloud import Cloud
from tinycloud.drivers.fake import FakeHost
from tinycloud.engine.doctor_wall import check_others, check_rules
from tinycloud.engine.watch import Seen, Watch
from tinycloud.errors import Missing

STACK = "stack: shop\nnetworks: {front: {subnet: 10.60.0.0/24}}\ngroups: {web: {image: nano, networks: [front]}}"


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    cloud = fake_cloud(tmp_path)
    cloud.up(file_in(tmp_path))
    return cloud


def file_in(folder: Path) -> Path:
    (folder / "stack.yaml").write_text(STACK)
    return folder / "stack.yaml"


def host_of(cloud: Cloud) -> FakeHost:
    host = cloud.parts.first_host
    assert isinstance(host, FakeHost)
    return host


def test_an_up_puts_them_back_and_says_so_once(cloud: Cloud, tmp_path: Path) -> None:
    file = file_in(tmp_path)
    assert cloud.plan(file).is_empty
    host_of(cloud).firewall.flush()
    (change,) = cloud.plan(file).changes
    assert (change.kind, change.name, str(change.price)) == ("access", "rules", "live")
    cloud.up(file)
    assert host_of(cloud).firewall.find_marks()
    assert cloud.plan(file).is_empty


@pytest.mark.parametrize("verb", ["start", "reboot"])
def test_a_start_and_a_reboot_put_them_back_first(cloud: Cloud, verb: str) -> None:
    machine = cloud.machine("shop/web-1")
    if verb == "start":
        machine.stop(force=True)
    host_of(cloud).firewall.flush()
    getattr(machine, verb)()
    assert host_of(cloud).firewall.find_marks()


def test_a_watch_puts_them_back_and_tells_it_and_does_not_bring_back_what_a_down_took(cloud: Cloud) -> None:
    seen: list[Seen] = []
    watch = Watch(cloud.parts, seen.append)
    watch.look()
    assert seen == []
    for _ in range(2):
        host_of(cloud).firewall.flush()
        watch.look()
        assert host_of(cloud).firewall.find_marks()
    assert [(it.kind, it.subject) for it in seen] == [("rules", "local")] * 2
    cloud.down("shop")
    watch.look()
    assert not host_of(cloud).firewall.find_marks()
    assert len(seen) == 2


def test_a_watch_that_begins_after_the_flush_puts_them_back_too(cloud: Cloud) -> None:
    host_of(cloud).firewall.flush()
    Watch(cloud.parts, lambda _: None).look()
    assert host_of(cloud).firewall.find_marks()


def test_the_doctor_says_whether_they_are_in_force(cloud: Cloud, tmp_path: Path) -> None:
    assert [it.state for it in check_rules(cloud.parts)] == ["ok"]
    host_of(cloud).firewall.flush()
    (finding,) = check_rules(cloud.parts)
    assert (finding.state, finding.command) == ("problem", "tinycloud doctor --fix")
    found = {it.topic: it for it in cloud.doctor(fix=True)}
    assert "(mended)" in found["access rules"].text
    assert [*check_rules(fake_cloud(tmp_path / "empty").parts)] == []


def chain(table: str, name: str, hook: str = "", policy: str = "", family: str = "inet") -> dict[str, object]:
    told = {"hook": hook, "policy": policy, "type": "filter", "prio": 0} if hook else {}
    return {"chain": {"family": family, "table": table, "name": name, **told}}


LIBVIRT = chain("filter", "LIBVIRT_FWI", family="ip")


@pytest.mark.parametrize(
    ("chains", "states", "words"),
    [
        ([LIBVIRT], [], ""),
        ([LIBVIRT, chain("filter", "FORWARD", "forward", "accept", "ip"), chain("tinycloud", "x", "forward", "drop")], [], ""),
        ([LIBVIRT, chain("filter", "FORWARD", "forward", "drop", "ip"), chain("filter", "DOCKER", family="ip")], ["note"], "Docker's way"),
        ([LIBVIRT, chain("filter", "FORWARD", "forward", "drop", "ip")], ["note"], "bridges of the host's own"),
        (
            [LIBVIRT, chain("mine", "fwd", "forward", "drop")],
            ["problem"],
            """nft 'insert rule inet mine fwd iifname "tc-*" accept'; nft 'insert rule inet mine fwd oifname "tc-*" accept'""",
        ),
        ([LIBVIRT, chain("mine", "in", "input", "drop")], ["problem"], "machines get no address and no names"),
        ([chain("filter", "FORWARD", "forward", "drop", "ip")], ["problem", "problem"], "libvirt's own rules are gone"),
        ([chain("libvirt_network", "forward", "forward", "accept", "ip")], [], ""),
        ([], ["problem"], "libvirt's own rules are gone"),
    ],
)
def test_the_doctor_names_what_others_drop_and_what_would_mend_it(
    cloud: Cloud, chains: list[dict[str, object]], states: list[str], words: str
) -> None:
    shell = TellingShell()
    shell.says["nft"] = json.dumps({"nftables": [{"metainfo": {}}, *chains]})
    host_of(cloud).shell = shell
    found = [*check_others(cloud.parts)]
    assert [it.state for it in found] == states
    assert words in " ".join(it.text for it in found)
    assert all(it.fix == () or it.topic == "libvirt rules" for it in found), "what is others' is theirs to change"


def test_the_doctor_says_nothing_of_others_where_nobody_lets_it_look(cloud: Cloud) -> None:
    shell = TellingShell()
    shell.fails["nft"] = Missing("nft needs root rights")
    host_of(cloud).shell = shell
    assert [*check_others(cloud.parts)] == []
