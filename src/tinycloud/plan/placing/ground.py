"""What hosts are: which of them a machine could run on, whatever room they have; why not, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tinycloud.model.world import Foreign, Host, World
    from tinycloud.plan.placing.needs import Shape

_WORDS: Final = {"bridge": "bridge", "direct": "interface", "network": "libvirt network"}

_OWN_CPU: Final = ("auto", "host-model", "host-passthrough", "maximum")
"""What each host can show of its own."""


class Ground:
    """The hosts of a world, by number, in the order of their names. What was found of a shape is kept."""

    def __init__(self, world: World, without: Iterable[str] = ()) -> None:
        gone = {*without}
        self.hosts: tuple[Host, ...] = tuple(sorted((it for it in world.hosts if it.name not in gone), key=lambda host: host.name))
        self.number = {host.name: n for n, host in enumerate(self.hosts)}
        self._foreign = {it.host: it for it in world.foreign}
        self._fitting: dict[Shape, tuple[int, ...]] = {}
        self._closed: frozenset[int] = frozenset()
        self._having: dict[str, frozenset[int]] = {}
        for image in world.images:
            if image.host in self.number:
                self._having[image.sha] = self._having.get(image.sha, frozenset()) | {self.number[image.host]}

    def list_fitting(self, shape: Shape) -> tuple[int, ...]:
        """The hosts that take machines and are what it needs."""
        if shape not in self._fitting:
            self._fitting[shape] = tuple(n for n, host in enumerate(self.hosts) if self.refuse(host, shape) is None)
        found = self._fitting[shape]
        return tuple(n for n in found if n not in self._closed) if self._closed else found

    def close(self, hosts: Iterable[int]) -> None:
        """Let these take nothing for now; hosts that were closed before and are not named take machines again."""
        self._closed = frozenset(hosts)

    def list_having(self, image: str) -> frozenset[int]:
        """The hosts that have an image."""
        return self._having.get(image, frozenset())

    def refuse(self, host: Host, shape: Shape) -> str | None:
        """Why a host is not one for it, however much room it has; None when it is."""
        return next(self._list_reasons(host, shape), None)

    def _list_reasons(self, host: Host, shape: Shape) -> Iterator[str]:
        if shape.homes and host.name not in shape.homes:
            yield f"its volume {shape.kept} is on {', '.join(shape.homes)}"
        if not host.takes:
            yield tell_closed(host)
        for label, value in shape.on:
            if (found := host.entry.find_label(label) or (host.name if label == "host" else "")) != value:
                yield f'label {label} is "{found}", needs "{value}"' if found else f'no label {label}, needs "{value}"'
        if shape.arch and shape.arch != host.arch:
            yield f"processor: needs {shape.arch}, is {host.arch}"
        if shape.hypervisor not in ("auto", *host.hypervisors):
            yield f"hypervisor: needs {shape.hypervisor}, has {', '.join(host.hypervisors) or 'none'}"
        if shape.cpu_model not in ("", *_OWN_CPU) and host.cpu_models and shape.cpu_model not in host.cpu_models:
            yield f"processor: needs {shape.cpu_model}, cannot show it"
        if shape.firmware == "uefi" and not host.uefi:
            yield "firmware: needs uefi, has no UEFI firmware (apt-get install ovmf)"
        yield from self._list_missing(host, shape)

    def _list_missing(self, host: Host, shape: Shape) -> Iterator[str]:
        if missing := [pool for pool in shape.pools if host.find_pool(pool) is None]:
            yield f"pool: needs {missing[0]}, has {', '.join(it.name for it in host.pools) or 'none'}"
        foreign = self._foreign.get(host.name)
        for kind, name in shape.devices if foreign else ():
            if foreign and not _has(foreign, kind, name):
                yield f"network: needs {_WORDS.get(kind, kind)} {name}, has none"


def _has(foreign: Foreign, kind: str, name: str) -> bool:
    """True too where nobody could look at the host's interfaces."""
    if kind == "network":
        return name in foreign.networks
    if not foreign.switches and not foreign.cards:
        return True
    return name in (dict(foreign.switches) if kind == "bridge" else foreign.cards)


def tell_closed(host: Host) -> str:
    """Why a host takes no machines."""
    if host.unreachable:
        return f"unreachable: {host.unreachable}"
    return "fenced" if host.entry.fenced else "drained"
