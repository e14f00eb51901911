"""A cloud whose memory is on a PostgreSQL server: the same as ever, and what happens when the server goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.builders import SHA, fake_parts, put_image, write_stack
from tinycloud.cloud import Cloud
from tinycloud.errors import Lost

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Postgres
    from tinycloud.engine.events import Event
    from tinycloud.store.server import Server


def a_cloud(folder: Path, server: Server) -> Cloud:
    cloud = Cloud(parts=fake_parts(folder, server=server))
    put_image(cloud.parts.first_host, "nano", SHA)
    return cloud


def test_a_stack_goes_up_and_down_with_its_memory_on_a_server(postgres: Postgres, tmp_path: Path) -> None:
    server = postgres.make_database()
    with a_cloud(tmp_path, server) as cloud:
        cloud.up(write_stack(tmp_path))
    assert not (tmp_path / "state/tinycloud.db").exists()
    with a_cloud(tmp_path, server) as cloud:
        assert [execution.state for execution in cloud.executions("hello")] == ["done"]
        assert cloud.plan(tmp_path / "stack.yaml").is_empty
        cloud.down("hello")
        assert (cloud.machines(), cloud.has_unfinished("hello")) == ([], False)


def test_an_up_whose_server_is_killed_stops_undoes_nothing_and_is_resumed(own_postgres: Postgres, tmp_path: Path) -> None:
    server = own_postgres.make_database()

    def kill(event: Event) -> None:
        if event.kind == "done" and event.subject == "db-1":
            own_postgres.end(9)

    with a_cloud(tmp_path, server) as cloud:
        with pytest.raises(Lost) as caught:
            cloud.up(write_stack(tmp_path), listener=kill)
        assert caught.value.kind == "database-lost"
        assert caught.value.facts[-1].endswith("is left as it is: tinycloud resume hello")
        own_postgres.start()
        assert cloud.has_unfinished("hello")
        begun = len(cloud.world().machines)
        cloud.resume("hello")
        assert (begun <= 3, len(cloud.world().machines), cloud.has_unfinished("hello")) == (True, 3, False)
        cloud.down("hello")
        assert cloud.machines() == []
