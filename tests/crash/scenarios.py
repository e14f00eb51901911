"""Changes of a small cloud that together need every kind of step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinycloud.drivers.fake import FakeHost
from tinycloud.model.names import make_network_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinycloud.drivers.host import Host


@dataclass(frozen=True)
class Scenario:
    """``before`` is brought up and ``prepare`` applied to the host; then comes an up of ``text``, or a down."""

    name: str
    before: str = ""
    text: str = ""
    replace: tuple[str, ...] = ()
    volumes: bool = False
    has_image: bool = True
    has_pools: bool = False
    is_far: bool = False
    """True for a second host, where machines go, and which lacks the image."""
    prepare: Callable[[Host], None] = field(default=lambda host: None)

    @property
    def is_down(self) -> bool:
        return not self.text

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


DB = "disk: 1 GiB, boot: [network], memory: 128 MiB, networks: [front], volumes: [{name: data, size: 1 GiB, keep: true}]"
WEB = "count: 1, image: nano, memory: 128 MiB, networks: [front], guest: {users: [{name: admin, password: '${inputs.password}'}]}"


def a_stack(web: str = WEB, front: str = "subnet: 10.60.0.0/24", more: str = "", *, has_db: bool = True) -> str:
    """Two groups on one network: ``db`` on an empty disk with a volume that is kept, ``web`` on an image with a guest section."""
    db = f"db: {{{DB}}}" if has_db else ""
    return f"""
stack: shop
inputs:
  password: {{type: secret}}
networks:
  front: {{{front}}}
{more}
groups:
  {db}
  web: {{{web}}}
