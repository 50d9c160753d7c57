"""What is known of benchmarks before any model is loaded, and which of them cannot stand together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evaluators.errors import SplitError
from evaluators.evaluator import BenchmarkFacts
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark, is_mean
from evaluators.lm_eval.tasks.task_questions import Item
from evaluators.sampling.overlap import shared_passages
from evaluators.splits import SPLITS, Split, content_of


def facts_of(built: BuiltBenchmark) -> BenchmarkFacts:
    """Returns what a benchmark asks, and what readers of its scores must know."""
    items = {split: sum(len(subtask.items[split]) for subtask in built.subtasks) for split in SPLITS}
    overlap = shared_passages(_items(built, "search"), _items(built, "test"))
    warnings: tuple[str, ...] = ()
    if built.public_test is not None:
        public = (
            f"{built.benchmark.name} is searched on a public test set ({built.public_test}): scores on it "
            "cannot be compared with those of models that never saw it"
        )
        warnings = (public,)
    return BenchmarkFacts(
        built.benchmark.name,
        items,
        built.metrics,
        built.higher_is_better,
        overlap,
        warnings,
        is_mean(built),
    )


def cross_overlaps(everything: Sequence[BuiltBenchmark]) -> dict[str, SplitError]:
    """Returns, by name, the benchmarks whose held-out items another benchmark searches on.

    Two objectives may ask the same data, for two metrics say; then they must divide them alike.
    """
    contents = [
        {split: {content_of(item) for item in _items(built, split)} for split in SPLITS}
        for built in everything
    ]
    found: dict[str, SplitError] = {}
    for number, built in enumerate(everything):
        for other, seen in zip(everything[:number], contents[:number], strict=True):
            own = contents[number]
            pairs = [(a, b, len(seen[a] & own[b])) for a in SPLITS for b in SPLITS if a != b]
            common = next(((a, b, count) for a, b, count in pairs if count), None)
            if common is not None:
                a, b, count = common
                found[built.benchmark.name] = SplitError(
                    "splits",
                    f"{count} items of its {b} split lie in the {a} split of {other.benchmark.name}",
                    "divide both by one rule, so that what one searches on is not held out for the other",
                )
    return found


def _items(built: BuiltBenchmark, split: Split) -> Iterator[Item]:
    for subtask in built.subtasks:
        yield from subtask.items[split]
