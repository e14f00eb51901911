"""Tiny Cloud: a private cloud for the servers you already have.

``from tinycloud import Cloud`` is the way in; errors are in :mod:`tinycloud.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinycloud.cloud import Cloud

__all__ = ["Cloud", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``Cloud`` is imported when it is asked for: ``--help`` must not pay for it."""
    if name == "Cloud":
        from tinycloud.cloud import Cloud

        return Cloud
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
