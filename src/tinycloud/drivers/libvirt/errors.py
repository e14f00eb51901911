"""libvirt's error numbers, translated in one table (https://libvirt.org/html/libvirt-virterror.html)."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tinycloud.errors import Clash, LibvirtFailed, Missing, TinycloudError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_DOMAIN: Final = 42
NO_NETWORK: Final = 43
NO_POOL: Final = 49
NO_VOLUME: Final = 50
NO_METADATA: Final = 80
OPERATION_INVALID: Final = 55

_NO_RIGHT: Final = {29, 45, 79, 88, 94}  # OPERATION_DENIED, AUTH_FAILED, AUTH_CANCELLED, ACCESS_DENIED, AUTH_UNAVAILABLE


_LOUDNESS: Final = "LIBVIRT_DEBUG"
"""4 is errors alone."""

_LOADING: Final = threading.Lock()
"""Hosts are opened side by side, and the environment is everybody's."""

_LOST: Final = ("client socket is closed", "keepalive timeout", "End of file while reading data")
"""What libvirt says of a connection that was cut."""


def load_libvirt() -> Any:
    """The binding, quiet: errors are raised, not printed. Raises Missing when it is not installed."""
    try:
        with _LOADING:
            libvirt = _import()
    except ImportError as err:
        raise Missing(
            "the Python binding of libvirt is not installed",
            hint='pip install "tinycloud[libvirt]" (needs gcc, pkg-config, libvirt-dev), or apt-get install python3-libvirt',
        ) from err
    libvirt.registerErrorHandler(lambda _ctx, _err: None, None)
    return libvirt


def _import() -> Any:
    """Its library writes warnings on stderr, beside the errors that it raises, unless it is told before it begins."""
    if "libvirt" in sys.modules or _LOUDNESS in os.environ:
        import libvirt
    else:
        os.environ[_LOUDNESS] = "4"
        try:
            import libvirt  # 25 ms of import
        finally:
            del os.environ[_LOUDNESS]
    return libvirt


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"


def translate(err: Any, what: str) -> TinycloudError:
    """Our error for a ``libvirtError`` met while doing ``what``."""
    number, message = err.get_error_code() or 0, err.get_error_message() or str(err)
    if number in _NO_RIGHT or "authentication" in message or ("socket" in message and "Permission denied" in message):
        return Missing("no right to use libvirt here", facts=[_first_line(message)], hint="tinycloud doctor --fix")
    if "Failed to connect socket" in message or "Cannot recv data" in message or (number == 38 and "connect" in message):
        return Missing("libvirtd does not answer", facts=[_first_line(message)], hint="tinycloud doctor")
    if any(words in message for words in _LOST):
        return Unreachable(f"{what}: the connection to libvirt was lost", facts=[_first_line(message)], hint="tinycloud doctor")
    if number == 9 and ("already exists" in message or "already defined" in message):  # VIR_ERR_OPERATION_FAILED
        return Clash(f"{what}: it exists already", facts=[_first_line(message)])
    hint = "tinycloud space" if "No space left on device" in message else ""
    return LibvirtFailed(what, number=number, facts=message.strip().splitlines()[:12], hint=hint)


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn libvirt's errors inside into ours; ``what`` says what was being done: ``start domain shop-web-1``."""
    import libvirt

    try:
        yield
    except libvirt.libvirtError as err:
        raise translate(err, f"cannot {what}") from err
