"""From a recipe and a guest's files to changes."""

from __future__ import annotations

from typing import Any

import pytest

from tinycloud.errors import Refused
from tinycloud.model.recipe import Recipe
from tinycloud.templates.guestfiles.changes import Change, CopyFolder, MakeFolder, WriteFile
from tinycloud.templates.guestfiles.edits import make_edits
from tinycloud.templates.guestfiles.guest import PlainGuest
from tinycloud.templates.guestfiles.packages import make_install

BASE = {
    "/etc/passwd": b"root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/dev/null:/bin/false\n",
    "/etc/group": b"root:x:0:\nstaff:x:50:\n",
    "/etc/shadow": b"root:*:19000:0:99999:7:::\n",
    "/etc/hostname": b"image\n",
    "/etc/hosts": b"127.0.0.1\tlocalhost\n",
    "/bin/bash": b"",
    "/etc/sudoers.d/README": b"",
    "/root/.bashrc": b"",
}


def edits(there: dict[str, bytes] | None = None, hashes: dict[str, str] | None = None, **recipe: Any) -> list[Change]:
    return make_edits(Recipe.model_validate(recipe), PlainGuest({**BASE, **(there or {})}), hashes or {})


def written(changes: list[Change]) -> dict[str, WriteFile]:
    return {change.path: change for change in changes if isinstance(change, WriteFile)}


def test_an_empty_recipe_changes_nothing() -> None:
    assert edits() == []


def test_a_new_user_gets_account_home_keys_and_rights() -> None:
    user = {"name": "anna", "groups": ["staff"], "ssh_keys": ["ssh-ed25519 AAAA anna"], "sudo": True}
    changes = edits(users=[user], hashes={"anna": "$6$salt$hash"})
    files = written(changes)
    assert files["/etc/passwd"].body == BASE["/etc/passwd"] + b"anna:x:1000:1000::/home/anna:/bin/bash\n"
    assert files["/etc/shadow"].body == BASE["/etc/shadow"] + b"anna:$6$salt$hash::0:99999:7:::\n"
    assert files["/etc/group"].body == b"root:x:0:\nstaff:x:50:anna\nanna:x:1000:\n"
    assert files["/etc/passwd"].mode is None, "rights stay as they are"
    assert CopyFolder("/etc/skel", "/home/anna", 0o700, (1000, 1000)) in changes
    assert MakeFolder("/home/anna/.ssh", 0o700, (1000, 1000)) in changes
    keys = files["/home/anna/.ssh/authorized_keys"]
    assert (keys.body, keys.mode, keys.owner) == (b"ssh-ed25519 AAAA anna\n", 0o600, (1000, 1000))
    assert (files["/etc/sudoers.d/90-anna"].body, files["/etc/sudoers.d/90-anna"].mode) == (b"anna ALL=(ALL:ALL) NOPASSWD:ALL\n", 0o440)


def test_an_account_that_exists_is_changed_where_it_is_told() -> None:
    files = written(edits(users=[{"name": "root", "shell": "/bin/sh"}], hashes={"root": "$6$x"}))
    assert set(files) == {"/etc/passwd", "/etc/shadow"}
    assert files["/etc/passwd"].body.startswith(b"root:x:0:0:root:/root:/bin/sh\n")
    assert files["/etc/shadow"].body == b"root:$6$x:19000:0:99999:7:::\n"


def test_keys_are_added_once_to_those_that_are_there() -> None:
    there = {"/root/.ssh/authorized_keys": b"ssh-rsa OLD me"}
    files = written(edits(there, users=[{"name": "root", "ssh_keys": ["ssh-rsa OLD me", "ssh-rsa NEW me", "ssh-rsa NEW me"]}]))
    assert files["/root/.ssh/authorized_keys"].body == b"ssh-rsa OLD me\nssh-rsa NEW me\n"


def test_what_was_edited_needs_no_edit() -> None:
    recipe: dict[str, Any] = {"hostname": "web-1", "users": [{"name": "anna", "groups": ["staff"], "ssh_keys": ["ssh-rsa A"]}]}
    once = {name: change.body for name, change in written(edits(hashes={"anna": "$6$x"}, **recipe)).items()}
    again = written(edits({**once, "/home/anna/.profile": b""}, hashes={"anna": "$6$x"}, **recipe))
    assert {name: change.body for name, change in again.items()} == {name: once[name] for name in again}


