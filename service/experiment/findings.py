"""What an examination finds out about the winner, as it is stored, shown and sent.

Differences and changes are of fitness: positive is better, whatever the metric's direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["parent", "average", "baseline", "candidate"]


class Finding(BaseModel):
    """Something that was found out and does not change."""

    model_config = ConfigDict(frozen=True)


class SplitFinding(Finding):
    """The winner's score on one split.

    Attributes:
        truncated: Share of the items whose answer ran out of room; None where nothing is generated.
        unextracted: Share of the items in whose answer no answer was found.
        overlong: Share of the items whose prompt was longer than the model reads.
    """

    value: float
    stderr: float
    items: int
    truncated: float = 0.0
    unextracted: float = 0.0
    overlong: float = 0.0


class ObjectiveFinding(Finding):
    """The winner on one objective.

    Attributes:
        search, selection, test: Its scores; None where it has none there.
        optimism: Search less test; by how much the search flattered it.
        optimism_stderr: Of that difference, of two independent samples of items.
        overlap: Share of the test items that have a long passage in common with a search item.
    """

    name: str
    metric: str
    higher_is_better: bool
    search: SplitFinding | None
    selection: SplitFinding | None
    test: SplitFinding | None
    optimism: float | None
    optimism_stderr: float | None
    overlap: float | None


class ComparisonFinding(Finding):
    """The winner against another model on the test items of one objective, item by item.

    Attributes:
        number, label, role: The other one.
        difference: Mean fitness of the winner less that of the other; `stderr` is its standard error.
        better, worse: On how many items the winner does better or worse.
        p_value: Two-sided, by the exact test named in `test` (`mcnemar` or `sign`).
        best_parent: The other one is the parent with the best selection score.
        regression: The other one is a parent and significantly better here (p < 0.05).
    """

    number: int
    label: str | None
    role: Role
    objective: str
    difference: float
    stderr: float
    better: int
    worse: int
    p_value: float
    test: str
    best_parent: bool = False
    regression: bool = False


class SensitivityFinding(Finding):
    """The winner's selection score under other conditions.

    Attributes:
        conditions: What differs (`seed 1`, `2 times the length`).
        change: Fitness under them less that under the standard ones, on the same items.
        stderr: Of the change; None where the score is no mean over items.
        failure: Why there is no score under them.
    """

    conditions: str
    objective: str | None = None
    value: float | None = None
    change: float | None = None
    stderr: float | None = None
    failure: str | None = None


class ChanceFinding(Finding):
    """How probably a finalist is on the front of the selection split, given its few items."""

    number: int
    label: str | None
    chance: float


class AskedFinding(Finding):
    """What a finalist was asked, and why no more.

    Attributes:
        selection, test: How many items it was asked there.
        stopped: `worse`: it is clearly worse than the winner on the selection items, where it is better
            on `better` of them and worse on `worse` (exact binomial test, `p_value`, held against 5 %
            divided by the number of finalists compared); `budget`: the budget ended; None: nothing
            was left out.
    """

    number: int
    label: str | None
    selection: int
    test: int
    stopped: Literal["worse", "budget"] | None = None
    better: int | None = None
    worse: int | None = None
    p_value: float | None = None


class Lead(Finding):
    """By how much one model is better than another, in the weighted mean over the objectives."""

    value: float
    stderr: float


class ScaleFinding(Finding):
    """How the winner's lead over the best usual recipe divides into scale and the rest.

    Attributes:
        split: On whose items.
        usual, usual_label: The best usual recipe of generation 0.
        line, line_label: The best of those that give all parents one weight everywhere, whatever the weight.
        whole: Of the winner over the usual recipe.
        alone: Of the best on the line over the usual recipe: this is scale alone.
        rest: Of the winner over the best on the line.
    """

    split: Literal["selection", "test"]
    usual: int
    usual_label: str | None
    line: int
    line_label: str | None
    whole: Lead
    alone: Lead
    rest: Lead

    @property
    def words(self) -> str:
        """Says it in a sentence without its end."""
        whole, alone, rest = (
            f"{lead.value:+.3f} ± {lead.stderr:.3f}" for lead in (self.whole, self.alone, self.rest)
        )
        said = f"lead over the best usual recipe ({self.usual_label}) on {self.split} items: {whole}"
        if self.line == self.usual:
            return f"{said}; none of it is scale alone: no other weight for all parents is better"
        return f"{said}; of it {alone} is scale alone ({self.line_label}), {rest} is the search's"


class ExaminationFindings(Finding):
    """All that is known of a winner when its experiment ends.

    Attributes:
        objectives: In the experiment's order.
        comparisons: With every baseline that was examined, per objective; by test items.
        sensitivity: Of the winner's selection score to seeds and to the room for answers.
        chances_on_front: Of all finalists, the winner first.
        asked: Of all finalists, in the order in which they were asked.
        scale: How much of the lead is scale alone; None where no usual recipe gives all parents
            one weight, or one of them won.
        wider: The range of weights to search next, where many of the winner's end at their upper bound.
        warnings: What a reader of the winner's scores must know.
    """

    objectives: tuple[ObjectiveFinding, ...]
    comparisons: tuple[ComparisonFinding, ...] = ()
    sensitivity: tuple[SensitivityFinding, ...] = ()
    chances_on_front: tuple[ChanceFinding, ...] = ()
    asked: tuple[AskedFinding, ...] = ()
    scale: ScaleFinding | None = None
    wider: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def regressions(self) -> tuple[ComparisonFinding, ...]:
        """Where a parent is significantly better than the winner."""
        return tuple(one for one in self.comparisons if one.regression)


@dataclass(frozen=True, slots=True)
class EstimatorFinding:
    """What became of an estimator's predictions.

    Attributes:
        checks: How many were compared with what came out.
        error, plain_error: Root mean squared errors of the estimator, and of the plain mean.
        rank_correlation: Spearman's, of predictions and results.
        used: Whether values are estimates; else they are plain means.
    """

    checks: int
    error: float | None
    plain_error: float | None
    rank_correlation: float | None
    used: bool
