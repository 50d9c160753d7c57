"""The three splits of a benchmark's items, and which part of the system sees which.

*search* is what the optimizer is told, *selection* picks the winner, *test* is read once, for the
report (Akiba et al., arXiv 2403.13187, section 4; winner's curse: Cawley & Talbot, JMLR 2010).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["search", "selection", "test"]
SPLITS: tuple[Split, ...] = ("search", "selection", "test")


def content_of(item: Mapping[str, object]) -> str:
    """Returns an item's content in one canonical form: equal items, equal texts."""
    return json.dumps(item, sort_keys=True, default=_text_of)


def _text_of(value: object) -> str:
    """Returns a text for what JSON cannot say; an image's is its pixels', not its place in memory."""
    pixels = getattr(value, "tobytes", None)
    if pixels is None or not hasattr(value, "mode"):
        return str(value)
    return f"{getattr(value, 'mode', '')} {getattr(value, 'size', '')} {hashlib.sha256(pixels()).hexdigest()}"


class NamedSplits(BaseModel):
    """The splits are splits of the data set itself, under these names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: str = "search"
    selection: str = "selection"
    test: str = "test"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({self.search, self.selection, self.test}) < 3:
            raise ValueError(
                "two splits have the same name, so their items overlap; name three different ones"
            )
        return self


class ItemShares(BaseModel):
    """The splits are shares of the items that the task is evaluated on.

    An item's split depends on the item's content and the seed alone, so that the same item never
    lies in two splits, however often it occurs, however the data set is ordered, and whatever is
    added to it.

    Attributes:
        stratify: Leave out a few items (a tenth at most) of kinds that chance gave a split too many
            of, so that labels or subjects are spread evenly (see `evaluators.sampling.strata`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    search: Annotated[float, Field(gt=0, lt=1)] = 0.4
    selection: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: Annotated[float, Field(gt=0, lt=1)] = 0.4
    stratify: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        total = self.search + self.selection + self.test
        if total > 1.0 + 1e-9:
            raise ValueError(f"the shares add up to {total:g}, more than all items; lower one of them")
        return self

    def split_of(self, item: Mapping[str, object]) -> Split | None:
        """Returns the split that an item lies in, or None where the shares leave it out."""
        digest = hashlib.sha256(f"{self.seed}\n{content_of(item)}".encode()).digest()
        position = int.from_bytes(digest[:8], "big") / 2**64
        for split in SPLITS:
            position -= getattr(self, split)
            if position < 0:
                return split
        return None

    def items_of(self, split: Split, items: Sequence[Mapping[str, object]]) -> list[int]:
        """Returns the positions of a split's items."""
        return [position for position, item in enumerate(items) if self.split_of(item) == split]


SplitRule = NamedSplits | ItemShares
