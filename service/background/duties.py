"""What work a service looks for.

A command that only looks at a home opens it without any; one that exports must not run experiments.
"""

from __future__ import annotations

from enum import StrEnum


class Duty(StrEnum):
    """One kind of work that a service looks for while it runs."""

    EXPERIMENTS = "experiments"
    EXPORTS = "exports"


ALL_DUTIES = frozenset(Duty)
EXPORTS_ALONE = frozenset({Duty.EXPORTS})
NO_DUTIES: frozenset[Duty] = frozenset()
