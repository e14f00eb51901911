"""The same thing done to many machines at once: what one of them cannot do keeps the others from nothing, and is told in the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from tinycloud.errors import Failed, TinycloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tinycloud.views import Machine

T = TypeVar("T")


@dataclass
class Outcomes(Generic[T]):
    """What came of each machine, in their order."""

    done: list[tuple[Machine, T]] = field(default_factory=list)
    failed: list[tuple[Machine, TinycloudError]] = field(default_factory=list)

    def must_be_all(self, what: str) -> None:
        """Raise the error of a machine that was alone; of several, one that names each with its reason. ``what`` follows their number."""
        if not self.failed:
            return
        count = len(self.done) + len(self.failed)
        if count == 1:
            raise self.failed[0][1]
        facts = [_tell(machine.ref, err) for machine, err in self.failed]
        raise Failed(f"{len(self.failed)} of {count} machines {what}", code="not-everywhere", facts=facts, hint=self._find_hint())

    def _find_hint(self) -> str:
        return next((err.hint for _, err in self.failed if err.hint), "")


def _tell(ref: str, err: TinycloudError) -> str:
    text = "; ".join([err.message, *err.facts[:1]])
    return text if ref in err.message else f"{ref}  {text}"


def do_on_all(machines: Sequence[Machine], work: Callable[[Machine], T], most: int = 16) -> Outcomes[T]:
    """Do it to no more than ``most`` at a time, and wait for all. Errors that are none of ours are raised."""

    def try_one(machine: Machine) -> T | TinycloudError:
        try:
            return work(machine)
        except TinycloudError as err:
            return err

    out: Outcomes[T] = Outcomes()
    with ThreadPoolExecutor(most) as pool:
        for machine, answer in zip(machines, pool.map(try_one, machines), strict=True):
            if isinstance(answer, TinycloudError):
                out.failed.append((machine, answer))
            else:
                out.done.append((machine, answer))
    return out
