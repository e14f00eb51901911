"""Encrypted moves: what both ends must have, and what they would ask of each other."""

from __future__ import annotations

from tinycloud.model.move import Credentials
from tinycloud.plan.move_tls import End, Question, list_lacks, list_questions, must_encrypt

FILES = {"ca-cert.pem": "CA", "server-cert.pem": "SERVER", "client-cert.pem": "CLIENT"}


def end(host: str, *, asks: bool = True, files: dict[str, str] = FILES, troubles: tuple[tuple[str, str], ...] = ()) -> End:
    return End(host, Credentials("/pki", asks=asks, files=files, troubles=troubles))


BARE = (("server", "no server-key.pem in /pki"), ("client", "no client-key.pem in /pki"))


def test_one_host_that_wants_it_is_enough() -> None:
    plain, forced = Credentials(), Credentials(forced=True)
    assert not must_encrypt(plain, plain)
    assert must_encrypt(forced, plain)
    assert must_encrypt(plain, forced)


def test_the_source_is_the_client_and_the_target_the_server() -> None:
    found = list(list_lacks(end("a", troubles=BARE), end("b", troubles=BARE)))
    assert found == ["b: no server-key.pem in /pki", "a: no client-key.pem in /pki"]


def test_a_target_that_asks_nobody_takes_a_source_that_only_believes() -> None:
    target = end("b", asks=False)
    assert list(list_lacks(end("a", troubles=BARE), target)) == []
    assert list(list_lacks(end("a", files={}, troubles=BARE), target)) == ["a: no ca-cert.pem in /pki"]
    assert {it.purpose for it in list_questions(end("a"), target, "10.0.0.2")} == {"server"}


def test_each_asks_the_other_and_only_the_source_for_a_name() -> None:
    asked = list_questions(end("a"), end("b"), "10.0.0.2")
    assert [(it.owner, it.judge, it.purpose, it.name) for it in asked] == [
        ("b", "b", "server", ""),
        ("b", "a", "server", "10.0.0.2"),
        ("a", "a", "client", ""),
        ("a", "b", "client", ""),
    ]


def test_a_doubt_names_whose_it_is_and_whose_authority() -> None:
    question = Question("b", "SERVER", "CA", "server", "a", "10.0.0.2")
    assert question.tell("") == ""
    assert question.tell("has expired") == "b: its server-cert.pem has expired"
    assert question.tell("is not signed by the authority") == "b: its server-cert.pem is not signed by the authority in ca-cert.pem of a"
