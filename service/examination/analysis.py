"""Findings: from the finalists' scores to what may be said of the winner.  Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evaluators import Score, Split
from evaluators.sampling.statistics import chances_on_front, paired_test
from search_spaces.genome import Variable
from service.examination.bounds import at_bounds, many_ended
from service.examination.scale_finding import scale_finding
from service.examination.stopping import SIGNIFICANT, Stop
from service.experiment.bare_parent import unbeaten
from service.experiment.candidate import Candidate, CandidateKind
from service.experiment.findings import (
    AskedFinding,
    ChanceFinding,
    ComparisonFinding,
    ExaminationFindings,
    ObjectiveFinding,
    Role,
    SensitivityFinding,
    SplitFinding,
)
from service.experiment.objectives import ObjectiveFacts, Objectives
from workers.protocol.messages import Failed, Outcome, Scored

MUCH = 0.05  # share of items that were truncated, unanswered, cut or seen before
_ROLES: Mapping[CandidateKind, Role] = {
    CandidateKind.PARENT: "parent",
    CandidateKind.BASE: "baseline",
    CandidateKind.AVERAGE: "average",
    CandidateKind.BASELINE: "baseline",
    CandidateKind.SCALED: "baseline",
}
_HELD_OUT: tuple[Split, ...] = ("selection", "test")
By = Mapping[int, Outcome]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an examination gathered.

    Attributes:
        winner: Its number.
        finalists: All candidates that were examined.
        outcomes: Per split and candidate number.
        sensitivity: What became of the winner's selection score under other conditions.
        stopped: Why finalists were not asked the test items, by number.
        unvaried: The conditions under which the budget left the winner unasked.
        variables: Of the search space; () where that is not known.
    """

    winner: int
    finalists: Sequence[Candidate]
    outcomes: Mapping[Split, By]
    sensitivity: Sequence[SensitivityFinding] = ()
    stopped: Mapping[int, Stop] = field(default_factory=dict)
    unvaried: Sequence[str] = ()
    variables: Sequence[Variable] = ()

    def scores(self, split: Split, number: int) -> dict[str, Score]:
        """Returns a candidate's scores on a split, by objective."""
        outcome = self.outcomes.get(split, {}).get(number)
        return {s.benchmark: s for s in outcome.scores} if isinstance(outcome, Scored) else {}


def findings(evidence: Evidence, objectives: Objectives) -> ExaminationFindings:
    """Returns all that the evidence says."""
    found = tuple(_objective(evidence, objective) for objective in objectives)
    winner = next((each for each in evidence.finalists if each.number == evidence.winner), None)
    examined, weights = (evidence.finalists, evidence.outcomes), [each.weight for each in objectives]
    ended = None if winner is None else many_ended(winner, evidence.variables)
    return ExaminationFindings(
        objectives=found,
        comparisons=tuple(_comparisons(evidence, objectives)),
        sensitivity=tuple(evidence.sensitivity),
        chances_on_front=tuple(_chances(evidence)),
        asked=(asked := tuple(_asked(evidence, finalist) for finalist in evidence.finalists)),
        scale=None if winner is None else scale_finding(winner, *examined, weights),
        wider=None if ended is None else ended.to_try,
        warnings=(
            *_unbeaten(evidence),
            *(() if winner is None else at_bounds(winner, evidence.variables)),
            *_lasting_warnings(objectives),
            *_warnings(found),
            *_left_out(asked, evidence.unvaried),
        ),
    )


def _asked(evidence: Evidence, finalist: Candidate) -> AskedFinding:
    items = {
        split: sum(len(score.per_item) for score in evidence.scores(split, finalist.number).values())
        for split in _HELD_OUT
    }
    stop = evidence.stopped.get(finalist.number)
    reached = all(finalist.number in evidence.outcomes.get(split, {}) for split in _HELD_OUT)
    return AskedFinding(
        number=finalist.number,
        label=finalist.label,
        selection=items["selection"],
        test=items["test"],
        stopped="worse" if stop else None if reached else "budget",
        better=stop.better if stop else None,
        worse=stop.worse if stop else None,
        p_value=stop.p_value if stop else None,
    )


def _left_out(asked: Sequence[AskedFinding], unvaried: Sequence[str]) -> Iterator[str]:
    """Yields what the examination's budget left out."""
    if short := [one for one in asked if one.stopped == "budget"]:
        unseen = sum(not one.selection for one in short)
        yield (
            f"the examination's budget ended first: {unseen} of {len(asked)} finalists were not asked the "
            f"selection items, {len(short) - unseen} more not the test items"
        )
    if unvaried:
        names = ", ".join(unvaried)
        yield f"the examination's budget ended first: the winner was not asked with {names}"


def _objective(evidence: Evidence, objective: ObjectiveFacts) -> ObjectiveFinding:
    splits: tuple[Split, ...] = ("search", "selection", "test")
    scores = {split: evidence.scores(split, evidence.winner).get(objective.name) for split in splits}
    search, test = scores["search"], scores["test"]
    both = search is not None and test is not None
    return ObjectiveFinding(
        name=objective.name,
        metric=objective.metric,
        higher_is_better=objective.higher_is_better,
        search=_split(scores["search"]),
        selection=_split(scores["selection"]),
        test=_split(scores["test"]),
        optimism=search.fitness - test.fitness if both and search and test else None,
        optimism_stderr=math.hypot(search.stderr, test.stderr) if both and search and test else None,
        overlap=objective.overlap,
    )


