"""An examination's findings in sentences, for the model card and the command line."""

from __future__ import annotations

from collections.abc import Iterator

from service.experiment.findings import (
    ComparisonFinding,
    ExaminationFindings,
    ObjectiveFinding,
    SensitivityFinding,
)

ALWAYS = ("parent", "average")


def sentences(found: ExaminationFindings) -> Iterator[str]:
    """Yields what was found out, one fact a line; names are as people gave them."""
    for objective in found.objectives:
        yield _objective(objective)
    if found.scale is not None:
        yield found.scale.words
    for comparison in found.comparisons:
        if comparison.role in ALWAYS:
            yield _comparison(comparison)
    for sensitivity in found.sensitivity:
        yield _sensitivity(sensitivity)
    if found.asked:
        yield _asked(found)
    if found.chances_on_front:
        winner, *others = found.chances_on_front
        yield f"chance of being on the front, by the selection items: {winner.chance:.0%}" + (
            f"; best of the {len(others)} others {max(other.chance for other in others):.0%}"
            if others
            else ""
        )


def _asked(found: ExaminationFindings) -> str:
    """Says how many finalists answered what, and why the others did not."""
    selection, test = (
        sum(bool(getattr(one, split)) for one in found.asked) for split in ("selection", "test")
    )
    said = f"asked of {len(found.asked)} finalists: {selection} the selection items, {test} the test items"
    worse = sum(one.stopped == "worse" for one in found.asked)
    short = sum(one.stopped == "budget" for one in found.asked)
    if worse:
        said += f"; {worse} were clearly worse than the winner on the selection items (paired, exact test)"
    return said + (f"; {short} were left out by the budget" if short else "")


def _objective(found: ObjectiveFinding) -> str:
    if found.test is None:
        return f"{found.name}: no test score"
    parts = [
        f"{found.name}: test {found.test.value:.3f} ± {found.test.stderr:.3f} ({found.test.items} items)"
    ]
    if found.optimism is not None:
        parts.append(f"optimism {found.optimism:+.3f} ± {found.optimism_stderr or 0.0:.3f}")
    for share, what in (
        (found.test.truncated, "truncated"),
        (found.test.unextracted, "without an answer"),
        (found.test.overlong, "with a prompt that was cut"),
    ):
        if share:
            parts.append(f"{share:.1%} {what}")
    if found.overlap is not None:
        parts.append(f"{found.overlap:.1%} share passages with search items")
    return ", ".join(parts)


def _comparison(found: ComparisonFinding) -> str:
    name = found.label or f"candidate {found.number}"
    verdict = "worse than it, significantly" if found.regression else ""
    return (
        f"against {name}{' (the best parent)' if found.best_parent else ''}, {found.objective}: "
        f"{found.difference:+.3f} ± {found.stderr:.3f}, {found.better} items won, {found.worse} lost, "
        f"p = {found.p_value:.2g} ({found.test}){'; ' + verdict if verdict else ''}"
    )


def _sensitivity(found: SensitivityFinding) -> str:
    if found.failure is not None:
        return f"with {found.conditions}: not known ({found.failure})"
    error = "" if found.stderr is None else f" ± {found.stderr:.3f}"
    return f"with {found.conditions}, {found.objective}: {found.change or 0.0:+.3f}{error} on selection items"
