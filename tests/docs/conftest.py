"""A lab for the pages that are run."""

from __future__ import annotations

from tests.live.conftest import _no_old_labs, bench, nano_file, tidy

__all__ = ["_no_old_labs", "bench", "nano_file", "tidy"]
