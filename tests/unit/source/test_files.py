"""Files that a stack file names: keys, contents, templates; missing, too large, of the wrong kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import load
from tests.unit.source.wrong import MARK, complain, find_place
from tinycloud.model.stack import Group

KEY = "ssh-ed25519 AAAAC3Nz me@here"
ANOTHER = "ecdsa-sha2-nistp256 AAAAE2Vj you@there"


def text(body: str) -> str:
    return f"stack: a\ngroups:\n  web: {{image: nano, {body}}}\n"


def group(folder: Path, body: str) -> Group:
    return load(text(body), file=str(folder / "stack.yaml")).stack.groups["web"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "team.pub").write_text(f"# the team\n{KEY}\n\n  {ANOTHER}\r\n")
    (tmp_path / "words").write_text("hello\n")
    (tmp_path / "nothing").write_text("# only a comment\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    (tmp_path / "just").write_bytes(b"x" * (1024 * 1024))
    (tmp_path / "private").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n")
    return tmp_path


def test_a_key_is_written_out_or_a_file_of_keys(folder: Path) -> None:
    found = group(folder, f"guest: {{ssh_keys: ['{KEY}', keys/team.pub], users: [{{name: bob, ssh_keys: [keys/team.pub]}}]}}").guest
    assert found.ssh_keys == (KEY, KEY, ANOTHER)
    assert found.users[0].ssh_keys == (KEY, ANOTHER)


def test_relative_names_start_at_the_stack_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert group(folder, "guest: {ssh_keys: [keys/../keys/team.pub]}").guest.ssh_keys == (KEY, ANOTHER)


def test_a_tilde_is_the_home_of_who_asks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert group(folder / "keys", "guest: {ssh_keys: [~/keys/team.pub]}").guest.ssh_keys == (KEY, ANOTHER)


def test_the_content_of_a_file_comes_from_a_file_beside(folder: Path) -> None:
    (file,) = group(folder, "guest: {files: [{path: /etc/motd, source: words, mode: '0600'}]}").guest.files
    assert file.content is not None
    assert (file.content.reveal(), file.source, file.mode) == ("hello\n", None, "0600")


def test_references_in_a_source_file_are_text(folder: Path) -> None:
    (folder / "script").write_text("echo ${HOME} ${groups.db.address}\n")
    (file,) = group(folder, "guest: {files: [{path: /run.sh, source: script}]}").guest.files
    assert file.content is not None
    assert file.content.reveal() == "echo ${HOME} ${groups.db.address}\n"


def test_an_empty_content_is_an_empty_file(folder: Path) -> None:
    (file,) = group(folder, "guest: {files: [{path: /etc/empty, content: ''}]}").guest.files
    assert file.content is not None
    assert file.content.reveal() == ""


def test_a_file_of_exactly_a_mebibyte_is_not_too_large(folder: Path) -> None:
    assert group(folder, "guest: {files: [{path: /big, source: just}]}").guest.files[0].content is not None


def test_a_template_is_read_once_for_all_who_use_it(folder: Path) -> None:
    (folder / "mine.xml.j2").write_text("<domain/>")
    body = "stack: a\ngroups:\n  a: {image: n, template: mine.xml.j2}\n  b: {image: n, template: mine.xml.j2}\n"
    assert load(body, file=str(folder / "stack.yaml")).templates == {"mine.xml.j2": "<domain/>"}


@pytest.mark.parametrize(
    ("body", "code", "message", "fact"),
    [
        ("guest: {ssh_keys: [keys/team.pub, ►nope.pub]}", "no-file", "there is no file nope.pub", "looked for: {0}/nope.pub"),
        ("guest: {ssh_keys: [►words]}", "wrong-value", "'words' holds no ssh public key", "expected: a line such as ssh-ed25519 AAAA…"),
        ("guest: {ssh_keys: [►private]}", "wrong-value", "'private' holds no ssh public key", "expected: a line such as ssh-ed25519 AAAA…"),
        ("guest: {ssh_keys: [►nothing]}", "wrong-value", "'nothing' holds no ssh public key", "expected: a line such as ssh-ed25519 AAAA…"),
        (
            'guest: {ssh_keys: [►"ssh-rsa AAAA\\nroot:x:0:0"]}',
            "wrong-value",
            "'ssh-rsa AAAA\\nroot:x:0:0' holds no ssh public key",
            "expected: a line such as ssh-ed25519 AAAA…",
        ),
        ("guest: {ssh_keys: [►latin]}", "unreadable-file", "cannot read latin: it is not UTF-8 text", "looked for: {0}/latin"),
        ("guest: {ssh_keys: [►/dev/zero]}", "unreadable-file", "cannot read '/dev/zero': it is larger than 1 MiB", "looked for: /dev/zero"),
        ("guest: {ssh_keys: [►keys]}", "unreadable-file", "cannot read 'keys': Is a directory", "looked for: {0}/keys"),
        (
            "guest: {ssh_keys: [►~nobody-of-that-name/id.pub]}",
            "unreadable-file",
            "cannot read '~nobody-of-that-name/id.pub': Could not determine home directory.",
            "looked for: {0}/~nobody-of-that-name/id.pub",
        ),
        ("guest: {users: [{name: a, ssh_keys: [►nope]}]}", "no-file", "there is no file nope", "looked for: {0}/nope"),
        ("guest: {files: [{path: /a, source: ►nope}]}", "no-file", "there is no file nope", "looked for: {0}/nope"),
        (
            "guest: {files: [{path: /a, source: ►large}]}",
            "unreadable-file",
            "cannot read 'large': it is larger than 1 MiB",
            "looked for: {0}/large",
        ),
        (
            "guest: {files: [{path: /a, source: ►latin}]}",
            "unreadable-file",
            "cannot read latin: it is not UTF-8 text",
            "looked for: {0}/latin",
        ),
        ("template: ►mine.xml.j2", "no-file", "there is no file mine.xml.j2", "looked for: {0}/mine.xml.j2"),
    ],
)
def test_a_file_that_cannot_serve_is_told_where_it_is_named(folder: Path, body: str, code: str, message: str, fact: str) -> None:
    (told,) = complain(text(body), folder=folder)
    assert (told.kind, told.message) == (code, message)
    assert told.facts[0] == f"{folder}/stack.yaml:{find_place(text(body))}"
    assert told.facts[-1] == fact.format(folder)


def test_a_password_is_a_secret_from_the_moment_it_is_read(folder: Path) -> None:
    loaded = load(text("guest: {users: [{name: bob, password: hunter2}, {name: eve, password: 5551234}]}"))
    bob, eve = loaded.stack.groups["web"].guest.users
    assert (str(bob.password), str(eve.password)) == ("<secret password of bob>", "<secret password of eve>")
    assert bob.password is not None
    assert bob.password.reveal() == "hunter2"
    assert "hunter2" not in repr(loaded.stack)
    assert MARK not in repr(loaded)
