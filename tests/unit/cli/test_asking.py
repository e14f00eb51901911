"""Whether to go ahead: asked of a person, never of a program."""

from __future__ import annotations

import io

import pytest

from tinycloud.cli.asking import Asking
from tinycloud.cli.live import JsonLines, Lines
from tinycloud.errors import Declined
from tinycloud.model.plan import Act, Change, Plan, Price

PLAN = Plan("shop", "up", (Change(Act.ADD, "network", "front", "10.60.0.0/24", Price.ADD),), (), hosts=("local",))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Somebody at a terminal; what they type is written into it beforehand."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stdin", terminal)
    return terminal


@pytest.mark.parametrize(
    ("typed", "agreed"), [("y\n", True), ("YES\n", True), (" y \n", True), ("\n", False), ("n\n", False), ("yep\n", False), ("", False)]
)
def test_only_yes_is_yes(person: Terminal, capsys: pytest.CaptureFixture[str], typed: str, agreed: bool) -> None:
    person.write(typed)
    person.seek(0)
    asking = Asking(Lines(), yes=False, source="shop.yaml")
    assert asking.agree(PLAN) is agreed
    end = "" if typed else "\n"  # Ctrl-D leaves the line open
    assert capsys.readouterr().out == (
        "shop  on local  from shop.yaml\n  + network  front  10.60.0.0/24\n1 to add.\ngo ahead? [y/N] " + end
    )


def test_with_yes_nobody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    asking = Asking(Lines(), yes=True)
    assert not asking.changed
    assert asking.agree(PLAN)
    assert asking.changed
    assert asking.plan is PLAN
    assert asking.seconds < 5
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("display", [Lines, JsonLines])
def test_where_nobody_can_be_asked_it_is_refused(display: type[Lines | JsonLines], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(Declined) as caught:
        Asking(display(), yes=False).agree(PLAN)
    assert (caught.value.message, caught.value.hint, caught.value.exit) == ("there is nobody to ask", "add --yes", 4)


def test_a_program_at_a_terminal_is_not_asked_either(person: Terminal) -> None:
    with pytest.raises(Declined):
        Asking(JsonLines(), yes=False).agree(PLAN)
