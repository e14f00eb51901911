"""The shape of a step's action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step

Before = dict[str, Any]


class Action:
    """``look`` before, ``do``, ``undo``.

    ``look`` says what is there; its answer is journalled (JSON, no secrets) before anything is touched, and is all that
    ``undo`` may rely on. ``do`` done twice equals once. ``undo`` works when ``do`` was done in part, not at all, or was undone.
    """

    waits = False
    """True for actions that mostly wait; they get threads of their own."""

    no_undo = ""
    """Why there is no undo; empty where there is one."""

    final = False
    """True where ``do`` throws away what an undo of earlier steps needs: once it was begun, there is only the way forward."""

    whole = True
    """False where a thing that is there counts as done, so that half of it has to be taken away before planning anew."""

    def look(self, run: Run, step: Step) -> Before:
        return {}

    def do(self, run: Run, step: Step, before: Before) -> None:
        raise NotImplementedError

    def bunch(self, step: Step) -> Hashable:
        """Steps with the same answer, ready at the same time, may be done in one go by :meth:`do_together`; None is on its own."""
        return None

    def do_together(self, run: Run, steps: Sequence[tuple[Step, Before]]) -> frozenset[str]:
        """Do as many as can be done at once; returns the ids of those that are done. The others are then done one by one."""
        return frozenset()

    def undo(self, run: Run, step: Step, before: Before) -> None:
        """Put things back as ``before`` says. The default does nothing, for actions that say why in ``no_undo``."""
