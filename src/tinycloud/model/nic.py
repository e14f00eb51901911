"""How much a NIC may carry, both ways as its guest sees them."""

from __future__ import annotations

from dataclasses import dataclass

from tinycloud.model.units import Bytes


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes a second. ``average`` 0 is no limit; 0 of the others leaves them to the kernel."""

    average: Bytes = Bytes(0)  # noqa: RUF009 - frozen
    peak: Bytes = Bytes(0)  # noqa: RUF009
    """What it may reach for a while, as long as its guest was below the average before."""
    burst: Bytes = Bytes(0)  # noqa: RUF009
    """Bytes that go at peak speed."""

    def __str__(self) -> str:
        words = [f"{self.average}/s"]
        words += [f"peak {self.peak}/s"] if self.peak else []
        words += [f"burst {self.burst}"] if self.burst else []
        return " ".join(words) if self.average else "none"

    @property
    def settings(self) -> dict[str, int]:
        """In libvirt's words and units: tc's kilobytes a second are of 1000 bytes, its kilobytes of 1024."""
        return {"average": -(-self.average // 1000), "peak": -(-self.peak // 1000), "burst": -(-self.burst // 1024)}


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """``inbound`` is what the guest receives, ``outbound`` what it sends."""

    inbound: Rate = Rate()
    outbound: Rate = Rate()

    @property
    def settings(self) -> dict[str, int]:
        """``inbound.average`` and so on, every one, as virDomainSetInterfaceParameters has them."""
        ways = {"inbound": self.inbound, "outbound": self.outbound}
        return {f"{way}.{word}": value for way, rate in ways.items() for word, value in rate.settings.items()}

    def __str__(self) -> str:
        return "none" if self == Bandwidth() else f"in {self.inbound}, out {self.outbound}"