"""


def change(text: str, **changes: Any) -> str:
    """A group's or network's line with other or more values."""
    words = dict(part.split(": ", 1) for part in _split(text))
    return ", ".join(f"{key}: {value}" for key, value in (words | changes).items() if value is not None)


def _split(text: str) -> list[str]:
    out, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(letter, 0)
        if letter == "," and not depth:
            out.append(text[start:at].strip())
            start = at + 1
    return [*out, text[start:].strip()]


def _pause(host: Host) -> None:
    host.domains.suspend("shop-web-1")


def _flush(host: Host) -> None:
    assert isinstance(host, FakeHost)
    host.firewall.flush()


def _stop_network(host: Host) -> None:
    name = make_network_name("shop", "front")
    record = host.networks.find(name)
    assert record is not None
    for domain in host.domains.list_all():
        host.domains.destroy(domain.name)
    host.networks.remove(name)
    host.networks.define(record.xml)


GROWING = change(WEB, memory_max="512 MiB", cpus="{count: 1, max: 4}")
SEALED = change(WEB, disk_encrypt="true", volumes="[{name: vault, size: 1 GiB, encrypt: true}]")
OFFLINE_GUEST = "{users: [{name: admin, password: '${inputs.password}'}], run: [date]}"
OFFLINE = change(WEB, prepare="offline", guest=OFFLINE_GUEST)
ELSEWHERE = "[{name: a, size: 1 GiB, pool: fast}, {name: b, size: 512 MiB, pool: thick}, {name: c, size: 1 GiB, pool: san}]"
GROWN = ELSEWHERE.replace("512 MiB", "1 GiB").replace("1 GiB, pool: fast", "2 GiB, pool: fast")
BACK = "  back: {subnet: 10.61.0.0/24, access: isolated}"
SIDE = "\n  side: {subnet: 10.62.0.0/24, access: isolated}"

SCENARIOS = (
    Scenario(
        "a fresh host",
        text="stack: shop\ngroups: {db: {disk: 1 GiB, boot: [network], memory: 128 MiB, volumes: [{name: data, size: 1 GiB}]}}",
        has_image=False,
    ),
    Scenario("a fresh up", text=a_stack()),
    Scenario(
        "an image that is on another host",
        text="stack: shop\ngroups: {web: {count: 2, image: nano, memory: 128 MiB, cdrom: nano}}",
        is_far=True,
    ),
    Scenario("three equal machines", text=a_stack(web=change(WEB, count=3), has_db=False)),
    Scenario("one machine more", before=a_stack(), text=a_stack(web=change(WEB, count=2))),
    Scenario("one machine less", before=a_stack(web=change(WEB, count=2)), text=a_stack()),
    Scenario(
        "a restart with a new seed and a larger disk",
        before=a_stack(),
        text=a_stack(web=change(WEB, guest="{run: [date]}", disk="1 GiB", autostart="false")),
    ),
    Scenario(
        "two restarts in turn",
        before=a_stack(web=change(WEB, count=2)),
        text=a_stack(web=change(WEB, count=2, memory="256 MiB")),
    ),
    Scenario(
        "memory cpus disk and a volume live",
        before=a_stack(web=GROWING),
        text=a_stack(
            web=change(GROWING, memory="256 MiB", cpus="{count: 2, max: 4}", disk="1 GiB", volumes="[{name: logs, size: 1 GiB}]"),
        ),
    ),
    Scenario(
        "a replacement of an encrypted disk",
        before=a_stack(web=SEALED),
        text=a_stack(web=change(SEALED, firmware="uefi")),
        replace=("web",),
    ),
    Scenario("an encrypted down", before=a_stack(web=SEALED)),
    Scenario("disks prepared offline", text=a_stack(web=change(OFFLINE, count=2))),
    Scenario(
        "a machine more, the others prepared once more",
        before=a_stack(web=OFFLINE),
        text=a_stack(web=change(OFFLINE, count=2, guest=OFFLINE_GUEST.replace("date", "uptime"))),
    ),
    Scenario(
        "a replacement prepared offline", before=a_stack(web=OFFLINE), text=a_stack(web=change(OFFLINE, firmware="uefi")), replace=("web",)
    ),
    Scenario(
        "from a seed to an edited disk",
        before=a_stack(web=change(WEB, disk="1 GiB")),
        text=a_stack(web=change(WEB, disk="1 GiB", prepare="offline")),
    ),
    Scenario(
        "a volume less limits and another cd live",
        before=a_stack(web=change(WEB, cdrom="nano", volumes="[{name: old, size: 1 GiB}, {name: logs, size: 1 GiB}]")),
        text=a_stack(
            web=change(
                WEB, cdrom="{}", disk_options="{limits: {bytes: 1 MiB}}", volumes="[{name: logs, size: 1 GiB, limits: {write_iops: 9}}]"
            ),
        ),
    ),
    Scenario("a replacement", before=a_stack(), text=a_stack(web=change(WEB, firmware="uefi")), replace=("web",)),
    Scenario("another subnet", before=a_stack(), text=a_stack(front="subnet: 10.77.0.0/24"), replace=("front",)),
    Scenario(
        "another access",
        before=a_stack(has_db=False),
        text=a_stack(front="subnet: 10.60.0.0/24, access: isolated", has_db=False),
        replace=("front",),
    ),
    Scenario("a network less", before=a_stack(web=change(WEB, networks="[front, back]"), more=BACK), text=a_stack()),
    Scenario("a nic more", before=a_stack(), text=a_stack(web=change(WEB, networks="[front, back]"), more=BACK)),
    Scenario(
        "a nic less one exchanged and one elsewhere",
        before=a_stack(web=change(WEB, networks="[front, back, {network: back, model: e1000e}, back]"), more=BACK),
        text=a_stack(web=change(WEB, networks="[front, {network: back, model: e1000e}, side]"), more=BACK + SIDE),
    ),
    Scenario(
        "another bandwidth and a router s nic",
        before=a_stack(web=change(WEB, networks="[{network: front, bandwidth: 2 MiB}]")),
        text=a_stack(
            web=change(WEB, networks="[{network: front, spoofing: allowed, bandwidth: {in: {average: 1 MiB, peak: 3 MiB, burst: 64 KiB}}}]")
        ),
    ),
    Scenario("its only nic elsewhere", before=a_stack(), text=a_stack(web=change(WEB, networks="[back]"), more=BACK), replace=("web",)),
    Scenario(
        "a nic for a machine paused by hand with a seed that is a cd",
        before=a_stack(web=change(WEB, disk_bus="scsi")),
        text=a_stack(web=change(WEB, disk_bus="scsi", networks="[front, back]"), more=BACK),
        prepare=_pause,
    ),
    Scenario("a machine paused by hand", before=a_stack(), text=a_stack(), prepare=_pause),
    Scenario(
        "a network and machines off",
        before=a_stack(has_db=False),
        text=a_stack(web=change(WEB, count=2), has_db=False),
        prepare=_stop_network,
    ),
    Scenario("disks in other pools", before=a_stack(), text=a_stack(web=change(WEB, volumes=ELSEWHERE, count=2)), has_pools=True),
    Scenario(
        "root disks in other pools",
        before=a_stack(web=change(WEB, pool="thick", volumes=ELSEWHERE)),
        text=a_stack(web=change(WEB, pool="san", disk="1 GiB", volumes=GROWN)),
        replace=("web",),
        has_pools=True,
    ),
    Scenario("down with other pools", before=a_stack(web=change(WEB, pool="san", volumes=ELSEWHERE)), has_pools=True, volumes=True),
    Scenario("access rules that somebody flushed", before=a_stack(), text=a_stack(web=change(WEB, count=2)), prepare=_flush),
    Scenario("access rules flushed and nothing else", before=a_stack(), text=a_stack(), prepare=_flush),
    Scenario("down", before=a_stack(), volumes=True),
)
