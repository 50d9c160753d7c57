"""Closing: what keeps files open, as a context manager that closes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """Something that is closed when its `with` ends, whatever ends it."""

    @abstractmethod
    def close(self) -> None:
        """Closes the files; what was read from them stays readable."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
