"""Which host a call of the Python API is for: part of ``cloud.images``, ``cloud.volumes``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinycloud.drivers.host import Host
    from tinycloud.engine.parts import Parts


class Somewhere:
    """Finds hosts for what is named."""

    _parts: Parts

    def _pick(self, host: str) -> Host:
        """The host of that name, or the first of the cloud."""
        return self._parts.get_host(host) if host else self._parts.first_host

    def _find(self, ref: str, host: str = "", *, images: bool = True) -> Host:
        """The host that has a disk or an image."""
        from tinycloud.engine.everywhere import find_host

        return find_host(self._parts, ref, host, images=images)

    def _have(self, ref: str, host: Host) -> None:
        """See that a host has what something there is to stand on, or to be compared with."""
        from tinycloud.engine.everywhere import see_that_it_is_there

        see_that_it_is_there(self._parts, ref, host)

    @property
    def _images(self) -> Any:
        from tinycloud.engine.image_store import ImageStore

        return ImageStore(self._parts)
