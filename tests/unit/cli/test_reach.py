"""``why --to`` and ``why --from``: who may reach whom, as people read it and programs get it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import fake_parts, write_stack
from tests.contract.things import flush_firewall
from tests.unit.cli.conftest import Command

SHOP = """
stack: shop
networks: {front: {subnet: 10.60.0.0/24}, back: {subnet: 10.61.0.0/24, access: isolated}}
policies: {db: {inbound: [{tcp: 5432, from: {group: web}}]}}
groups:
  db: {image: nano, networks: [front], policies: [db]}
  tool: {image: nano, networks: [back]}
  web: {image: nano, networks: [front]}
"""


@pytest.fixture
def shop(on_a_fake_host: Command, tmp_path: Path) -> Command:
    assert on_a_fake_host("up", write_stack(tmp_path, SHOP), "--yes", "--plain").status == 0
    return on_a_fake_host


def test_what_lets_it_pass_is_said_line_by_line(shop: Command) -> None:
    ended = shop("why", "shop/web-1", "--to", "db-1", "--port", "tcp/5432")
    assert ended.out.splitlines() == [
        "shop/web-1 may reach shop/db-1 at tcp/5432",
        "  route    on local: both are in network front: 10.60.0.12 → 10.60.0.11",
        "  out      on local: shop/web-1 has no policies: it may reach whatever its networks lead to",
        "  in       on local: policy db of shop/db-1, inbound rule 1: tcp 5432 from group web",
        "  name     db-1, db-1.shop: 10.60.0.11",
    ]


def test_what_stops_it_is_said_with_the_rule_that_would_allow_it(shop: Command) -> None:
    shop("stop", "db-1", "--force")
    ended = shop("why", "db-1", "--from", "tool-1", "--port", "icmp")
    assert ended.status == 0
    assert ended.out.splitlines() == [
        "shop/tool-1 may not reach shop/db-1 at icmp",
        "  route    NO  on local: network back is isolated: nothing leaves it",
        "  entrance on local: network front has access nat: shop/db-1 has policies, and they decide",
        "  out      on local: shop/tool-1 has no policies: it may reach whatever its networks lead to",
        "  in       NO  on local: shop/db-1 has policies (db), and none of their 1 inbound rules fits",
        "  name     db-1, db-1.shop: 10.60.0.11",
        "  state    shop/db-1 is stopped",
    ]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("web-1", "--to", "db-1", "--port", "tcp/22"), "{tcp: 22, from: {group: web}}"),
        (("--from", "host", "--to", "db-1", "--port", "udp/53"), "{udp: 53, from: host}"),
        (("db-1", "--from", "10.60.0.9", "--port", "icmp"), "{icmp: true, from: 10.60.0.9}"),
    ],
)
def test_the_hint_is_a_rule_as_one_writes_it(shop: Command, words: tuple[str, ...], hint: str) -> None:
    last = shop("why", *words).out.splitlines()[-1]
    assert last == f"hint: in the file of the stack: policies: {{db: {{inbound: [{hint}]}}}}"


def test_rules_that_somebody_flushed_are_told_for_then_nothing_holds(shop: Command, tmp_path: Path) -> None:
    """Those of one stack, once, though both machines are of it."""
    words = ("why", "web-1", "--to", "db-1", "--port", "tcp/5432")
    before = shop(*words).out
    flush_firewall(fake_parts(tmp_path).first_host)
    gone = "  rules    NO  on local: those of shop are not in force; the next up, start or reboot puts them there"
    assert shop(*words).out.splitlines() == [*before.splitlines(), gone]


def test_a_program_gets_each_reason_by_itself(shop: Command) -> None:
    told = json.loads(shop("why", "web-1", "--to", "db-1", "--port", "tcp/5432", "--json").out)
    assert (told["allowed"], told["headline"]) == (True, "shop/web-1 may reach shop/db-1 at tcp/5432")
    assert [reason["kind"] for reason in told["reasons"]] == ["route", "out", "in"]
    assert {key: told["reasons"][-1][key] for key in ("passes", "host", "policy", "rule")} == {
        "passes": True,
        "host": "local",
        "policy": "db",
        "rule": 1,
    }


def test_a_machine_that_may_be_reached_and_is_off_is_told_to_start(shop: Command) -> None:
    shop("stop", "web-1", "--force")
    lines = shop("why", "web-1", "--from", "host", "--port", "tcp/22").out.splitlines()
    assert lines[-2:] == ["  state    shop/web-1 is stopped", "hint: tinycloud start shop/web-1"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--to", "db-1", "--port", "icmp"), "one side is missing", "tinycloud why shop/web-1 --to shop/db-1 --port tcp/5432"),
        (("web-1", "--from", "host", "--to", "db-1"), "MACHINE, --from and --to are one side too many", "tinycloud why shop/web-1"),
        (("web-1", "--to", "db-1"), "say what is to be reached: which protocol, which port", "--port tcp/22, --port udp/53, --port icmp"),
        (("web-1", "--to", "db-1", "--port", "22"), '--port: found "22", expected tcp/PORT, udp/PORT or icmp', "--port tcp/22"),
        (("web-1", "--port", "tcp/22"), "--port goes with --to or --from", "tinycloud why --help"),
        ((), "say which machine", "tinycloud why --help"),
        (("web-1", "--to", "bd-1", "--port", "icmp"), '"bd-1" is no machine, no host and no address', ""),
        (("web-1", "--to", "shop", "--port", "icmp"), '"shop" means 3 machines', "say which"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_how_to_ask(shop: Command, words: tuple[str, ...], message: str, hint: str) -> None:
    ended = shop("why", *words)
    assert ended.status == 2
    assert message in ended.err
    assert hint in ended.err
