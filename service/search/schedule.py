"""When a candidate may be asked for, and which are told next: generations, or a sliding window.

Law 1 says that a genome depends on the evaluations told before it was asked for.  A schedule fixes
how many those are by the candidate's number alone.  So neither the number of workers, nor their
speed, nor a crash changes what is proposed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Who is asked for after whom.  The baselines come first and are told together."""

    def told_before(self, number: int) -> int:
        """Returns how many candidates must have been told when this one is asked for."""
        ...

    def told_together(self, told: int) -> range:
        """Returns the numbers of the candidates that are told next, in one go."""
        ...

    def generation(self, number: int) -> int:
        """Returns the generation that a candidate counts to; 0 holds the baselines."""
        ...

    def is_boundary(self, told: int) -> bool:
        """Says whether a generation is complete when so many candidates were told."""
        ...


@dataclass(frozen=True, slots=True)
class Generations:
    """Asks for a whole generation when the one before was told."""

    baselines: int
    population: int

    def told_before(self, number: int) -> int:
        """Returns the first number of the candidate's generation."""
        return self._start(self.generation(number))

    def told_together(self, told: int) -> range:
        """Returns a whole generation."""
        generation = self.generation(told)
        return range(told, self._start(generation + 1))

    def generation(self, number: int) -> int:
        """Returns the generation that a candidate counts to; 0 holds the baselines."""
        return _generation(number, self.baselines, self.population)

    def is_boundary(self, told: int) -> bool:
        """Says whether a generation is complete when so many candidates were told."""
        return told > 0 and told == self._start(self.generation(told))

    def _start(self, generation: int) -> int:
        return 0 if generation == 0 else self.baselines + (generation - 1) * self.population


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """Asks for candidate n as soon as candidates 0 to n - window were told: workers never wait.

    At most `window` candidates are out or wait to be told behind a slower one.  Where evaluations
    last between a and b seconds, a window of b / a candidates per worker keeps all of them busy.

    Attributes:
        window: At least 2.
        population: Only divides the run into stretches that progress is noted after.
    """

    baselines: int
    population: int
    window: int

    def told_before(self, number: int) -> int:
        """Returns how many candidates must have been told; evolved ones wait for all baselines."""
        return 0 if number < self.baselines else max(self.baselines, number - self.window + 1)

    def told_together(self, told: int) -> range:
        """Returns the baselines, or a single candidate."""
        return range(self.baselines) if told < self.baselines else range(told, told + 1)

    def generation(self, number: int) -> int:
        """Returns the stretch of the run that a candidate counts to; 0 holds the baselines."""
        return _generation(number, self.baselines, self.population)

    def is_boundary(self, told: int) -> bool:
        """Says whether a stretch is complete when so many candidates were told."""
        return told == self.baselines or (
            told > self.baselines and (told - self.baselines) % self.population == 0
        )


def _generation(number: int, baselines: int, population: int) -> int:
    return 0 if number < baselines else 1 + (number - baselines) // population
