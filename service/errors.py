"""Errors of the service; each carries the HTTP status and the code that it becomes.

* ServiceError                   500
  * NotFoundError                404  no such experiment, candidate or export
  * ConflictError                409  the thing is in a state, or has a name, that forbids it
    * IllegalTransitionError     409
    * NameTakenError             409
    * LeaseLostError             409  another controller runs the experiment now
  * InvalidSpecError             422  holds every mistake of the spec at once, the first of very many
  * ChangedMeanwhileError        412  it is not any more as the caller last saw it
  * TooBusyError                 429  too much of this kind waits already
  * MissingLibraryError          501  a library that this needs is not installed
  * ReplayMismatchError          500  the optimizer no longer proposes what it proposed
  * PoisonError                  500  the controller's process ends with what it is to do, again and again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_MISTAKES = 50  # that are told at once: a generated spec may have thousands


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a spec.

    Attributes:
        pointer: Where it stands, as a JSON pointer (`/parents/1`).
        code: One word that programs can act on.
        detail: What is wrong, with the value.
        remedy: What to do.
    """

    pointer: str
    code: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        """Writes the mistake in one line."""
        return f"{self.pointer or '/'}: {self.detail}" + (f"; {self.remedy}" if self.remedy else "")


def first_mistakes(mistakes: Sequence[Mistake]) -> tuple[Mistake, ...]:
    """Returns the mistakes, or the first of very many and one that says how many more there are."""
    if len(mistakes) <= MOST_MISTAKES:
        return tuple(mistakes)
    rest = len(mistakes) - MOST_MISTAKES
    more = Mistake("", "more_mistakes", f"and {rest} more", "mend these first, and check again")
    return (*mistakes[:MOST_MISTAKES], more)


class ServiceError(Exception):
    """Something the service cannot do."""

    status = 500
    code = "internal_error"

    def __init__(self, detail: str, remedy: str = "") -> None:
        super().__init__(f"{detail}; {remedy}" if remedy else detail)
        self.detail, self.remedy = detail, remedy


class NotFoundError(ServiceError):
    """There is no such thing."""

    status = 404
    code = "not_found"

    def __init__(self, kind: str, key: object) -> None:
        super().__init__(f"there is no {kind} {str(key)!r}", f"list the {kind}s to see what there is")


class ChangedMeanwhileError(ServiceError):
    """What is to be changed is not any more as the caller last saw it."""

    status = 412
    code = "changed_meanwhile"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was changed meanwhile", "get it again, and change what it is now")


class TooBusyError(ServiceError):
    """Too much of this kind waits already."""

    status = 429
    code = "too_busy"


class MissingLibraryError(ServiceError):
    """A library that this needs is not installed where the service runs."""

    status = 501
    code = "missing_library"

    def __init__(self, what: str, library: str, extra: str) -> None:
        remedy = f'pip install "evomerge[{extra}]" where the service runs'
        super().__init__(f"{what} needs {library}, which is not installed", remedy)


class ConflictError(ServiceError):
    """The thing is in a state, or has a name, that forbids it."""

    status = 409
    code = "conflict"


class IllegalTransitionError(ConflictError):
    """A status that may not follow the present one."""

    code = "illegal_transition"

    def __init__(self, what: str, current: str, wanted: str) -> None:
        super().__init__(f"{what} is {current}; it cannot {wanted}")


class NameTakenError(ConflictError):
    """Another experiment has this name."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already an experiment called {name!r}", "choose another name")


class LeaseLostError(ConflictError):
    """Another controller runs the experiment now."""

    code = "lease_lost"

    def __init__(self, experiment: object) -> None:
        super().__init__(f"another controller took experiment {experiment} over")


class InvalidSpecError(ServiceError):
    """A spec with mistakes; it holds all of them, or the first `MOST_MISTAKES` and how many more."""

    status = 422
    code = "invalid_spec"

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = first_mistakes(mistakes)
        count = len(mistakes)
        super().__init__(f"the experiment has {count} mistake{'s' if count > 1 else ''}: "
                         + " | ".join(str(mistake) for mistake in self.mistakes))  # fmt: skip


class ReplayMismatchError(ServiceError):
    """The optimizer no longer proposes what it proposed, so the run cannot go on honestly."""

    code = "replay_mismatch"

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(
            f"candidate {number} would be proposed differently now than when it was first asked for",
            "resume with the versions of evomerge and nevergrad that began it, or start a new experiment",
        )


class PoisonError(ServiceError):
    """Controllers have ended, one after the other, while workers got ready in their process."""

    code = "poison"

    def __init__(self, crashes: int) -> None:
        super().__init__(
            f"the controller's process ended {crashes} times while workers got ready for this experiment",
            "look at the kernel's log (`dmesg`) for the cause, often memory; workers of Ray "
            "(`EVOMERGE_WORKFORCE=ray`) end without the controller; then resume",
        )
