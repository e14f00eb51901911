"""The fake host itself, its shell, and guests that are always well."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from lxml import etree

from tinycloud.drivers.fake.domains import FakeDomains
from tinycloud.drivers.fake.files import Documents
from tinycloud.drivers.fake.firewall import FakeFirewall
from tinycloud.drivers.fake.moves import FakeMoves
from tinycloud.drivers.fake.networks import FakeNetworks
from tinycloud.drivers.fake.secrets import FakeSecrets
from tinycloud.drivers.fake.volumes import FakeVolumes
from tinycloud.drivers.ground import Ground
from tinycloud.drivers.guest.inside import GuestResult
from tinycloud.drivers.host import Patience, Silence
from tinycloud.drivers.onhost.fence import main as note_numbers
from tinycloud.drivers.records import HostIdentity, HostRecord, HostUsage
from tinycloud.drivers.shell import DEFAULT_LIMIT, Done, make_missing_tool
from tinycloud.model.host import LOCAL, HostEntry
from tinycloud.model.move import Credentials
from tinycloud.model.names import DEFAULT_POOL, find_pool_name, make_pool_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tinycloud.drivers.guest.ssh import Door
    from tinycloud.drivers.shell import Shell
    from tinycloud.drivers.talk import Talk

_MEMORY = 64 * 1024**3


class FakeShell:
    """Every command succeeds and prints nothing."""

    jump: tuple[str, ...] = ()

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        root: bool = False,
        limit: float = DEFAULT_LIMIT,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Done:
        return Done(tuple(argv), 0, b"", b"")

    def open(self, argv: Sequence[str], *, root: bool = False) -> Talk:
        raise make_missing_tool(argv[-1])  # what is talked with stands last

    @contextmanager
    def forward(self, address: str, port: int) -> Iterator[str]:
        yield f"{address}:{port}"

    def hear(self, address: str, port: int, *, limit: float = 0.5) -> bytes:
        return b"SSH-2.0-fake\r\n"


class FakeHost:
    """A host kept in ``folder``."""

    silence: Silence | None = None
    credentials = Credentials("/etc/pki/qemu", troubles=tuple((role, "no ca-cert.pem in /etc/pki/qemu") for role in ("server", "client")))
    processor = '<cpu mode="custom" match="exact"><model fallback="forbid">EPYC</model><feature policy="disable" name="vme"/></cpu>'

    def __init__(
        self,
        folder: Path,
        name: str = LOCAL,
        memory: int = _MEMORY,
        *,
        entry: HostEntry | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self.name = name
        self.uri = f"fake://{name}"
        self.entry = entry or HostEntry(name)
        self.patience = patience
        self.shell = FakeShell()
        self._memory = memory
        self._folder = folder
        self._pools = Documents(folder / "pools")
        self.firewall = FakeFirewall(Documents(folder / "firewall"))
        self.networks = FakeNetworks(Documents(folder / "networks"), Documents(folder / "sheets"))
        self.secrets = FakeSecrets(Documents(folder / "secrets"))
        self.volumes = FakeVolumes(self._pools, Documents(folder / "volumes"), self.secrets)
        self.domains = FakeDomains(Documents(folder / "domains"), self.networks, self.list_volumes)
        self.moves = FakeMoves(self)

    def pool(self, name: str) -> FakeVolumes:
        if name == DEFAULT_POOL:
            return self.volumes
        return FakeVolumes(self._pools, Documents(self._folder / f"volumes-{name}"), self.secrets, make_pool_name(name))

    def read_ground(self, folder: str) -> Ground:
        return Ground(self.shell, self.firewall, self.networks.read_sheets)

    def list_pools(self) -> list[str]:
        found = [(name, self._pools.find(name)) for name in self._pools.names()]
        return sorted(pool for name, it in found if it and (pool := find_pool_name(name, it.get("uuid", ""))))

    def list_volumes(self) -> list[FakeVolumes]:
        """Every pool of ours."""
        return [self.volumes, *(self.pool(name) for name in self.list_pools() if name != DEFAULT_POOL)]

    def read_facts(self) -> HostRecord:
        return HostRecord("x86_64", 16, self._memory, self._memory, ("kvm", "qemu"), uefi=True, features=frozenset({"vmx", "ept"}))

    def read_usage(self) -> HostUsage:
        """What :meth:`use` noted."""
        noted = Documents(self._folder / "usage").find("host") or {"cpu": 0.0, "memory": 0}
        return HostUsage(noted["cpu"], noted["memory"])

    def use(self, usage: HostUsage) -> None:
        """Let so much of it be used."""
        Documents(self._folder / "usage").put("host", asdict(usage))

    def read_identity(self) -> HostIdentity:
        return HostIdentity(str(uuid.uuid5(uuid.NAMESPACE_URL, str(self._folder))), "9.0.0", "7.2.0", cpu_name="Fake CPU")

    def read_processor(self, hypervisor: str = "kvm") -> str:
        return self.processor

    def list_models(self, hypervisor: str) -> tuple[str, ...]:
        return ("EPYC", "qemu64")

    def find_common(self, processors: Sequence[str], hypervisor: str = "kvm") -> str:
        """The last one, where all are of one model."""
        models = {etree.fromstring(it).findtext("model") for it in processors}
        return processors[-1] if len(models) == 1 else ""

    def make_virsh_argv(self, *words: str) -> list[str]:
        return ["virsh", "-c", self.uri, *words]

    def admit(self, numbers: Mapping[str, int]) -> tuple[str, ...]:
        return tuple(note_numbers(dict(numbers), str(self._folder / "fence"))["done"]["over"])

    def listen(self, on_event: Callable[[], None]) -> None:
        """Nothing happens on a fake host by itself."""

    def close(self) -> None:
        return


class FakeGuests:
    """Guests that answer ssh and have finished their set-up, at once. ``errors`` is what their set-up ended with."""

    def __init__(self, errors: tuple[str, ...] = ()) -> None:
        self._errors = errors

    def greets(self, shell: Shell, address: str) -> bool:
        return True

    def read_result(self, door: Door, patience: float) -> GuestResult | None:
        return GuestResult(self._errors, ())
