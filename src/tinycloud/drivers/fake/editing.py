"""Offline edits on a fake host: a disk's bytes become the names of what was done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tinycloud.errors import LibvirtFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Job(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def recipe(self) -> Any: ...
    @property
    def name(self) -> str: ...


def edit_fake(host: Any, jobs: Sequence[_Job], hear: Callable[[str, str], None], /) -> None:
    """Each disk is told its new host's name and users. A disk that is not there, or that a machine runs on, is refused."""
    used = [domain.xml for domain in host.domains.list_all() if domain.state in ("running", "paused")]
    for job in jobs:
        hear(job.name, "editing")
        name = job.path.rpartition("/")[2]
        if any(f'"{job.path}"' in xml or f"'{job.path}'" in xml for xml in used):
            raise LibvirtFailed(f'{name} is in use: failed to get "write" lock')
        users = " ".join(user.name for user in job.recipe.users)
        host.volumes.upload_bytes(name, f"{job.recipe.hostname}: {users}".encode())
