"""ssh into a machine with the OpenSSH client: our key, its derived host key, nobody's configuration, no trust on first use."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tinycloud.drivers.shell import Done, Shell

CONNECT_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Door:
    """How to get into a machine."""

    alias: str
    address: str
    user: str
    identity: Path
    known_hosts: Path
    jump: tuple[str, ...] = ()
    """The ProxyCommand through the host that the machine is on; empty where there is no need of one."""

    @property
    def options(self) -> dict[str, str]:
        """OpenSSH client options, as in ssh_config(5)."""
        return {
            "HostName": self.address,
            "User": self.user,
            "IdentityFile": str(self.identity),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": self.alias,
            "HostKeyAlgorithms": "ssh-ed25519",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": str(CONNECT_LIMIT),
            "LogLevel": "ERROR",
            **({"ProxyCommand": shlex.join(self.jump)} if self.jump else {}),
        }

    def _flags(self, *, batch: bool) -> list[str]:
        options = {**self.options, **({"BatchMode": "yes"} if batch else {})}
        return ["-F", "/dev/null", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]

    def make_ssh_argv(self, text: str = "", *, batch: bool = False) -> list[str]:
        """``ssh`` to the machine: a login, or ``text`` for the shell there."""
        return ["ssh", *self._flags(batch=batch), self.address, *(["--", text] if text else [])]

    def make_scp_argv(self, paths: Sequence[str], *, recursive: bool = False) -> list[str]:
        """``scp`` with paths in which ``REMOTE:`` stands for the machine."""
        words = [path.replace("REMOTE:", f"{self.address}:", 1) if path.startswith("REMOTE:") else path for path in paths]
        return ["scp", "-q", *self._flags(batch=True), *(["-r"] if recursive else []), *words]

    def run(self, shell: Shell, command: Sequence[str], *, input: bytes | None = None, limit: float = 60.0, check: bool = False) -> Done:
        """Run a command in the machine and wait for it; its words arrive as they are. Status 255 is ssh's own."""
        return shell.run(self.make_ssh_argv(shlex.join(command), batch=True), input=input, limit=limit, check=check)


def answers_ssh(shell: Shell, address: str, port: int = 22, limit: float = 0.5) -> bool:
    """True when an ssh server greets whoever connects from the shell's host: ``limit`` seconds to connect, four times that to speak."""
    return shell.hear(address, port, limit=limit).startswith(b"SSH-")
