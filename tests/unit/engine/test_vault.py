"""A stack's secrets: kept ones are found, new ones are good."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from tinycloud.drivers.guest.keys import Keys
from tinycloud.engine.vault import StackVault
from tinycloud.store.store import StackRecord, Store


@pytest.fixture
def vault(tmp_path: Path) -> StackVault:
    return StackVault(Keys(tmp_path / "keys"), tmp_path / "tinycloud.db", "shop")


@pytest.mark.parametrize("length", [8, 20, 128])
def test_a_secret_that_nobody_gave_is_made_of_letters_and_digits(vault: StackVault, length: int) -> None:
    value = vault.get("password", length).value
    assert len(value) == length
    assert set(value) <= set(string.ascii_letters + string.digits), "what every password field takes"


def test_no_two_secrets_are_alike(vault: StackVault) -> None:
    assert len({vault.get(f"p{n}", 20).value for n in range(50)}) == 50


def test_a_secret_is_made_once(vault: StackVault) -> None:
    first = vault.get("password", 20)
    assert vault.get("password", 30) == first
    assert vault.values == {"password": first.value}


def test_a_kept_secret_is_found_again_and_another_stacks_is_not(vault: StackVault, tmp_path: Path) -> None:
    store = Store(tmp_path / "tinycloud.db")
    store.save_stack(StackRecord("shop", "", "", secrets={"password": "kept"}))
    store.save_stack(StackRecord("lab", "", "", secrets={"token": "theirs"}))
    store.close()
    assert vault.get("password", 20).value == "kept"
    assert vault.get("token", 20).value != "theirs"


def test_a_new_secret_is_not_kept_before_the_stack_is(vault: StackVault, tmp_path: Path) -> None:
    vault.get("password", 20)
    assert not (tmp_path / "tinycloud.db").exists()


def test_a_value_that_was_given_is_not_among_those_to_keep(vault: StackVault) -> None:
    secret = vault.wrap("password", "given")
    assert (secret.name, secret.value, str(secret)) == ("password", "given", "<secret password>")
    assert vault.values == {}
    assert secret.fingerprint == vault.wrap("other", "given").fingerprint != vault.wrap("password", "else").fingerprint
    assert "given" not in secret.fingerprint
