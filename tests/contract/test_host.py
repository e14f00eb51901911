"""The host itself, and whether this suite asks for everything that a host can be asked."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.things import a_domain
from tinycloud.drivers import host as protocols
from tinycloud.templates.xml import read_processor

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host


def test_facts_of_a_host_are_plausible(host: Host) -> None:
    facts = host.read_facts()
    assert facts.arch in ("x86_64", "aarch64", "ppc64le", "s390x")
    assert facts.cpus >= 1
    assert 0 < facts.memory_free <= facts.memory
    assert "qemu" in facts.hypervisors


def test_what_is_used_of_a_host_is_told(host: Host) -> None:
    first = host.read_usage()
    assert 0 <= first.memory <= host.read_facts().memory
    assert host.read_usage().cpu >= first.cpu >= 0


def test_a_closed_host_opens_again(host: Host) -> None:
    host.domains.define(a_domain())
    host.close()
    host.close()
    assert host.domains.get_state("a-1") == "stopped"


def test_the_shell_of_a_host_runs_there(host: Host) -> None:
    assert host.shell.run(["true"]).status == 0
    assert host.uri.partition("://")[0] in ("fake", "qemu")


def test_a_host_keeps_the_highest_number_of_each_lock_and_says_which_are_over(host: Host) -> None:
    now = 10**15
    assert host.admit({"shop": now, ".images": now}) == ()
    assert host.admit({"shop": now, ".images": now}) == ()
    assert host.admit({"shop": now - 1}) == ("shop",)
    assert host.admit({"shop": now - 1, ".images": now + 5}) == ("shop",)  # then none is noted
    assert host.admit({".images": now + 1}) == ()
    assert host.admit({".images shared": now}) == (".images shared",)  # somebody had it alone since
    assert host.admit({".images shared": now + 9}) == ()
    assert host.admit({".images shared": now + 7}) == ()  # those who share it do not keep each other out
    assert host.admit({".images": now + 8}) == (".images",)
    assert host.admit({".images": now + 10}) == ()
    assert host.admit({".images shared": now + 9}) == (".images shared",)
    assert host.admit({}) == ()
    assert host.admit({"bank": 2 * now}) == ()  # years later: nobody holds what was so long ago
    assert host.admit({"shop": now - 1}) == ()


def test_a_host_says_who_it_is(host: Host) -> None:
    who = host.read_identity()
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", who.uuid)
    assert re.fullmatch(r"\d+\.\d+\.\d+", who.libvirt)
    assert re.fullmatch(r"\d+\.\d+\.\d+", who.hypervisor)
    assert who == host.read_identity()


def test_what_equal_processors_have_in_common_is_a_processor(host: Host) -> None:
    mine = host.read_processor("qemu")
    common = host.find_common([mine, mine], "qemu")
    assert re.fullmatch(r"[\w.-]+( [+-][\w.-]+)*", read_processor(common))


def test_models_that_a_host_can_show_have_names(host: Host) -> None:
    found = host.list_models("qemu")
    assert "qemu64" in found
    assert list(found) == sorted(set(found))


def _list_methods() -> list[str]:
    groups = (protocols.Domains, protocols.Networks, protocols.Volumes)
    return [
        f"{group.__name__.lower()}.{name}"
        for group in groups
        for name, it in vars(group).items()
        if inspect.isfunction(it) and name[0] != "_"
    ]


@pytest.mark.parametrize("method", _list_methods())
def test_the_contract_covers(method: str) -> None:
    name = method.partition(".")[2]
    texts = [path.read_text() for path in Path(__file__).parent.glob("*.py")]
    assert any(re.search(rf"\.{name}\b", text) for text in texts)
