"""A card's tables of scores.  Only those on the test split are called results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evaluators import Split
from service.examination.sentences import sentences
from service.experiment.findings import ComparisonFinding
from service.exports.card.markdown import escape
from service.exports.card.subject import Subject
from service.reports.views import FrontPoint, ScoreView

MOST_BASELINES = 24
_SPLIT_TITLES: dict[Split, str] = {"search": "search", "selection": "selection", "test": "test (held out)"}


def results(subject: Subject) -> str:
    """Returns the scores on items that nothing was chosen by."""
    scores = subject.candidate.scores.get("test")
    if not scores:
        return (
            "## Results\n\nThis model was not examined on held-out items: what is known of it are the "
            "scores below, which are optimistic."
        )
    items = ", ".join(f"{escape(score.benchmark)}: {score.items} items" for score in scores)
    return (
        f"## Results\n\nOn the test split, which neither the search nor the choice of the winner saw "
        f"({items}); ± is one standard error.\n\n{_table(subject, ('test',))}{_optimism(subject)}"
    )


def _optimism(subject: Subject) -> str:
    """Says how much worse the model does where the search could not look."""
    search = {score.benchmark: score for score in subject.candidate.scores.get("search", ())}
    parts = []
    for score in subject.candidate.scores.get("test", ()):
        if score.benchmark in search:
            gap = search[score.benchmark].value - score.value
            parts.append(f"{escape(score.benchmark)} {gap:+.3f}")
    return f"\n\nOptimism of the search (search score less test score): {'; '.join(parts)}." if parts else ""


def examination(subject: Subject) -> str:
    """Says what the examination found out, of the winner; of others, what warns of their scores."""
    experiment, winner = subject.experiment, subject.experiment.winner
    of_objectives = [warning for objective in experiment.objectives for warning in objective.warnings]
    found = winner.examination if winner and subject.won else None
    lines = [f"- {escape(sentence)}" for sentence in sentences(found)] if found else []
    warnings = list(dict.fromkeys((*of_objectives, *(found.warnings if found else ()))))
    parts = ["\n".join(lines)] if lines else []
    if found and found.regressions:
        where = "\n".join(f"- {_regression(one)}" for one in found.regressions)
        parts.append(f"Regressions, where a parent is significantly better:\n\n{where}")
    if warnings:
        parts.append("Mind:\n\n" + "\n".join(f"- {escape(warning)}" for warning in warnings))
    return "\n\n".join(("## Examination", *parts)) if parts else ""


def _regression(found: ComparisonFinding) -> str:
    by = f"{abs(found.difference):.3f} ± {found.stderr:.3f}"
    return f"{escape(found.objective)}: {escape(found.label or 'it')} is better by {by}"


def search_scores(subject: Subject) -> str:
    """Returns the scores on the splits that something was chosen by."""
    splits: list[Split] = ["search", "selection"]
    seen = [split for split in splits if subject.candidate.scores.get(split)]
    if not seen:
        return ""
    return (
        "## Scores during the search\n\nThe search climbed the first and the winner was picked by the "
        "second, so both are optimistic: no results.\n\n" + _table(subject, seen)
    )


def _table(subject: Subject, splits: Sequence[Split]) -> str:
    objectives = [objective.name for objective in subject.experiment.objectives]
    heads = [f"{escape(name)}, {_SPLIT_TITLES[split]}" for split in splits for name in objectives]
    candidate = subject.candidate
    rows = [(f"**this model (candidate {candidate.number})**", _cells(candidate.scores, splits, objectives))]
    for point in _compared(subject):
        cells = _cells(point.scores, splits, objectives)
        if any(cells):
            rows.append((escape(point.label or f"candidate {point.number}"), cells))
    lines = ["| model | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cell or "–" for cell in cells) + " |" for name, cells in rows]
    return "\n".join(lines)


def _compared(subject: Subject) -> Iterable[FrontPoint]:
    others = [p for p in subject.baselines if p.number != subject.candidate.number]
    return others[:MOST_BASELINES]


def _cells(
    scores: dict[Split, list[ScoreView]], splits: Sequence[Split], objectives: Sequence[str]
) -> list[str]:
    cells = []
    for split in splits:
        found = {score.benchmark: score for score in scores.get(split, ())}
        cells += [with_error(found[name]) if name in found else "" for name in objectives]
    return cells


def with_error(score: ScoreView) -> str:
    """Returns a score with its standard error."""
    return f"{score.value:.3f} ± {score.stderr:.3f}" if score.stderr else f"{score.value:.3f}"
