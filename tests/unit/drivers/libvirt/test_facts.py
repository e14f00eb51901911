"""What a processor can, by libvirt's own tables."""

from __future__ import annotations

from typing import Any

import libvirt
import pytest
from lxml import etree

from tinycloud.drivers.libvirt.facts import list_features


@pytest.fixture(scope="module")
def conn() -> Any:
    return libvirt.open("test:///default")


def list_of(conn: Any, *features: str, model: str = "") -> frozenset[str]:
    named = f"<model>{model}</model><vendor>AMD</vendor>" if model else ""
    more = "".join(f"<feature name='{name}'/>" for name in features)
    return list_features(conn, etree.fromstring(f"<cpu><arch>x86_64</arch>{named}{more}</cpu>"))


def test_what_is_part_of_the_model_counts(conn: Any) -> None:
    assert {"svm", "x2apic"} <= list_of(conn, "x2apic", model="EPYC")


def test_a_model_without_virtualization_gives_none(conn: Any) -> None:
    assert not {"svm", "vmx"} & list_of(conn, "x2apic", model="kvm64")


def test_a_processor_that_libvirt_has_no_model_for_can_what_is_named(conn: Any) -> None:
    assert list_of(conn, "vmx") == {"vmx"}
    assert list_features(conn, None) == frozenset()
