"""What readers chose to see: it lives in the query string, so that links keep it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal, Self, cast, get_args
from urllib.parse import urlencode

from evaluators import SPLITS, Split
from service.experiment.status import UNDER_WAY, ExperimentStatus
from service.store.experiment_filter import ExperimentFilter
from service.store.filtering.candidate_order import COLUMNS, Order

Show = Literal["all", "front", "baselines", "failed"]
PAGE_ROWS = 30
OPTIONAL = {
    "front": "Front",
    "label": "Label",
    "status": "Status",
    "generation": "Gen.",
    "seconds": "Time",
    "operator": "Made by",
    "digest": "Recipe",
    "worker": "Worker",
}
"""Columns of the table that the reader may leave out or add: key -> title."""
USUAL = ("front", "label", "status", "generation", "seconds")
LAST_PAGE = 10**6


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which numbers something must lie, both included; None bounds nothing."""

    low: float | None = None
    high: float | None = None

    def __bool__(self) -> bool:
        return self.low is not None or self.high is not None

    @classmethod
    def read(cls, wanted: Mapping[str, str], name: str) -> Self:
        """Reads `min` and `max` of something out of a query string."""
        return cls(_number(wanted.get(f"min{name}", "")), _number(wanted.get(f"max{name}", "")))

    def query(self, name: str) -> dict[str, str]:
        """Returns its part of a query string."""
        ends = {f"min{name}": self.low, f"max{name}": self.high}
        return {end: f"{value:g}" for end, value in ends.items() if value is not None}


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if isfinite(found) else None


@dataclass(frozen=True, slots=True)
class ReaderChoice:
    """What the reader chose to see; it lives in the query string, so that links keep it.

    Attributes:
        names: Of the objectives.
        x, y: Objectives on the axes of the front.
        sort: The column that the table is sorted by: `score0` for the first objective's scores, or one of
            `service.store.filtering.candidate_order.COLUMNS`.
        down: Whether the largest come first.
        page: Which part of the table, from 1.
        columns: Which of `OPTIONAL` it has.
        scores: By the objective's place: between what its scores must lie, in percent where they are read so.
        generation: Between which generations.
        operator: How candidates were made; empty takes all.
    """

    split: Split
    names: tuple[str, ...]
    x: str
    y: str
    show: Show
    sort: str
    down: bool
    page: int
    columns: tuple[str, ...] = USUAL
    scores: Mapping[int, Bounds] = field(default_factory=dict)
    generation: Bounds = Bounds()
    operator: str = ""

    @classmethod
    def read(cls, wanted: dict[str, str], names: Sequence[str]) -> Self:
        """Takes what makes sense of a query string, and the defaults for the rest."""
        split, show = wanted.get("split", ""), wanted.get("show", "")
        x = wanted["x"] if wanted.get("x") in names else names[0]
        y = wanted["y"] if wanted.get("y") in names else names[min(1, len(names) - 1)]
        sorts = (*COLUMNS, *(f"score{place}" for place in range(len(names))))
        sort, page = wanted.get("sort", ""), wanted.get("page", "")
        shown = set(wanted["cols"].split(",")) if "cols" in wanted else set(USUAL)
        return cls(
            split=split if split in SPLITS else "search",
            names=tuple(names),
            x=x,
            y=y,
            show=cast("Show", show) if show in get_args(Show) else "all",
            sort=sort if sort in sorts else "number",
            down=wanted.get("down", "1") != "0",
            page=min(max(int(page), 1), LAST_PAGE) if page.isdecimal() and len(page) < 8 else 1,
            columns=tuple(column for column in OPTIONAL if column in shown),
            scores={
                place: found for place in range(len(names)) if (found := Bounds.read(wanted, str(place)))
            },
            generation=Bounds.read(wanted, "gen"),
            operator=wanted.get("op", "")[:100],
        )

    def query(self, **changes: str | int) -> str:
        """Returns the query string of this choice with some changes."""
        plain: dict[str, str | int] = {"split": self.split, "x": self.x, "y": self.y, "show": self.show}
        plain |= {"sort": self.sort, "down": int(self.down), "page": self.page}
        if self.columns != USUAL:
            plain["cols"] = ",".join(self.columns)
        for place, found in self.scores.items():
            plain |= found.query(str(place))
        plain |= self.generation.query("gen") | ({"op": self.operator} if self.operator else {})
        return urlencode(plain | changes)

    def sorted_by(self, column: str) -> str:
        """Returns the query string that sorts by a column, or turns its order round."""
        first = column not in ("label", "status")  # scores and numbers: the largest; words: the first
        down = not self.down if column == self.sort else first
        return self.query(sort=column, down=int(down), page=1)

    @property
    def filters(self) -> int:
        """How many conditions candidates must fulfil."""
        return len(self.scores) + bool(self.generation) + bool(self.operator)

    def without_filters(self) -> str:
        """Returns the query string of this choice without these conditions."""
        return replace(self, scores={}, generation=Bounds(), operator="", page=1).query()

    @property
    def order(self) -> Order:
        """How the table is sorted."""
        if self.sort.startswith("score"):
            return Order(None, self.names[int(self.sort.removeprefix("score"))], self.down)
        return Order(self.sort, None, self.down)


GROUPS: Mapping[str, Collection[ExperimentStatus]] = {
    "under way": UNDER_WAY,
    "paused": (ExperimentStatus.PAUSED,),
    "finished": (ExperimentStatus.SUCCEEDED,),
    "failed": (ExperimentStatus.FAILED,),
    "cancelled": (ExperimentStatus.CANCELLED,),
}
"""Of experiments by their status, as the list offers them."""


@dataclass(frozen=True, slots=True)
class ListChoice:
    """Which experiments the reader wants to see; it lives in the query string.

    Attributes:
        deleted: Those that were deleted and can be brought back, in the place of the others.
    """

    text: str
    group: str
    tag: str
    starred: bool
    deleted: bool = False

    @classmethod
    def read(cls, wanted: Mapping[str, str]) -> Self:
        """Takes what makes sense of a query string."""
        group = wanted.get("status", "")
        return cls(
            text=wanted.get("q", "").strip()[:200],
            group=group if group in GROUPS else "",
            tag=wanted.get("tag", "")[:50],
            starred=wanted.get("starred") == "1",
            deleted=wanted.get("deleted") == "1",
        )

    @property
    def filter(self) -> ExperimentFilter:
        """The same as the store asks it."""
        return ExperimentFilter(self.text, GROUPS.get(self.group, ()), self.tag, self.starred)

    def query(self, **changes: str) -> str:
        """Returns the query string of this choice with some changes."""
        plain = {
            "q": self.text,
            "status": self.group,
            "tag": self.tag,
            "starred": "1" if self.starred else "",
        }
        return urlencode({name: value for name, value in (plain | changes).items() if value})
