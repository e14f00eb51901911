"""The Python API: what the command line does is one call on it; what it refuses, and the views that it hands out."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import tinycloud
from tests.builders import HELLO, fake_cloud, write_stack
from tinycloud.cli import labs
from tinycloud.cli.main import app
from tinycloud.cloud import Cloud, make_run_text
from tinycloud.errors import Clash, NotFound, Refused, Stale, WrongInput
from tinycloud.model.plan import Plan
from tinycloud.nouns.database import Database
from tinycloud.nouns.hosts import Hosts
from tinycloud.nouns.images import Images
from tinycloud.nouns.networks import Networks
from tinycloud.nouns.outside import Outside
from tinycloud.nouns.policies import Policies
from tinycloud.nouns.pools import Pools
from tinycloud.nouns.space import Space
from tinycloud.nouns.volumes import Volumes
from tinycloud.views import Machine, Stack

SRC = Path(tinycloud.__file__).parent


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with fake_cloud(tmp_path) as made:
        yield made


def list_methods(kind: type) -> set[str]:
    return {
        name
        for part in kind.__mro__[:-1]
        for name, it in vars(part).items()
        if not name.startswith("_") and (callable(it) or isinstance(it, property))
    }


def read_calls(module: Path) -> set[str]:
    """The names after a dot in a module: ``up`` of ``cloud.up(…)``."""
    return {node.attr for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Attribute)}


def list_verbs() -> list[tuple[str, ...]]:
    """Every command, as its words."""
    out: list[tuple[str, ...]] = []
    for name, command in app.commands.items():
        out += list_below(command, (name,))
    return out


def list_below(command: click.Command, words: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [words]
    return [found for name, inner in command.commands.items() for found in list_below(inner, (*words, name))]


CALLS = {
    "plan": "Cloud.plan",
    "up": "Cloud.up",
    "down": "Cloud.down",
    "resume": "Cloud.resume",
    "rollback": "Cloud.rollback",
    "ls": "Cloud.machines",
    "migrate": "Cloud.migrate",
    "outputs": "Stack.outputs",
    "run": "Cloud.run",
    "show": "Cloud.machine",
    "ssh": "Machine.door",
    "exec": "Machine.exec",
    "cp": "Machine.copy",
    "why": "Cloud.why",
    "console": "Machine.console_argv",
    "vnc": "Machine.vnc",
    "start": "Machine.start",
    "stop": "Machine.stop",
    "reboot": "Machine.reboot",
    "reset": "Machine.reset",
    "pause": "Machine.pause",
    "ssh-config": "Cloud.ssh_config",
    "disk list": "Machine.disks",
    "nic list": "Machine.nics",
    "disk attach": "Machine.attach",
    "disk detach": "Machine.detach",
    "disk grow": "Machine.grow_disk",
    "disk limit": "Machine.limit_disk",
    "cd insert": "Machine.insert_cd",
    "cd eject": "Machine.eject_cd",
    "inventory": "Cloud.inventory",
    "image catalogue": "Images.catalogue",
    "image list": "Images.list",
    "image pull": "Images.pull",
    "image show": "Images.show",
    "image build": "Images.build",
    "image import": "Images.import_file",
    "image remove": "Images.remove",
    "image send": "Images.send",
    "image edit": "Images.edit",
    "image inspect": "Images.inspect",
    "publish": "Images.publish",
    "image mount": "Images.mount",
    "image unmount": "Images.unmount",
    "image shell": "Images.shell_argv",
    "image serve": "Images.serve",
    "image unserve": "Images.unserve",
    "image opened": "Images.opened",
    "image info": "Volumes.info",
    "image tree": "Volumes.tree",
    "image convert": "Images.convert",
    "image export": "Volumes.export",
    "image compare": "Volumes.compare",
    "image check": "Volumes.check",
    "image verify": "Images.verify",
    "image tag": "Images.tag",
    "image untag": "Images.untag",
    "image gc": "Images.gc",
    "volume list": "Volumes.list",
    "volume info": "Volumes.info",
    "volume tree": "Volumes.tree",
    "volume create": "Volumes.create",
    "volume remove": "Volumes.remove",
    "volume resize": "Volumes.resize",
    "volume compact": "Volumes.compact",
    "volume flatten": "Volumes.flatten",
    "volume rebase": "Volumes.rebase",
    "volume commit": "Volumes.commit",
    "volume check": "Volumes.check",
    "volume snapshot list": "Volumes.snapshots",
    "volume snapshot create": "Volumes.take_snapshot",
    "volume snapshot revert": "Volumes.revert",
    "volume snapshot delete": "Volumes.delete_snapshot",
    "volume convert": "Volumes.convert",
    "volume export": "Volumes.export",
    "volume compare": "Volumes.compare",
    "host list": "Hosts.list",
    "host show": "Hosts.show",
    "host add": "Hosts.add",
    "host set": "Hosts.set",
    "host check": "Hosts.check",
    "host fence": "Hosts.fence",
    "host unfence": "Hosts.unfence",
    "host drain": "Hosts.drain",
    "host remove": "Hosts.remove",
    "host rename": "Hosts.rename",
    "database show": "Database.show",
    "database copy": "Database.copy",
    "pool list": "Pools.by_host",
    "pool show": "Pools.show",
    "pool add": "Pools.add",
    "pool set": "Pools.set",
    "pool remove": "Pools.remove",
    "network list": "Networks.list",
    "network show": "Networks.show",
    "network leases": "Networks.leases",
    "policy list": "Policies.list",
    "policy show": "Policies.show",
    "forward list": "Outside.forwards",
    "floating list": "Outside.floating",
    "space": "Space.uses",
    "capacity": "Cloud.capacity",
    "balance": "Cloud.balance",
    "watch": "Space.watch",
    "doctor": "Cloud.doctor",
    "history": "Cloud.executions",
    "recover": "Cloud.recover",
    "world": "Cloud.world",
}
"""Verb → the call that does it."""

WITHOUT_A_CLOUD = {"schema", "completion"}
KINDS = {
    "Cloud": Cloud,
    "Database": Database,
    "Images": Images,
    "Machine": Machine,
    "Networks": Networks,
    "Policies": Policies,
    "Outside": Outside,
    "Hosts": Hosts,
    "Pools": Pools,
    "Space": Space,
    "Stack": Stack,
    "Volumes": Volumes,
}


def test_every_verb_is_one_call_of_the_api() -> None:
    verbs = {" ".join(words) for words in list_verbs() if app.commands[words[0]] is not labs.group}
    assert verbs == CALLS.keys() | WITHOUT_A_CLOUD


@pytest.mark.parametrize(("verb", "call"), CALLS.items())
def test_the_call_is_public_documented_and_the_one_that_the_command_makes(verb: str, call: str) -> None:
    kind, method = call.split(".")
    assert method in list_methods(KINDS[kind])
    command: click.Command = app
    for word in verb.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]
    assert command.help, "a command says what it does"
    assert command.callback is not None
    source = Path(inspect.getsourcefile(inspect.unwrap(command.callback)) or "")
    words = ast.walk(ast.parse(source.read_text()))
    strings = {node.value for node in words if isinstance(node, ast.Constant)}
    assert method in read_calls(source) | strings


def test_the_command_line_reaches_below_the_api_only_for_names_and_forms() -> None:
    """What is not in the API does not exist: a skin imports no engine, driver or store."""
    for path in (SRC / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and path.name != "labs.py" and not _is_for_types(path, node):
                assert not node.module.startswith(("tinycloud.engine", "tinycloud.drivers", "tinycloud.store")), (
                    f"{path.name}:{node.lineno}"
                )


def _is_for_types(path: Path, wanted: ast.ImportFrom) -> bool:
    checks = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return any(inner.lineno == wanted.lineno for check in checks for inner in check.body)


def test_importing_the_package_is_quick_and_light() -> None:
    code = "import sys, tinycloud; print(*[n for n in ('pydantic', 'sqlalchemy', 'lxml', 'libvirt', 'jinja2') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "\n"


def test_listing_pays_for_no_planner() -> None:
    code = "import sys, tinycloud.cloud, tinycloud.engine.space; print(*[n for n in ('pydantic', 'sqlalchemy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "\n"


def test_a_name_that_is_not_there_is_no_attribute() -> None:
    assert tinycloud.Cloud is Cloud
    with pytest.raises(AttributeError):
        _ = tinycloud.Clod


# run


@pytest.mark.parametrize(
    ("image", "name"), [("nano", "nano-1"), ("Debian_12.qcow2", "debian-12-qcow2-1"), ("9front", "m-9front-1"), ("a--b", "a-b-1")]
)
def test_a_machine_without_a_name_gets_one_from_its_image(cloud: Cloud, image: str, name: str) -> None:
    assert cloud._free_name(image) == name


def test_names_of_run_count_up(cloud: Cloud) -> None:
    assert [cloud.run("nano").ref for _ in range(3)] == ["nano-1/vm-1", "nano-2/vm-1", "nano-3/vm-1"]
    cloud.down("nano-2")
    assert cloud.run("nano").ref == "nano-2/vm-1"


def test_run_takes_the_keys_of_a_group(cloud: Cloud) -> None:
    machine = cloud.run("nano", "box", memory="256 MiB", cpus=2, networks=[], ready="started")
    assert (str(machine.spec.memory), machine.spec.cpus.count, machine.spec.nics, machine.spec.level) == ("256 MiB", 2, (), "started")
    with pytest.raises(WrongInput, match='unknown key "memroy"'):
        cloud.run("nano", "other", memroy="256 MiB")


def test_run_under_a_name_that_is_taken_changes_nothing(cloud: Cloud) -> None:
    cloud.run("nano", "box")
    with pytest.raises(Refused) as caught:
        cloud.run("nano", "box", memory="1 GiB")
    assert (caught.value.kind, caught.value.message) == ("clash", 'a machine "box" exists')
    assert str(cloud.machine("box").spec.memory) == "512 MiB"


def test_what_run_writes_is_a_stack_file(cloud: Cloud, tmp_path: Path) -> None:
    path = write_stack(tmp_path, make_run_text("nano", "box", {"memory": "256 MiB"}))
    plan = cloud.plan(path)
    assert [change.name for change in plan.changes] == ["lan", "vm-1"]


# refusals that a program tells apart by their code


def test_a_plan_that_somebody_overtook_is_stale(cloud: Cloud, tmp_path: Path) -> None:
    file = write_stack(tmp_path)
    cloud.up(file)
    write_stack(tmp_path, HELLO.replace("count: 2", "count: 3"))

    def stop_one(_plan: Plan) -> bool:
        cloud.machine("hello/db-1").stop()
        return True

    with pytest.raises(Stale) as caught:
        cloud.up(file, agree=stop_one)
    assert caught.value.as_json() == {
        "error": "stale",
        "message": "stack hello was changed while the plan was looked at",
        "facts": [],
        "hint": "look at the new plan",
        "exit": 4,
    }
    assert len(cloud.machines("hello")) == 3


def test_a_domain_that_is_somebody_elses_is_never_overwritten(cloud: Cloud, tmp_path: Path) -> None:
    theirs = "<domain type='qemu'><name>hello-web-2</name><uuid>11111111-2222-4333-8444-555555555555</uuid></domain>"
    cloud.parts.first_host.domains.define(theirs)
    with pytest.raises(Clash) as caught:
        cloud.up(write_stack(tmp_path))
    assert caught.value.as_json() == {
        "error": "clash",
        "message": "host local has a domain hello-web-2 that is not ours",
        "facts": [],
        "hint": "rename the stack or the group",
        "exit": 4,
    }
    assert cloud.parts.first_host.domains.get_xml("hello-web-2") == theirs
    assert cloud.list_stacks() == []


@pytest.mark.parametrize(
    ("text", "message"), [("groups: {}\n", "names no stack"), ("- a\n- b\n", "names no stack"), ("stack: 5\n", "names no stack")]
)
def test_a_down_by_a_file_that_names_no_stack_is_refused(cloud: Cloud, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        cloud.down(write_stack(tmp_path, text))


def test_a_stack_that_is_not_there_is_answered_with_the_nearest(cloud: Cloud, tmp_path: Path) -> None:
    cloud.up(write_stack(tmp_path))
    with pytest.raises(NotFound) as caught:
        cloud.stack("hallo")
    assert (caught.value.message, caught.value.hint) == ('there is no stack "hallo"', 'did you mean "hello"?')
