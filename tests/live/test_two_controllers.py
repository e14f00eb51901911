"""Two controllers on one PostgreSQL server and one real host: the one that slept past its lease changes nothing when it wakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.inside import fork, run_inside
from tinycloud.cloud import Cloud
from tinycloud.errors import Busy, TinycloudError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.conftest import Bench
    from tests.postgres import Postgres
    from tinycloud.engine.events import Event

STACK = """
stack: shared
networks: {lan: {subnet: 10.66.0.0/24}}
groups:
  box: {image: nano, memory: 128 MiB, networks: [lan]}
"""


def sleeper(kind: str, moment: str) -> Callable[[Event], None]:
    """A listener that stops its own process when it hears of that step."""

    def hear(event: Event) -> None:
        if event.action == kind and event.kind == moment:
            os.kill(os.getpid(), signal.SIGSTOP)

    return hear


def up_and_sleep(file: Path, answer: Path, kind: str, moment: str) -> int:
    """The first controller, in a process of its own, asleep in the middle of an up."""
    child = fork()
    if child == 0:
        try:
            with Cloud() as cloud:
                cloud.up(file, listener=sleeper(kind, moment))
            answer.write_text('"done"')
        except TinycloudError as err:
            answer.write_text(json.dumps(err.as_json()))
        except BaseException:
            answer.write_text(json.dumps(traceback.format_exc()))
        os._exit(0)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status), answer.read_text()
    return child


def wake(child: int, answer: Path) -> Any:
    """Let it go on to its end; what it said."""
    os.kill(child, signal.SIGCONT)
    os.waitpid(child, 0)
    return json.loads(answer.read_text())


def look(cloud: Cloud) -> tuple[Any, ...]:
    """What there is, on the host and in the journal."""
    said = [subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout for words in LOOKS]
    return said, cloud.executions(), [cloud.parts.store.list_steps(it.id) for it in cloud.executions()]


LOOKS = (
    ["virsh", "-q", "list", "--all", "--uuid"],
    ["virsh", "-q", "net-list", "--all"],
    ["find", "/var/lib/libvirt/images/tinycloud", "-printf", "%p %s %T@\n"],
    ["cat", "/var/lib/tinycloud/fence/numbers"],
)


@pytest.mark.usefixtures("tidy")
def test_who_slept_past_its_lease_changes_nothing_on_the_host(bench: Bench, postgres: Postgres, tmp_path: Path) -> None:
    server, file, answer = postgres.make_database(), tmp_path / "shared.yaml", tmp_path / "answer"
    file.write_text(STACK)

    def piece() -> None:
        os.environ.update(TINYCLOUD_DATABASE=server.url, TINYCLOUD_LEASE="4")
        second = tmp_path / "second"
        second.mkdir()
        with Cloud() as cloud:
            assert cloud.parts.keys.make_sign()
        (second / "keys").symlink_to("/var/lib/tinycloud/keys")
        child = up_and_sleep(file, answer, "machine.start", "start")
        try:
            with Cloud(state=second) as cloud:
                with pytest.raises(Busy, match="shared is being worked on"):
                    cloud.down("shared")
                cloud.down("shared", wait=120)
                before = look(cloud)
                assert before[0][0].strip() == ""
                said = wake(child, answer)
                assert said["error"] == "lease-lost", said
                assert said["facts"][-1].endswith("is left as it is: it is another's")
                assert look(cloud) == before
                child = up_and_sleep(file, answer, "machine.start", "done")
                cloud.resume("shared", wait=120)
                before = look(cloud)
                assert wake(child, answer)["error"] == "lease-lost"
                assert look(cloud) == before
                assert cloud.plan(file).is_empty
                cloud.down("shared")
        finally:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)

    run_inside(bench.host, piece)
