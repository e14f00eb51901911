"""Amounts with a unit: bytes and durations, as people write and read them."""

from __future__ import annotations

import re
from typing import Final

from tinycloud.model.show import show

_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SIZES: Final = {
    "b": 1,
    **{f"{p}ib": 1024**n for n, p in enumerate("kmgtp", 1)},
    **{f"{p}b": 1000**n for n, p in enumerate("kmgtp", 1)},
    **{p: 1024**n for n, p in enumerate("kmgtp", 1)},
}
_TIMES: Final = {"ms": 0.001, "s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
_AMOUNT: Final = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]+)\s*")
_MOST_BYTES: Final = 1024**6
_MOST_SECONDS: Final = 1000 * 86400


class Bytes(int):
    """A number of bytes. ``str()`` gives it as people read it: ``512 MiB``, ``1.5 GiB``."""

    def __str__(self) -> str:
        value, unit = float(self), 0
        while abs(value) >= 1024 and unit < len(_BINARY) - 1:
            value, unit = value / 1024, unit + 1
        text = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
        return f"{text} {_BINARY[unit]}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    @property
    def kib(self) -> int:
        """Whole kibibytes, rounded down: libvirt's unit of memory."""
        return int(self) // 1024


class Duration(float):
    """A number of seconds. ``str()`` gives ``0.3 s``, ``2 min``, ``3 h``, ``4 d``."""

    def __str__(self) -> str:
        seconds = float(self)
        if seconds < 100:
            return f"{seconds:.1f} s" if seconds != int(seconds) or seconds < 10 else f"{seconds:.0f} s"
        for unit, size in (("d", 86400), ("h", 3600)):
            if seconds >= 2 * size:
                return f"{seconds / size:.0f} {unit}"
        return f"{seconds / 60:.0f} min"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def _parse(text: object, units: dict[str, int] | dict[str, float], what: str, example: str) -> float:
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        raise ValueError(f"{what} needs a unit: found {text}, expected for example {example}")
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2].lower() not in units:
        raise ValueError(f"found {show(text)}, expected {what} such as {example}")
    number = int(match[1]) if match[1].isdecimal() else float(match[1])
    return number * units[match[2].lower()]


def _limited(amount: float, most: int, text: object, limit: str) -> float:
    if amount > most:
        raise ValueError(f"found {show(text)}, expected at most {limit}")
    return amount


def parse_bytes(text: object) -> Bytes:
    """``512 MiB``, ``20G``, ``1.5 GiB`` → bytes. K, M, G mean 1024; KB, MB, GB mean 1000.

    Raises ValueError for anything else, also for a number without a unit.
    """
    if isinstance(text, Bytes):
        return text
    return Bytes(_limited(_parse(text, _SIZES, "a size", '"512 MiB"'), _MOST_BYTES, text, "1024 PiB"))


def parse_duration(text: object) -> Duration:
    """``90 s``, ``5 min``, ``1h`` → seconds. Raises ValueError for anything else."""
    if isinstance(text, Duration):
        return text
    return Duration(_limited(_parse(text, _TIMES, "a time", '"90 s"'), _MOST_SECONDS, text, "1000 d"))
