"""Commands that make images from images and machines: edit, inspect, publish."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinycloud.cli.images import group, make_json
from tinycloud.cli.output import print_json
from tinycloud.cli.session import complete_disk, complete_image, complete_machine, json_option, open_cloud
from tinycloud.errors import WrongInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinycloud.engine.edit import Edited

_name = click.option("--as", "name", required=True, metavar="NEW", help="Name of the new image.")
_login = click.option("--login", default="", metavar="USER", help="Who logs in by ssh [as before].")


@group.command()
@click.argument("image", shell_complete=complete_image)
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@_name
@click.option("--hostname", help="Also in /etc/hosts.")
@click.option("--user", "user", metavar="NAME", help="Add this account, or change it.")
@click.option("--password-stdin", is_flag=True, help="Its password is the first line of the input.")
@click.option("--ssh-key", "keys", multiple=True, metavar="KEY|FILE", help="Its public key, of root without --user. Repeatable.")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="It is a member of this group. Repeatable.")
@click.option("--sudo", is_flag=True, help="It may do everything, without a password.")
@click.option("--root-password-stdin", is_flag=True, help="root's password is the first line of the input.")
@click.option("--install", "packages", multiple=True, metavar="PACKAGE", help="With the guest's package manager. Repeatable.")
@click.option("--proxy", metavar="URL", help="Where the package manager fetches through, then and later.")
@click.option("--file", "files", multiple=True, metavar="SOURCE:TARGET", help="Copy a text file in, root's, 0644. Repeatable.")
@click.option("--run", "commands", multiple=True, metavar="COMMAND", help="Run inside, as root, after all else. Repeatable.")
@click.option("--timezone", metavar="ZONE", help="Europe/Berlin.")
@click.option("--locale", metavar="LOCALE", help="de_DE.UTF-8.")
@click.option("--disk", metavar="SIZE", help="Make the disk this large first; its root takes the room.")
@click.option("--generalise", is_flag=True, help="First forget machine-id, host keys, leases, logs.")
@click.option("--fresh", is_flag=True, help="Make it anew, even where the same base and recipe made an image before.")
@_login
@json_option
def edit(image: str, recipe: Path | None, name: str, *, fresh: bool, login: str, as_json: bool, **flags: Any) -> None:
    """Make a new image from IMAGE by a RECIPE file, by options, or both. IMAGE itself is never changed."""
    keys = make_keys(flags)
    if recipe is None and not keys:
        raise WrongInput("there is nothing to do: give a RECIPE file, or an option", code="usage", hint="tinycloud image edit --help")
    with open_cloud() as cloud:
        _report(cloud.images.edit(image, name, recipe, user=login, fresh=fresh, hear=_hear, **keys), as_json=as_json)


def make_keys(flags: dict[str, Any]) -> dict[str, Any]:
    """The options of ``edit`` as keys of a recipe."""
    keys: dict[str, Any] = {key: flags[key] for key in ("hostname", "proxy", "timezone", "locale", "disk") if flags[key]}
    keys |= {"generalise": True} if flags["generalise"] else {}
    keys |= {"packages": list(flags["packages"])} if flags["packages"] else {}
    keys |= {"run": list(flags["commands"])} if flags["commands"] else {}
    keys |= {"files": [_make_file(text) for text in flags["files"]]} if flags["files"] else {}
    users = _make_users(flags)
    return keys | ({"users": users} if users else {})


def _make_users(flags: dict[str, Any]) -> list[dict[str, Any]]:
    name, password, root = flags["user"], flags["password_stdin"], flags["root_password_stdin"]
    if not name and (password or flags["groups"] or flags["sudo"]):
        raise WrongInput("--password-stdin, --group and --sudo are about an account: which?", code="usage", hint="--user NAME")
    if password and root:
        raise WrongInput("the input holds one password, not two", code="usage", hint="write the other one into a recipe file")
    users = []
    if name or flags["keys"]:
        it: dict[str, Any] = {"name": name or "root", "ssh_keys": _make_keys(flags["keys"])}
        it |= {"groups": list(flags["groups"]), "sudo": flags["sudo"]}
        users.append(it | ({"password": _read_password()} if password else {}))
    return [*users, {"name": "root", "password": _read_password()}] if root else users


def _read_password() -> str:
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise WrongInput("no password came in", code="usage", hint="echo PASSWORD | tinycloud image edit …")
    return line


def _make_keys(keys: Sequence[str]) -> list[str]:
    """Names of files start here, not at a recipe's folder."""
    return [key if " " in key else str(Path(key).expanduser().absolute()) for key in keys]


def _make_file(text: str) -> dict[str, str]:
    source, colon, target = text.rpartition(":")
    if not colon or not source or not target.startswith("/"):
        raise WrongInput(f'--file "{text}": expected SOURCE:/TARGET', code="usage", hint="--file motd:/etc/motd")
    return {"path": target, "source": str(Path(source).expanduser().absolute())}


def _hear(text: str) -> None:
    if sys.stderr.isatty():
        print(f"  {text}", file=sys.stderr, flush=True)


def _report(made: Edited, *, as_json: bool) -> None:
    if as_json:
        print_json({**make_json(made.image), "present": made.present, "notes": made.notes})
        return
    for note in made.notes:
        print(f"note: {note}", file=sys.stderr)
    how = "made before from the same" if made.present else f"{made.image.size}, {made.image.stored} on disk"
    print(f"image {made.image.label}  {how}")


@group.command()
@click.argument("disk", metavar="IMAGE|VOLUME", shell_complete=complete_disk)
@click.option("--save", is_flag=True, help="Write the system, and how it is prepared, into the image's card.")
@json_option
def inspect(disk: str, save: bool, as_json: bool) -> None:
    """Look inside an image, or inside the disk of a machine that is off: system, network, packages, accounts."""
    with open_cloud() as cloud:
        found = cloud.images.inspect(disk, save=save, hear=_hear)
    if as_json:
        print_json({**asdict(found), "prepare": found.prepare})
        return
    facts = {
        **asdict(found),
        "people": ", ".join(found.people),
        "cloud_init": "yes" if found.cloud_init else "no",
        "prepare": found.prepare,
    }
    for key, value in facts.items():
        print(f"{key.replace('_', ' '):<16} {'-' if value in ('', None) else value}")


@click.command()
@click.argument("machine", shell_complete=complete_machine)
@_name
@_login
@json_option
def publish(machine: str, name: str, login: str, as_json: bool) -> None:
    """Make an image from the root disk of a machine that is off, without its ids, host keys, leases and logs."""
    with open_cloud() as cloud:
        _report(cloud.images.publish(machine, name, user=login, hear=_hear), as_json=as_json)


COMMANDS = (publish,)
