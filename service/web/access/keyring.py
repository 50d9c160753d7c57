"""Keyring: whose key a request bears."""

from __future__ import annotations

import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from service.store.access.keys import digest_of, find_key
from service.store.access.role import Role
from service.store.database import Database

REMEMBERED_SECONDS = 5.0  # after which a revoked key is refused by all controllers
MOST_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a key's name and role."""

    name: str
    role: Role


ADMIN = Caller("EVOMERGE_API_KEY", Role.ADMIN)
LOCAL = Caller("this machine", Role.ADMIN)


class Keyring:
    """Knows the one admin key of the settings, and those in the database.

    Right keys are remembered for some seconds, wrong ones never: those are counted elsewhere.
    """

    def __init__(
        self, key: str | None, database: Callable[[], Database], clock: Callable[[], float] = monotonic
    ) -> None:
        self._key = key.encode() if key is not None else None
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._remembered: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    @property
    def is_open(self) -> bool:
        """Says whether requests need no key: the service is this machine's alone."""
        return self._key is None

    def holds(self, given: bytes) -> bool:
        """Says whether a key that opened something still does, as of some seconds ago at most.  Blocks."""
        return (self.at_once(given) or self.look_up(given)) is not None

    def at_once(self, given: bytes) -> Caller | None:
        """Returns whose key it is, as far as that is known without the database."""
        if self._key is not None and hmac.compare_digest(given, self._key):
            return ADMIN
        if not given and self.is_open:
            return LOCAL
        with self._lock:
            caller, until = self._remembered.get(_digest(given), (None, 0.0))
        return caller if caller is not None and self._clock() < until else None

    def look_up(self, given: bytes) -> Caller | None:
        """Returns whose key it is by the database; None where there is none that opens anything.  Blocks."""
        if not given:
            return None
        digest = _digest(given)
        with self._database().session() as session:
            row = find_key(session, digest)
            caller = Caller(row.name, Role(row.role)) if row is not None else None
        with self._lock:
            self._remembered.pop(digest, None)
            if caller is not None:
                self._remembered[digest] = (caller, self._clock() + REMEMBERED_SECONDS)
            while len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return caller


def _digest(given: bytes) -> str:
    return digest_of(given.decode("latin-1"))
