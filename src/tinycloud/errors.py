"""Every error a user can meet, in one tree.

::

    TinycloudError
    ├── Refused               nothing was changed                          exit  http
    │   ├── WrongInput        the file, a flag or a value is wrong            2   400
    │   ├── NotFound          a name that does not exist                      2   404
    │   ├── Clash             something that is not ours has the name         4   409
    │   ├── InUse             it cannot go while something needs it           4   409
    │   ├── NoHost            no host can take it, with each host's reason    4   409
    │   ├── NeedsReplace      it would cost a machine; --replace allows it    4   409
    │   ├── Stale             the world moved since the plan was made         4   409
    │   ├── Missing           a package, right or service is not there        4   503
    │   ├── NotYet            this version does not do it                     4   501
    │   ├── Declined          the person said no                              4   409
    │   ├── Unfinished        an earlier execution waits for a decision       5   409
    │   └── Busy              somebody else holds the stack                   6   409
    └── Failed                something may have been changed
        ├── StepFailed        a step of an execution; names the execution     1   500
        ├── ToolFailed        a child process; its stderr is a fact           1   502
        ├── LibvirtFailed     libvirt said no                                 1   502
        ├── Unreachable       a host does not answer                          1   503
        ├── NotReady          a machine did not become ready in time          7   504
        ├── GuestFailed       guest set-up ended with an error                7   502
        ├── Lost              the lease or the database is lost: stop here    1   503
        └── Interrupted       Ctrl-C                                        130   503

Other exit statuses: 0 done, 3 ``plan`` found something to do, 70 a bug of ours.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXIT_CHANGES = 3
EXIT_BUG = 70


class TinycloudError(Exception):
    """What went wrong, in the user's own words: a code, a message, facts, and a hint that can be typed."""

    code: ClassVar[str] = "error"
    exit: ClassVar[int] = 1
    http: ClassVar[int] = 500

    def __init__(self, message: str, *, code: str = "", facts: Iterable[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = code or self.code
        self.facts = tuple(facts)
        self.hint = hint

    def as_json(self) -> dict[str, object]:
        """The same facts for a program: ``{"error", "message", "facts", "hint", "exit"}``."""
        return {
            "error": self.kind,
            "message": self.message,
            "facts": list(self.facts),
            "hint": self.hint,
            "exit": self.exit,
        }


class Refused(TinycloudError):
    """Nothing was changed."""

    code = "refused"
    exit = 4
    http = 409


class WrongInput(Refused):
    code = "wrong-input"
    exit = 2
    http = 400


class NotFound(Refused):
    """A name nobody knows; says the nearest one that exists."""

    code = "not-found"
    exit = 2
    http = 404


class Clash(Refused):
    code = "clash"


class InUse(Refused):
    code = "in-use"


class NoHost(Refused):
    """``lost``: machines of hosts that are gone which fit nowhere, each with the reason, where it is only those that do not."""

    code = "no-host"

    def __init__(self, message: str, *, facts: Iterable[str] = (), hint: str = "", lost: Mapping[str, str] | None = None) -> None:
        super().__init__(message, facts=facts, hint=hint)
        self.lost = dict(lost or {})


class NeedsReplace(Refused):
    code = "needs-replace"


class Stale(Refused):
    code = "stale"


class Missing(Refused):
    code = "missing"
    http = 503


class NotYet(Refused):
    """A declared wish that this version cannot fulfil. Never a silent success."""

    code = "not-yet"
    http = 501


class Declined(Refused):
    code = "declined"


class Unfinished(Refused):
    code = "unfinished"
    exit = 5


class Busy(Refused):
    code = "busy"
    exit = 6


class Failed(TinycloudError):
    """Something may have been changed; the message or the facts say what to do about it."""

    code = "failed"


class StepFailed(Failed):
    code = "step-failed"


class ToolFailed(Failed):
    code = "tool-failed"
    http = 502


class LibvirtFailed(Failed):
    """libvirt's own refusal. ``number`` is its error code (``VIR_ERR_*``)."""

    code = "libvirt"
    http = 502

    def __init__(self, message: str, *, number: int = 0, facts: Iterable[str] = (), hint: str = "") -> None:
        super().__init__(message, facts=facts, hint=hint)
        self.number = number


class Unreachable(Failed):
    """A host does not answer, or not in time. What was under way there may have been done."""

    code = "unreachable-host"
    http = 503


class NotReady(Failed):
    code = "not-ready"
    exit = 7
    http = 504


class GuestFailed(Failed):
    code = "guest-failed"
    exit = 7
    http = 502


class Lost(Failed):
    """We may not, or cannot, write any more. Whoever gets this undoes nothing: that is for the one who goes on."""

    code = "lost"
    http = 503


class Interrupted(Failed):
    code = "interrupted"
    exit = 130
    http = 503


def as_failed(error: TinycloudError) -> TinycloudError:
    """A refusal that came in the middle of work, of which something is left: it is none, for something was changed."""
    return StepFailed(error.message, code=error.kind, facts=error.facts, hint=error.hint) if isinstance(error, Refused) else error


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that the user most likely meant, or None when nothing is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def make_did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint such as ``did you mean "front"?``, or an empty text."""
    near = find_nearest(word, known)
    return f'did you mean "{near}"?' if near else ""
