"""Planning on a saved world: from the command line, without libvirt, without the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import HELLO, a_host, a_world, load, settle, write_stack
from tests.unit.cli.conftest import Command
from tinycloud.model.codec import to_plain
from tinycloud.model.units import Bytes
from tinycloud.model.world import World
from tinycloud.plan import plan_up

HEAVY = ("sqlalchemy", "alembic", "libvirt")
SPY = f"""
import sys
{{block}}
from tinycloud.cli.main import _run
status = _run(sys.argv[1:])
loaded = [name for name in {HEAVY!r} if name in sys.modules]
print("loaded:", *loaded, file=sys.stderr)
sys.exit(status)
"""
BLOCK = """
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("libvirt", "libvirtmod"):
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Blocker())
"""


def save(folder: Path, world: World) -> Path:
    path = folder / "world.json"
    path.write_text(json.dumps(to_plain(world)))
    return path


def spy(folder: Path, *words: object, block: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own that says at the end which heavy modules it imported."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("TINYCLOUD_")}
    env |= {"TINYCLOUD_STATE": str(folder / "state"), "TINYCLOUD_CACHE": str(folder / "cache")}
    argv = [sys.executable, "-c", SPY.format(block=block), *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, env=env, cwd=folder, timeout=60, check=False)


def test_a_plan_on_a_saved_world_says_with_its_status_whether_there_is_something_to_do(tinycloud: Command, tmp_path: Path) -> None:
    file = write_stack(tmp_path)
    ended = tinycloud("plan", file, "--world", save(tmp_path, a_world()))
    assert (ended.status, ended.err) == (3, "")
    assert ended.out.splitlines()[0] == f"hello  on local  from {file}"
    after = settle(plan_up(load(HELLO), a_world()), a_world())
    ended = tinycloud("plan", file, "--world", save(tmp_path, after))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines()[-1] == "nothing to do."


def test_a_plan_for_a_program_is_one_document(tinycloud: Command, tmp_path: Path) -> None:
    ended = tinycloud("plan", write_stack(tmp_path), "--world", save(tmp_path, a_world()), "--json")
    assert ended.status == 3
    assert {change["name"] for change in json.loads(ended.out)["changes"]} >= {"front", "db-1", "web-1", "web-2"}


def test_inputs_reach_the_plan(tinycloud: Command, tmp_path: Path) -> None:
    text = HELLO.replace("count: 2", "count: '${inputs.n}'") + "inputs: {n: {type: integer}}\n"
    world = save(tmp_path, a_world())
    assert tinycloud("plan", write_stack(tmp_path, text), "--world", world).err.startswith('error: input "n" has no value  [missing-input]')
    out = tinycloud("plan", write_stack(tmp_path, text), "--world", world, "--set", "n=5").out
    assert "web-5" in out
    assert "web-6" not in out


def test_a_secret_is_in_nothing_that_planning_prints(tinycloud: Command, tmp_path: Path) -> None:
    text = HELLO + "inputs: {s: {type: secret}}\noutputs: {o: '${inputs.s}'}\n"
    (tmp_path / "password").write_text("hunter2\n")
    world = save(tmp_path, a_world())
    for words in ([], ["--json"], ["--set", "other=x"]):
        ended = tinycloud("plan", write_stack(tmp_path, text), "--world", world, "--set", f"s=@{tmp_path}/password", *words)
        assert "hunter2" not in ended.out + ended.err


def test_what_cannot_be_had_is_refused_with_4(tinycloud: Command, tmp_path: Path) -> None:
    world = save(tmp_path, a_world(replace(a_host(), memory_free=Bytes(a_host().memory_free // 1024))))
    ended = tinycloud("plan", write_stack(tmp_path, HELLO.replace("128 MiB", "64 GiB")), "--world", world)
    assert (ended.status, ended.out) == (4, "")
    assert ended.err.startswith("refused: ")
    assert "[no-host]" in ended.err.splitlines()[0]
    assert ended.err.endswith("nothing was changed\n")


@pytest.mark.parametrize("text", ["", "not json", "[]", "null", '{"hosts": 5}', '{"hosts": [{"name": 5}]}', "[" * 50_000, '{"hosts": NaN}'])
def test_a_file_that_is_no_saved_world_is_refused(tinycloud: Command, tmp_path: Path, text: str) -> None:
    path = tmp_path / "world.json"
    path.write_text(text)
    ended = tinycloud("plan", write_stack(tmp_path), "--world", path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {path} is not a saved world: ")
    assert ended.err.endswith("hint: tinycloud world > world.json\n")


@pytest.mark.parametrize("words", [["--help"], ["plan", "--help"], ["--version"], ["schema"], ["completion", "bash"], ["nonsense"]])
def test_what_needs_neither_imports_neither_the_store_nor_libvirt(tmp_path: Path, words: list[str]) -> None:
    done = spy(tmp_path, *words)
    assert done.returncode == (2 if words == ["nonsense"] else 0), done.stderr
    assert done.stderr.splitlines()[-1] == "loaded:"


def test_planning_on_a_saved_world_imports_neither_the_store_nor_libvirt(tmp_path: Path) -> None:
    done = spy(tmp_path, "plan", write_stack(tmp_path), "--world", save(tmp_path, a_world()))
    assert done.returncode == 3
    assert done.stderr == "loaded:\n"


def test_planning_on_a_saved_world_works_where_libvirt_is_not_installed(tmp_path: Path) -> None:
    done = spy(tmp_path, "plan", write_stack(tmp_path), "--world", save(tmp_path, a_world()), block=BLOCK)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("hello  on local")


@pytest.mark.parametrize("words", [["ls"], ["plan", "stack.yaml"], ["up", "stack.yaml", "--yes"], ["image", "list"], ["world"]])
def test_what_needs_libvirt_says_which_package_to_install(tmp_path: Path, words: list[str]) -> None:
    write_stack(tmp_path)
    done = spy(tmp_path, *words, block=BLOCK)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.splitlines()[:2] == [
        "refused: the Python binding of libvirt is not installed  [missing]",
        'hint: pip install "tinycloud[libvirt]" (needs gcc, pkg-config, libvirt-dev), or apt-get install python3-libvirt',
    ]


def test_completion_is_silent_where_libvirt_is_not_installed(tmp_path: Path) -> None:
    code = f"import os, sys\n{BLOCK}\nfrom tinycloud.cli.main import main\nmain()"
    env = {
        **os.environ,
        "TINYCLOUD_STATE": str(tmp_path / "state"),
        "_TINYCLOUD_COMPLETE": "bash_complete",
        "COMP_WORDS": "tinycloud ssh sh",
        "COMP_CWORD": "2",
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")