def test_a_guest_without_shadow_keeps_the_hash_in_passwd() -> None:
    bare = PlainGuest({"/etc/passwd": b"root::0:0::/:/bin/sh\n", "/etc/group": b"root:x:0:\n"})
    changes = make_edits(Recipe.model_validate({"users": [{"name": "root"}]}), bare, {"root": "$6$x"})
    assert changes == [WriteFile("/etc/passwd", b"root:$6$x:0:0::/:/bin/sh\n")]


def test_a_guest_with_doas_gets_the_right_by_doas() -> None:
    bare = {name: body for name, body in BASE.items() if "sudoers" not in name} | {"/etc/doas.d/site.conf": b""}
    changes = make_edits(Recipe.model_validate({"users": [{"name": "root", "sudo": True}]}), PlainGuest(bare), {})
    assert written(changes)["/etc/doas.d/90-root.conf"].body == b"permit nopass root\n"


def test_files_belong_to_whom_the_recipe_says() -> None:
    files = [
        {"path": "/srv/a", "content": "x", "owner": "anna:staff", "mode": "0600"},
        {"path": "/srv/b", "content": "y"},
        {"path": "/srv/c", "content": "z", "owner": "12:34"},
    ]
    made = written(edits(users=[{"name": "anna"}], files=files))
    assert (made["/srv/a"].mode, made["/srv/a"].owner) == (0o600, (1000, 50))
    assert (made["/srv/b"].mode, made["/srv/b"].owner) == (0o644, (0, 0))
    assert made["/srv/c"].owner == (12, 34)


@pytest.mark.parametrize(("owner", "who"), [("bert:root", 'user "bert"'), ("root:crew", 'group "crew"')])
def test_a_file_of_nobody_is_refused(owner: str, who: str) -> None:
    with pytest.raises(Refused, match=who) as caught:
        edits(files=[{"path": "/srv/a", "content": "x", "owner": owner}])
    assert caught.value.kind == "no-account"


def test_keys_for_somebody_without_a_home_are_refused() -> None:
    with pytest.raises(Refused, match='user "nobody" has no home') as caught:
        edits(users=[{"name": "nobody", "ssh_keys": ["ssh-rsa A"]}])
    assert caught.value.kind == "no-home"


def test_a_disk_without_accounts_is_no_system() -> None:
    with pytest.raises(Refused) as caught:
        make_edits(Recipe.model_validate({"users": [{"name": "root"}]}), PlainGuest({"/etc/hosts": b""}), {})
    assert caught.value.kind == "no-system"


@pytest.mark.parametrize(
    ("config", "relabels"), [(b"SELINUX=enforcing\n", True), (b"SELINUX=disabled\n", False), (b"# SELINUX=x\n", False)]
)
def test_a_guest_with_selinux_labels_its_files_anew(config: bytes, relabels: bool) -> None:
    assert ("/.autorelabel" in written(edits({"/etc/selinux/config": config}, hostname="web"))) == relabels


def test_cloud_init_is_switched_off_where_there_is_one() -> None:
    assert edits(cloud_init="off") == []
    assert "/etc/cloud/cloud-init.disabled" in written(edits({"/etc/cloud/cloud.cfg": b""}, cloud_init="off"))


@pytest.mark.parametrize(
    ("tool", "says"),
    [
        ("/usr/bin/apt-get", "apt-get -q -y"),
        ("/sbin/apk", "apk add --no-cache"),
        ("/usr/bin/dnf", "dnf -y install"),
        ("/usr/bin/zypper", "zypper -n install"),
    ],
)
def test_the_guests_own_package_manager_installs(tool: str, says: str) -> None:
    script = make_install(PlainGuest({tool: b""}), ["nginx", "g++"], "http://10.0.0.1:3142")
    assert says in script
    assert "nginx g++" in script
    assert "http_proxy=http://10.0.0.1:3142" in script


def test_a_guest_without_a_package_manager_installs_nothing() -> None:
    with pytest.raises(Refused) as caught:
        make_install(PlainGuest(), ["nginx"])
    assert caught.value.kind == "no-package-manager"
