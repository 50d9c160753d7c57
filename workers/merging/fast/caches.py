"""What is worth keeping between the candidates of an experiment, within a given memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from workers.merging.fast.preparations.prepared_store import PreparedStore

_Value = TypeVar("_Value")


class Caches:
    """Remembers values by key; forgets those that were not asked for the longest.

    Used by several threads: two that ask for the same value at once may both make it.
    """

    def __init__(self, limit: int, store: PreparedStore | None = None) -> None:
        """Remembers nothing yet.

        Args:
            limit: Bytes of memory that may be used; 0 remembers nothing.
            store: Where what takes long to prepare lies on the disk; None keeps nothing there.
        """
        self.limit, self.store = limit, store
        self._values: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._used = 0
        self._lock = Lock()

    @property
    def used(self) -> int:
        """Bytes that are remembered."""
        return self._used

    def remembered(
        self, key: Hashable, make: Callable[[], _Value], size: Callable[[_Value], int] = lambda _value: 256
    ) -> _Value:
        """Returns the value of a key, made if it is not known.

        Args:
            key: What the value depends on.
            make: Makes it.
            size: How many bytes it takes; one that would take more than a quarter of all is not kept.
        """
        with self._lock:
            known = self._values.get(key)
            if known is not None:
                self._values.move_to_end(key)
                found: _Value = known[0]  # type: ignore[assignment]
                return found
        value = make()
        taken = size(value)
        if taken > self.limit // 4:
            return value
        with self._lock:
            if key not in self._values:
                self._values[key] = (value, taken)
                self._used += taken
            while self._used > self.limit:
                _, (_, freed) = self._values.popitem(last=False)
                self._used -= freed
        return value

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._values.clear()
            self._used = 0
