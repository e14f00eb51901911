"""A host whose pool has next to nothing free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tinycloud.drivers.fake import FakeHost
from tinycloud.drivers.fake.files import Documents
from tinycloud.drivers.fake.volumes import FakeVolumes

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.drivers.records import PoolRecord


class FullVolumes(FakeVolumes):
    free = 5000

    def find_pool(self) -> PoolRecord | None:
        pool = super().find_pool()
        return replace(pool, free=self.free) if pool else None


class FullHost(FakeHost):
    """The fake host that :func:`tests.builders.fake_parts` makes, but for its pool."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "host")
        self.volumes = self.full = FullVolumes(Documents(folder / "host/pools"), Documents(folder / "host/volumes"), self.secrets)