def _split(score: Score | None) -> SplitFinding | None:
    if score is None:
        return None
    items, notes = len(score.per_item), dict(score.notes)
    shares = {name: count / items for name, count in notes.items()} if items else {}
    return SplitFinding(
        value=score.value,
        stderr=score.stderr,
        items=items,
        truncated=shares.get("truncated", 0.0),
        unextracted=shares.get("unextracted", 0.0),
        overlong=shares.get("overlong", 0.0),
    )


def role_of(kind: CandidateKind) -> Role:
    """Returns what a finalist is beside the winner."""
    return _ROLES.get(kind, "candidate")


def _comparisons(evidence: Evidence, objectives: Objectives) -> Iterator[ComparisonFinding]:
    own, best = evidence.scores("test", evidence.winner), best_parent(evidence, objectives)
    for other in evidence.finalists:
        role = role_of(other.kind)
        if role == "candidate" or other.number == evidence.winner:
            continue
        for name, theirs in evidence.scores("test", other.number).items():
            mine = own.get(name)
            if mine is None or not mine.per_item or mine.item_indices != theirs.item_indices:
                continue
            if len(mine.per_item) != len(theirs.per_item):
                continue
            test = paired_test(mine.item_fitness, theirs.item_fitness)
            yield ComparisonFinding(
                number=other.number,
                label=other.label,
                role=role,
                objective=name,
                difference=test.difference,
                stderr=test.stderr,
                better=test.better,
                worse=test.worse,
                p_value=test.p_value,
                test=test.test,
                best_parent=other.number == best,
                regression=role == "parent" and test.difference < 0 and test.p_value < SIGNIFICANT,
            )


def best_parent(evidence: Evidence, objectives: Objectives) -> int | None:
    """Returns the number of the parent with the highest weighted mean on the selection split."""
    means: dict[int, float] = {}
    for each in evidence.finalists:
        scores = evidence.scores("selection", each.number)
        if role_of(each.kind) == "parent" and scores:
            fitness = [score.fitness for score in scores.values()]
            means[each.number] = objectives.scalar(fitness)
    return min(means, key=lambda number: (-means[number], number)) if means else None


def sensitivity(conditions: str, before: Outcome, after: Outcome) -> Iterator[SensitivityFinding]:
    """Yields what other conditions changed, per objective that they touch.

    Args:
        conditions: What they are called.
        before: The selection scores under the standard ones.
        after: Those under the others, or why there are none.
    """
    if isinstance(after, Failed) or isinstance(before, Failed):
        cause = after.failure.cause if isinstance(after, Failed) else "it has no standard scores"
        yield SensitivityFinding(conditions=conditions, failure=cause)
        return
    standard = {score.benchmark: score for score in before.scores}
    for score in after.scores:
        known = standard.get(score.benchmark)
        if known is None or score.item_set == known.item_set:  # nothing was asked differently
            continue
        paired = bool(score.per_item) and len(score.per_item) == len(known.per_item)
        test = paired_test(score.item_fitness, known.item_fitness) if paired else None
        yield SensitivityFinding(
            conditions=conditions,
            objective=score.benchmark,
            value=score.value,
            change=score.fitness - known.fitness,
            stderr=None if test is None else test.stderr,
        )


def _chances(evidence: Evidence) -> Iterator[ChanceFinding]:
    """Yields the chances of those whose items can be drawn anew, the winner first."""
    answers = {}
    for each in evidence.finalists:
        items = [score.item_fitness for score in evidence.scores("selection", each.number).values()]
        if items and all(items):
            answers[each.number] = items
    lengths = {tuple(map(len, items)) for items in answers.values()}
    if len(lengths) != 1:  # some score is no mean over items, or they answered different items
        return
    labels = {each.number: each.label for each in evidence.finalists}
    chances = dict(zip(answers, chances_on_front(list(answers.values())), strict=True))
    for number in sorted(chances, key=lambda n: (n != evidence.winner, -chances[n], n)):
        yield ChanceFinding(number=number, label=labels[number], chance=chances[number])


def _unbeaten(evidence: Evidence) -> Iterator[str]:
    """Yields that no merge beat a baseline, where one of them won."""
    for each in evidence.finalists:
        if each.number == evidence.winner and (said := unbeaten(each.kind, each.label)):
            yield said


def _lasting_warnings(objectives: Objectives) -> Iterator[str]:
    for objective in objectives:
        yield from objective.warnings
        if objective.overlap is not None and objective.overlap > MUCH:
            yield f"{objective.name}: {objective.overlap:.0%} of the test items share search items' passages"


def _warnings(found: Sequence[ObjectiveFinding]) -> Iterator[str]:
    for objective in found:
        if objective.test is None:
            yield f"{objective.name}: the winner has no test score"
            continue
        for share, what in (
            (objective.test.truncated, "answers ran out of room"),
            (objective.test.unextracted, "answers held no answer"),
            (objective.test.overlong, "prompts were longer than the model reads, and were cut"),
        ):
            if share > MUCH:
                yield f"{objective.name}: {share:.0%} of the test items' {what}"
        if objective.optimism and objective.optimism > 2.0 * (objective.optimism_stderr or 0.0):
            yield f"{objective.name}: the search flattered the winner by {objective.optimism:.3f}"
