"""LeaseKeeper: renews a lease while its holder is busy with something long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.errors import LeaseLostError

logger = structlog.get_logger()


class LeaseKeeper:
    """Renews a lease on its own thread, three times per period, and releases it at the end.

    It does not interrupt a holder that lost its lease: the holder asks `is_held` before it acts, and its
    next write is refused.

    Args:
        subject: What is held, for the log.
        renew: Keeps the lease for another period; raises LeaseLostError when it is another's.
        release: Lets the lease go; None leaves it to what the holder writes at the end.
        seconds: The period.
    """

    def __init__(
        self,
        subject: str,
        renew: Callable[[], None],
        release: Callable[[], None] | None = None,
        *,
        seconds: float,
    ) -> None:
        self._renew, self._release, self._seconds = renew, release, seconds
        self._log = logger.bind(lease=subject)
        self._until = monotonic() + self._trusted
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="evomerge-lease", daemon=True)

    @property
    def _trusted(self) -> float:
        """For how many seconds after its request a lease is trusted: less than the database grants."""
        return self._seconds - max(self._seconds / 10, 0.5)

    def is_held(self) -> bool:
        """Says whether the lease holds by this machine's own clock, whatever the database can say now."""
        return monotonic() < self._until

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._release is None:
            return
        try:
            self._release()
        except SQLAlchemyError as problem:  # it ends by itself then
            self._log.warning("lease_not_released", problem=str(problem))

    def _keep(self) -> None:
        while not self._over.wait(self._seconds / 3):
            asked = monotonic()
            try:
                self._renew()
                self._until = asked + self._trusted
            except LeaseLostError:
                self._until = float("-inf")
                self._log.warning("lease_lost")
                return
            except SQLAlchemyError as problem:  # the database may come back before the lease ends
                self._log.warning("lease_not_renewed", problem=str(problem))
