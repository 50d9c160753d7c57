"""Sharing: how many workers each of several experiments gets.  Pure arithmetic.

First every experiment with something to ask gets its minimum, those of higher priority and older ones
first; one whose models do not fit beside those of the ones before it waits.  What is left goes worker by
worker to the experiment whose dominant share (the largest part that it has of any one resource), divided
by its priority, is smallest: dominant resource fairness (Ghodsi et al., NSDI 2011, algorithm 1).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key")

ROUNDING = 1e-9  # of shares of GPUs: ten tenths are one


@dataclass(frozen=True, slots=True)
class Amount:
    """So many workers, cores, GPUs and bytes of memory: what there is, or what a worker takes."""

    workers: float = 1.0
    cpus: float = 0.0
    gpus: float = 0.0
    memory: float = 0.0

    @property
    def parts(self) -> tuple[float, float, float, float]:
        """The resources, in order."""
        return self.workers, self.cpus, self.gpus, self.memory

    def plus(self, other: Amount, times: float = 1.0) -> Amount:
        """Returns the sum, with the other one multiplied."""
        return Amount(*(mine + times * more for mine, more in zip(self.parts, other.parts, strict=True)))

    def fits(self, capacity: Amount) -> bool:
        """Says whether there is as much as this."""
        pairs = zip(self.parts, capacity.parts, strict=True)
        return all(part <= whole * (1 + ROUNDING) + ROUNDING for part, whole in pairs)


NOTHING = Amount(0.0)


@dataclass(frozen=True, slots=True)
class Claim(Generic[Key]):
    """What one experiment would use of the workers.

    Attributes:
        key: Names the experiment.
        each: What one of its workers takes.
        parents: Bytes of memory by model, taken once by all whose workers hold it.
        wanted: Workers that it could use now; with none wanted all are lent.
        minimum, maximum: Of its workers, while it has something to ask.
        priority: Its share beside others': one of 2 gets twice what one of 1 gets.
    """

    key: Key
    each: Amount
    wanted: int
    minimum: int = 1
    maximum: int = 1
    priority: float = 1.0
    parents: Mapping[str, int] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """How many workers are of use to it now."""
        return min(self.wanted, self.maximum)

    def dominant_share(self, count: int, capacity: Amount) -> float:
        """Returns the largest part that so many workers are of any resource, in relation to its priority."""
        pairs = zip(self.each.parts, capacity.parts, strict=True)
        return max((count * part / whole for part, whole in pairs if part), default=0.0) / self.priority


def memory_of_parents(claims: Iterable[Claim[Key]]) -> Amount:
    """Returns the memory that the experiments' parents take, shared ones counted once."""
    held: dict[str, int] = {}
    for claim in claims:
        held |= claim.parents
    return Amount(0.0, memory=sum(held.values()))


def taken(held: Sequence[tuple[Claim[Key], int]]) -> Amount:
    """Returns what experiments with so many workers each take together."""
    total = memory_of_parents(claim for claim, count in held if count)
    for claim, count in held:
        total = total.plus(claim.each, count)
    return total


def shared_out(capacity: Amount, claims: Sequence[Claim[Key]]) -> dict[Key, int]:
    """Returns how many workers each experiment should have.

    Args:
        capacity: What there is in all.
        claims: The experiments, the oldest first.
    """
    granted = _least(capacity, claims)
    place = {claim.key: number for number, claim in enumerate(claims)}
    used = taken([(claim, granted[claim.key]) for claim in claims])
    waiting = [
        (claim.dominant_share(granted[claim.key], capacity), place[claim.key])
        for claim in claims
        if 0 < granted[claim.key] < claim.most
    ]
    heapq.heapify(waiting)
    while waiting:
        _, number = heapq.heappop(waiting)
        claim = claims[number]
        more = used.plus(claim.each)
        if not more.fits(capacity):
            continue
        used, granted[claim.key] = more, granted[claim.key] + 1
        if granted[claim.key] < claim.most:
            heapq.heappush(waiting, (claim.dominant_share(granted[claim.key], capacity), number))
    return granted


def _least(capacity: Amount, claims: Sequence[Claim[Key]]) -> dict[Key, int]:
    """Returns the minimum of each, as far as it fits; the rest waits."""
    granted = {claim.key: 0 for claim in claims}
    held: list[tuple[Claim[Key], int]] = []
    for claim in sorted(claims, key=lambda claim: -claim.priority):
        least = min(claim.minimum, claim.most)
        if least and taken([*held, (claim, least)]).fits(capacity):
            held.append((claim, least))
            granted[claim.key] = least
    return granted
