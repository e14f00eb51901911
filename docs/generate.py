"""Writes the reference pages that follow from the source: ``python docs/generate.py``; with ``--check`` it only compares.

Commands come from click, keys from the models, errors from the classes and from every ``code=`` in the source, template
variables from the function that makes them. What the source cannot say, the meaning of a code, stands in ``meanings.py``, and
a code or a variable without one stops the generation.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from meanings import CLASSES, CODES, NETWORK_VARIABLES, STATUSES, VARIABLES, VOLUME_VARIABLES

from tinycloud import errors
from tinycloud.cli.main import app
from tinycloud.model.machine import MachineSpec, Mark, NicSpec
from tinycloud.model.names import make_bridge
from tinycloud.model.plan import NetworkWanted
from tinycloud.model.recipe import Recipe
from tinycloud.model.stack import Group, Ready, Stack
from tinycloud.model.units import Bytes
from tinycloud.source.schema import make_schema
from tinycloud.templates.domain import make_machine
from tinycloud.templates.objects import make_network, make_volume
from tinycloud.templates.render import find_shipped, list_shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/tinycloud"
PAGES = ROOT / "docs/reference"
NOTE = "<!-- Written by docs/generate.py; change the source and run `make docs`. -->\n"


def cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(map(cell, line))} |\n" for line in lines)


# commands


def write_commands() -> str:
    out = [NOTE, "# Commands\n", "Options before the command hold for every command:\n", _options(app)]
    for path, command in _walk(app, ("tinycloud",)):
        out += [f"\n## {' '.join(path)}\n", f"    {_usage(path, command)}\n", _help(command), _options(command)]
    return "\n".join(part for part in out if part)


def _walk(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _walk(command, (*path, name))
        else:
            yield (*path, name), command


def _usage(path: tuple[str, ...], command: click.Command) -> str:
    pieces = command.collect_usage_pieces(click.Context(command))
    return " ".join([*path, *pieces])


def _help(command: click.Command) -> str:
    return "\n\n".join(re.sub(r"\s+", " ", part) for part in (command.help or "").split("\n\n")) + "\n"


def _options(command: click.Command) -> str:
    rows = []
    for param in command.params:
        record = param.get_help_record(click.Context(command)) if isinstance(param, click.Option) else None
        if record:
            name, text = record
            env = f" Also {param.envvar}." if isinstance(param.envvar, str) else ""
            rows.append((f"`{name}`", f"{text}{env}"))
    return table(("option", "meaning"), rows) if rows else ""


# stack file


def write_stack_file() -> str:
    return "\n".join([NOTE, HEAD, REFERENCES, *_sections(Stack)])


def write_recipe() -> str:
    return "\n".join([NOTE, RECIPE_HEAD, *_sections(Recipe)])


def _sections(model: type[BaseModel]) -> list[str]:
    schema = model.model_json_schema(by_alias=True)
    parts = {"The file": schema, **{name: schema["$defs"][name] for name in _order(schema)}}
    return [f"\n## {title}\n\n{_first(part)}\n\n{_keys(part)}" for title, part in parts.items()]


RECIPE_HEAD = """\
# The recipe

What [`image edit`](../howto/edit-an-image.md) does to a disk. YAML as in [the stack file](stack-file.md), but without references:
`${…}` is text. Names of files start at the recipe's own folder.
"""


HEAD = """\
# The stack file

YAML 1.2, UTF-8, at most 1 MiB. No key may stand twice, and none that is not listed here. A size is a number with a unit
(`512 MiB`, `20 GB`), a time too (`90 s`, `5 min`). `tinycloud schema` prints the same as a JSON Schema, which is also
[here](stack.schema.json).
"""

REFERENCES = """\
A `${reference}` may stand for any value of `images`, `networks`, `policies`, `groups` and `outputs`, and in the default of an
input. `$${` is a literal `${`.

