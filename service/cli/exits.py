"""How commands end: one table of exit codes, which `evomerge --help` and docs/operating.md show."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """How a command ended.

    Attributes:
        meaning: What is said of the code.
    """

    meaning: str

    OK = 0, "done"
    FAILED = 1, "an experiment, export, merge or examination of this machine failed"
    USAGE = 2, "the command itself has a mistake"
    INVALID = 3, "a file, a model, a task or a value has mistakes, or models do not fit each other"
    NOT_FOUND = 4, "there is no such experiment, candidate or export"
    UNAUTHORIZED = 5, "the service's key is missing or wrong"
    CONFLICT = 6, "what there is forbids it: a taken name, folder or port, or the experiment's state"
    UNREACHABLE = 7, "no service answers, or not in time; or a task's data cannot be fetched"
    NOTHING_FEASIBLE = 8, "the experiment has ended, and no candidate could be scored"
    INTERRUPTED = 130, "stopped with Ctrl-C"

    def __new__(cls, value: int, meaning: str) -> Self:
        """Makes a code with its meaning."""
        found = int.__new__(cls, value)
        found._value_, found.meaning = value, meaning
        return found
