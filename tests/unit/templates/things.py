"""Machines to render, and libvirt's own schemas to check the result with."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from tinycloud.model.machine import MachineSpec, Mark, NicSpec
from tinycloud.model.plan import Wanted
from tinycloud.model.stack import Group
from tinycloud.model.units import parse_bytes
from tinycloud.templates.domain import render_domain

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMAS = Path("/usr/share/libvirt/schemas")
FRONT = NicSpec("front", "52:00:00:00:00:01", "10.60.0.11")
BACK = NicSpec("back", "52:00:00:00:00:02", None, "e1000")


def a_mark(**changes: Any) -> Mark:
    """shop/web-1, with the small values of a test; ``changes`` are fields of its spec."""
    defaults: dict[str, Any] = {
        "image": "a" * 64,
        "image_name": "nano",
        "memory": parse_bytes("128 MiB"),
        "disk": parse_bytes("1 GiB"),
        "guest": "f" * 64,
    }
    return Mark("shop", "web", 1, MachineSpec(**{**defaults, **changes}))


def render(mark: Mark | None = None, group: Group | None = None, arch: str = "x86_64", templates: Mapping[str, str] | None = None) -> Any:
    """The domain of a machine, parsed."""
    it = group or Group(image="nano")
    text = render_domain(Wanted("local", mark or a_mark(), it, it.guest), arch, "/pool", templates or {})
    return etree.fromstring(text)


@cache
def _schema(kind: str) -> Any:
    return etree.RelaxNG(file=str(SCHEMAS / f"{kind}.rng"))


def check(root: Any, kind: str) -> None:
    """libvirt's schema takes it; skipped where libvirt's schemas are not installed."""
    if not SCHEMAS.is_dir():
        pytest.skip(f"{SCHEMAS} is not there: apt-get install libvirt0")
    schema = _schema(kind)
    parsed = etree.fromstring(root) if isinstance(root, str) else root
    assert schema.validate(parsed), [f"line {error.line}: {error.message}" for error in schema.error_log][:3]