| reference | meaning | where |
| --- | --- | --- |
| `${stack}`, `${inputs.NAME}` | the stack's name, an input's value with its type | anywhere |
| `${groups.NAME.address}` | address of the group's first machine | guest files, `run`, `user_data`, `values`, outputs |
| `${groups.NAME.addresses}`, `.names`, `.count` | lists of addresses and names, a number | the same |
| `${networks.NAME.subnet}`, `.gateway`, `.bridge` | `10.60.0.0/24`, `10.60.0.1`, the bridge's name | the same |
| `${machine.name}`, `.index`, `.address`, `.group`, `.stack` | the machine that the file or command is for | the same, not outputs |
"""


def _order(schema: dict[str, Any]) -> list[str]:
    """Parts in the order in which the file meets them."""
    found: list[str] = []

    def visit(node: object) -> None:
        for name in re.findall(r"#/\$defs/(\w+)", json.dumps(node)):
            if name not in found:
                found.append(name)
                visit(schema["$defs"][name])

    visit(schema["properties"])
    return found


def _first(part: dict[str, Any]) -> str:
    return re.sub(r"\s+", " ", part.get("description", "").replace("``", "`"))


def _keys(part: dict[str, Any]) -> str:
    needed = part.get("required", ())
    rows = [
        (f"`{key}`", _type(it), "**needed**" if key in needed else _default(it), it.get("description", ""))
        for key, it in part["properties"].items()
    ]
    return table(("key", "type", "default", "meaning"), rows)


def _default(it: dict[str, Any]) -> str:
    value = it.get("default")
    if value is None or value in ({}, [], ""):
        return ""
    if isinstance(value, (int, float)) and value in UNITS:
        return f"`{UNITS[value]}`"
    if isinstance(value, dict):
        plain = {key: item for key, item in value.items() if item not in (None, [], {}, 0) and not isinstance(item, dict)}
        return ", ".join(f"{key}: {UNITS.get(item, item)}" for key, item in plain.items())
    return f"`{json.dumps(value) if not isinstance(value, str) else value}`"


def _type(it: dict[str, Any]) -> str:
    if "anyOf" in it:
        return " or ".join(dict.fromkeys(_type(one) for one in it["anyOf"] if one.get("type") != "null"))
    if "$ref" in it:
        name = it["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in it:
        return ", ".join(f"`{word}`" for word in it["enum"])
    return _plain_type(it)


def _plain_type(it: dict[str, Any]) -> str:
    kind = it.get("type", "any value")
    if isinstance(kind, list):  # free text, which may look like something else to YAML
        return "text"
    if kind == "array":
        return f"list of {_type(it.get('items', {}))}"
    if kind == "object" and "bridge" in it.get("properties", {}):
        return "`{bridge: NAME}`"
    if kind == "object":
        inner: Any = it.get("additionalProperties") or next(iter(it.get("patternProperties", {}).values()), {})
        return f"mapping of {_type(inner)}" if isinstance(inner, dict) and inner else "mapping"
    if kind == "integer":
        return f"integer{_range(it)}"
    return SHAPES.get((it.get("examples") or [""])[0], {"string": "text", "boolean": "true or false"}.get(kind, str(kind)))


UNITS: dict[object, str] = {
    size: str(size) for size in (Group.model_fields["memory"].default, Group.model_fields["stop_timeout"].default, Ready().timeout)
}
"""Defaults that are sizes and times: the schema has bare numbers."""

SHAPES = {"512 MiB": "size", "90 s": "time", "10.60.0.0/24": "subnet"}


def _range(it: dict[str, Any]) -> str:
    low, high = it.get("minimum"), it.get("maximum")
    return f" {low} to {high}" if low is not None and high is not None else ""


# errors


def write_errors() -> str:
    classes = [(f"`{it.code}`", it.__name__, it.exit, it.http, _meaning(it)) for it in _tree(errors.TinycloudError)]
    codes = find_codes()
    own = {it.code for it in _tree(errors.TinycloudError)}
    unknown = sorted(set(codes) - own - set(CODES)) + sorted(set(CODES) - set(codes) | set(CODES) & own)
    if unknown:
        sys.exit(f"docs/generate.py: CODES lacks, or has for nothing: {', '.join(unknown)}")
    special = [(f"`{code}`", *_who(codes[code]), CODES[code]) for code in sorted(set(codes) - own)]
    return "\n".join(
        [
            NOTE,
            "# Errors and exit statuses\n",
            "Every error has a code, a message, facts, and often a hint that can be typed. With `--json` it is one line:",
            '`{"error": CODE, "message": …, "facts": […], "hint": …, "exit": STATUS}`. In Python it is an exception of',
            "`tinycloud.errors` with `kind` (the code), `message`, `facts`, `hint` and `exit`.\n",
            "## Exit statuses\n",
            table(("status", "meaning"), list(STATUSES.items())),
            "`ssh` and `exec` end with the status of the command inside; 255 is ssh's own.\n",
            "## Classes\n",
            "Below `Refused` nothing was changed; below `Failed` something may have been, and the facts say what was done about it.\n",
            table(("code", "class", "exit", "HTTP", "meaning"), classes),
            "The HTTP statuses are for the server that is still to come.\n",
            "## Codes of their own\n",
            "An error of one of the classes above, with a closer code:\n",
            table(("code", "class", "exit", "meaning"), special),
        ]
    )


def _tree(top: type[errors.TinycloudError]) -> Iterator[type[errors.TinycloudError]]:
    yield top
    for below in vars(errors).values():
        if isinstance(below, type) and below.__base__ is top:
            yield from _tree(below)


def _meaning(it: type[errors.TinycloudError]) -> str:
    return CLASSES.get(it.__name__) or (it.__doc__ or "").strip().split("\n")[0].replace("``", "`")


def _who(kinds: set[type[errors.TinycloudError]]) -> tuple[str, str]:
    """Names and exit statuses of the classes that a code goes with."""
    ordered = sorted(kinds, key=lambda kind: (kind.exit, kind.__name__))
    return ", ".join(kind.__name__ for kind in ordered), ", ".join(dict.fromkeys(str(kind.exit) for kind in ordered))


def find_codes() -> dict[str, set[type[errors.TinycloudError]]]:
    """Every code that the source raises, with its classes: ``code=`` arguments and the first words of complaints."""
    found: dict[str, set[type[errors.TinycloudError]]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                for code, kind in _codes_of(node):
                    found.setdefault(code, set()).add(kind)
    return found


def _codes_of(call: ast.Call) -> Iterator[tuple[str, type[errors.TinycloudError]]]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    if name in ("Complaint", "complain", "_complain", "wrong"):
        values = call.args[:1]
    else:
        values = [word.value for word in call.keywords if word.arg == "code"]
    for value in values:
        if isinstance(value, ast.Constant) and re.fullmatch(r"[a-z]+(-[a-z]+)*", str(value.value)):
            yield str(value.value), getattr(errors, name, errors.WrongInput)


# templates


def write_templates() -> str:
    nics = (NicSpec("front", "52:00:00:00:00:01"),)
    mark = Mark("shop", "web", 1, MachineSpec("0" * 64, "nano", Bytes(2**29), Bytes(2**30), nics=nics, guest="1" * 64))
    rows = _variables("machine", make_machine(mark, "x86_64", "/pool"), VARIABLES)
    lines = (("52:00:00:00:00:01", "10.60.0.11", "web-1"),)
    wanted = NetworkWanted("local", "shop", "front", "10.60.0.0/24", "nat", make_bridge("shop", "front"), None, lines)
    network = _variables("network", make_network(wanted), NETWORK_VARIABLES)
    told = make_volume("shop.web-1.disk-1.qcow2", 2**30, format="qcow2", backing=("/pool/image-0123", "qcow2"))
    volume = _variables("volume", told, VOLUME_VARIABLES)
    blocks = re.findall(r"{%-? block (\w+)", find_shipped("domain/qemu.xml.j2") or "")
    shipped = [(f"`{name}`", _comment(name)) for name in list_shipped()]
    return "\n".join(
        [
            NOTE,
            "# XML templates\n",
            "A group's `template:` is a Jinja2 file that renders libvirt's domain XML. What is undefined is an error, values are",
            "escaped for XML, and the template runs in a sandbox. Afterwards the patches of `xml:` are applied, then name, uuid and",
            "metadata are stamped on: the result must be `<domain>`, and may not set another name or uuid. See",
            "[the how-to page](../howto/own-template.md).\n",
            "## Variables\n",
            "`host.arch` and `host.name` are the host's processor and name. `values.NAME` is what the group's `values:` says.\n",
            table(("variable", "meaning", "example"), rows),
            "Of a disk, `boot` and of a NIC, `boot` is its place in the boot order, or none. `device` is `disk` or `cdrom`,",
            "`role` is `root`, `data`, `drive`, `seed`, or `plugged` for what was plugged in by hand. `cache`, `io`, `discard` and",
            "`detect_zeroes` are empty where the hypervisor decides, and `limits` holds the lines of libvirt's `iotune`. An empty drive",
            "has no `file`: include `disk.xml.j2` and all of this is taken care of.\n",
            "## Of networks and disks\n",
            "A network's `template:` renders libvirt's network XML, a volume's `template:` and a group's `disk_template:` libvirt's",
            "volume XML of a disk that is a file. The result is held against what the file declares: a network has its own name, uuid,",
            "subnet, access, bridge and mtu, a `<dhcp>`, and reserves addresses for our machines alone; a disk has its own name, size and",
            "format, stands on its image or on nothing, and has no path, source or encryption of its own. A network's `values:` are its",
            "own, a disk's are those of its group.\n",
            table(("variable", "meaning", "example"), [*network, *volume]),
            "`network.xml.j2` has the empty blocks `dhcp` (inside `<dhcp>`) and `more` (at the end of `<network>`); `volume.xml.j2` has",
            "`allocation`, `permissions` (what is inside `<permissions>`) and the empty `target` (at the end of `<target>`).\n",
            "## Templates that ship\n",
            table(("name", "what it is"), shipped),
            f"`domain/qemu.xml.j2` has the blocks {', '.join(f'`{name}`' for name in blocks)}; `{{% extends %}}` it and fill one.\n",
        ]
    )


def _variables(word: str, sample: dict[str, Any], meanings: dict[str, str]) -> list[tuple[str, str, str]]:
    if unknown := set(sample) ^ set(meanings):
        sys.exit(f"docs/generate.py: the variables of {word} lack, or have for nothing: {', '.join(sorted(unknown))}")
    return [(f"`{word}.{name}`", meanings[name], f"`{_short(sample[name])}`") for name in sample]


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict, bool)) else str(value)
    return text if len(text) < 60 else text[:59] + "…"


def _comment(name: str) -> str:
    found = re.search(r"{#-?(.*?)-?#}", find_shipped(name) or "", re.DOTALL)
    return re.sub(r"\s+", " ", found[1]).strip().split(". ")[0].rstrip(".") if found else ""


WRITERS: dict[str, Callable[[], str]] = {
    "commands.md": write_commands,
    "stack-file.md": write_stack_file,
    "recipe.md": write_recipe,
    "errors.md": write_errors,
    "templates.md": write_templates,
    "stack.schema.json": lambda: json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n",
}


def main() -> int:
    stale = []
    for name, write in WRITERS.items():
        path, text = PAGES / name, write()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            PAGES.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"{'stale, run make docs' if '--check' in sys.argv else 'written'}: {', '.join(stale)}")
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
