"""Every test that asks for an ``address`` runs twice: on a file, and on a PostgreSQL server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postgres import Postgres

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.store.server import Address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """Where a database is made when it is opened."""
    if request.param == "sqlite":
        return tmp_path / "tinycloud.db"
    server = request.getfixturevalue("postgres")
    assert isinstance(server, Postgres)
    return server.make_database()
