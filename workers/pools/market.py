"""WorkerMarket: workers that several experiments share; each belongs to one of them at a time.

It moves workers that are idle, never one that is at work.  How many each experiment should have says
`workers.pools.sharing`.  Every experiment has a thread of its own, which alone speaks to its workers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic

from workers.pools.ray_cluster import Call, Cluster, RemoteWorker
from workers.pools.resources import WorkerResources
from workers.pools.sharing import Amount, Claim, memory_of_parents, shared_out
from workers.protocol.messages import Assignment, Workload

FIRST_GUESS = 10.0  # seconds that getting ready takes, before it was measured


@dataclass(slots=True, eq=False)
class Slot:
    """One worker's place: the process in it, what was asked of it, and until when it may take.

    Attributes:
        workload: What it is, or gets, ready for.
        amount: What it takes of the cluster.
        since: When it last became idle, or was asked to get ready.
    """

    worker: RemoteWorker
    home: Cluster
    shape: WorkerResources
    amount: Amount
    owner: Seat | None = None
    workload: Workload | None = None
    call: Call | None = None
    assignment: Assignment | None = None  # None while it gets ready, and after a drop
    deadline: float = float("inf")
    losses: int = 0
    ready: bool = False
    since: float = field(default_factory=monotonic)

    @property
    def is_idle(self) -> bool:
        """Says whether it could work now."""
        return self.ready and self.call is None


@dataclass(slots=True, eq=False)
class Seat:
    """One experiment's place at the market.

    Attributes:
        claim: What it would use, but for what it keeps a while longer.
        switch_seconds: What it takes to have one of its workers ready.
    """

    workload: Workload
    shape: WorkerResources
    claim: Claim[int]
    switch_seconds: float = FIRST_GUESS

    def has_parents_of(self, slot: Slot) -> bool:
        """Says whether a worker holds this experiment's parents in memory already."""
        return slot.workload is not None and slot.workload.parents == self.workload.parents


class WorkerMarket:
    """Slots, and the experiments that share them.

    All calls are made by threads that hold `lock`.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.capacity = Amount(0.0)
        self._slots: list[Slot] = []
        self._seats: list[Seat] = []
        self._targets: tuple[tuple[Claim[int], ...], Amount, Mapping[int, int]] | None = None

    @property
    def seats(self) -> int:
        """How many experiments share the workers."""
        return len(self._seats)

    def of(self, seat: Seat) -> list[Slot]:
        """Returns the slots that an experiment has."""
        return [slot for slot in self._slots if slot.owner is seat]

    def join(self, seat: Seat) -> None:
        """Lets an experiment take part."""
        self._seats.append(seat)

    def leave(self, seat: Seat) -> None:
        """Lets an experiment's workers go, ready as they are; those that are at something are ended."""
        for slot in self.of(seat):
            if slot.is_idle:
                slot.owner = None
            else:
                self.end(slot)
        if seat in self._seats:
            self._seats.remove(seat)

    def target(self, seat: Seat) -> int:
        """Returns how many workers an experiment should have now."""
        claims = tuple(self._claim(each) for each in self._seats)
        if self._targets is None or self._targets[:2] != (claims, self.capacity):
            self._targets = (claims, self.capacity, shared_out(self.capacity, claims))
        return self._targets[2].get(seat.claim.key, 0)

    def end(self, slot: Slot) -> None:
        """Ends a slot's worker, whatever it is at."""
        slot.home.kill(slot.worker)
        self.forget(slot)

    def forget(self, slot: Slot) -> None:
        """Takes a slot away whose worker has ended."""
        self._slots = [other for other in self._slots if other is not slot]

    def clear(self) -> None:
        """Ends all workers."""
        for slot in list(self._slots):
            self.end(slot)

    def take(self, seat: Seat, start: Callable[[], Slot]) -> Slot | None:
        """Gives an experiment one slot more, if it should have one and one is to be had now.

        Args:
            seat: The experiment's.
            start: Starts another worker for it.
        """
        self._forget_lost()
        if len(self.of(seat)) >= self.target(seat):
            return None
        for slot in self._to_be_had(seat):
            if slot.shape == seat.shape and self._used(without=slot, more=seat).fits(self.capacity):
                slot.owner, slot.amount, slot.losses = seat, seat.claim.each, 0
                return slot
        for slot in self._to_be_had(seat):
            if self._used(more=seat).fits(self.capacity):
                break
            self.end(slot)  # it is in the way of one of another shape
        if not self._used(more=seat).fits(self.capacity):
            return None
        slot = start()
        self._slots.append(slot)
        return slot

    def _forget_lost(self) -> None:
        """Forgets slots of no experiment whose Ray has ended; the others are their experiments' to lose."""
        self._slots = [slot for slot in self._slots if slot.owner is not None or slot.home.loss is None]

    def _to_be_had(self, seat: Seat) -> list[Slot]:
        """Returns idle slots that no other experiment should have, those that hold the same parents first."""
        spare = {
            other: len(self.of(other)) - self.target(other) for other in self._seats if other is not seat
        }
        found: list[Slot] = []
        for slot in self._slots:
            if not slot.is_idle or slot.home.loss is not None or slot.owner is seat:
                continue
            if slot.owner is not None:
                if spare[slot.owner] <= 0:
                    continue
                spare[slot.owner] -= 1
            found.append(slot)
        return sorted(found, key=lambda slot: (not seat.has_parents_of(slot), slot.owner is not None))

    def _used(self, *, more: Seat, without: Slot | None = None) -> Amount:
        """Returns what would be in use with one more worker for an experiment."""
        owners = {slot.owner for slot in self._slots if slot.owner is not None and slot is not without}
        total = memory_of_parents([more.claim, *(owner.claim for owner in owners)]).plus(more.claim.each)
        for slot in self._slots:
            if slot is not without:
                total = total.plus(slot.amount)
        return total

    def _claim(self, seat: Seat) -> Claim[int]:
        """Returns what an experiment claims: what it can use, and what is not worth lending yet.

        To lend a worker and to get it back costs getting ready twice.  So it is lent when it has been idle
        for as long: whatever comes then, at most twice as much is lost as by the best decision.
        """
        patience, now = 2 * seat.switch_seconds, monotonic()
        kept = sum(1 for slot in self.of(seat) if not slot.is_idle or now - slot.since < patience)
        return replace(seat.claim, wanted=max(seat.claim.wanted, kept))
