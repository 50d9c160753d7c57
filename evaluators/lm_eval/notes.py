"""Notes: what happened while items were asked, beside the score.  Here "filter" is lm-eval's word."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.lm_eval.question_set import GENERATIONS, Part, Selection
from evaluators.lm_eval.tasks.own_metrics import TokenMetric
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark

NOTHING_FOUND = "[invalid]"  # what lm-eval's extracting filters give where nothing matches


def notes_of(
    built: BuiltBenchmark, parts: Sequence[Part], selection: Selection
) -> tuple[tuple[str, int], ...]:
    """Returns how many items were truncated, cut or left without an answer, zeros left out."""
    counts = dict.fromkeys(("overlong", "truncated", "unextracted"), 0)
    odd = selection.overlong or selection.truncated
    for question in (
        question
        for part in parts
        if odd or any(kind in part.spans for kind in GENERATIONS)
        for question in part.questions
    ):
        ids = {id(request) for request in question.requests}
        generated = [r for r in question.requests if r.request_type == "generate_until"]
        counts["overlong"] += bool(ids & selection.overlong)
        counts["truncated"] += bool(ids & selection.truncated)
        read = not isinstance(built.own, TokenMetric)  # whose answers go through no filter
        counts["unextracted"] += read and any(
            _is_empty(r.filtered_resps.get(built.filter)) for r in generated
        )
    return tuple((name, count) for name, count in counts.items() if count)


def _is_empty(answer: object) -> bool:
    if isinstance(answer, list | tuple):
        return all(map(_is_empty, answer))
    return answer is None or (isinstance(answer, str) and answer.strip() in ("", NOTHING_FOUND))
