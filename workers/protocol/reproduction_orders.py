"""What is asked, and found out, when a checkpoint is merged again from its lock.  Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReproductionOrder:
    """A checkpoint to merge again.

    Attributes:
        folder: Where it lies, with its `evomerge.lock.json`.
        parents: Where parents lie now, by the reference that the lock gives them.
        memory_limit: Bytes that the process may have resident; None sets no limit.
    """

    folder: str
    parents: Mapping[str, str] = field(default_factory=dict)
    memory_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came out.

    Attributes:
        tensors: How many the lock has.
        differing: Those that came out otherwise.
        altered: Those of the folder's files that are not the lock's.
        changed_versions: What computes differently now: what, its version then, and now.
    """

    tensors: int
    differing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    changed_versions: tuple[tuple[str, str, str], ...] = ()

    @property
    def is_same(self) -> bool:
        """Says whether every tensor came out bit by bit, and the files hold them."""
        return not (self.differing or self.altered)
