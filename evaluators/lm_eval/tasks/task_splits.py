"""Divides a task's items into the three splits.  Here "task" is lm-eval's word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from evaluators.benchmark import Benchmark
from evaluators.errors import EvaluationError, SplitError
from evaluators.lm_eval.tasks.item_kinds import kinds_of
from evaluators.lm_eval.tasks.task_questions import Item, Task, foreign_code
from evaluators.sampling.strata import balanced, limited
from evaluators.splits import SPLITS, ItemShares, NamedSplits, Split, SplitRule, content_of

_TRAINING_SPLITS = ("train", "training")


def divide(benchmark: Benchmark, task: Task) -> dict[Split, list[Item]]:
    """Returns the task's items per split; sees to it that few-shot examples are none of them.

    Raises:
        SplitError: A split is missing or empty, or two have items in common.
    """
    rule = rule_of(benchmark, task)
    with foreign_code(benchmark.task):
        _choose_examples(benchmark, task, _scored(rule, task))
    items = _named(benchmark, task, rule) if isinstance(rule, NamedSplits) else _shared(benchmark, task, rule)
    for split, chosen in items.items():
        if not chosen:
            raise SplitError(
                "splits",
                f"split {split} of {task.config.task} has no items",
                "give it a larger share, or more data",
            )
    return items


def rule_of(benchmark: Benchmark, task: Task) -> SplitRule:
    """Returns how the task's items are divided: as the user says, else by their names, else by shares."""
    return benchmark.splits or (NamedSplits() if set(SPLITS) <= set(task.dataset) else ItemShares())


def _scored(rule: SplitRule, task: Task) -> set[str]:
    if isinstance(rule, NamedSplits):
        return {rule.search, rule.selection, rule.test}
    return {task.config.test_split or task.config.validation_split}


def _named(benchmark: Benchmark, task: Task, rule: NamedSplits) -> dict[Split, list[Item]]:
    items: dict[Split, list[Item]] = {}
    for split in SPLITS:
        name = getattr(rule, split)
        if name not in task.dataset:
            raise SplitError(
                "splits",
                f"the data of {task.config.task} have no split {name!r}; they have {', '.join(task.dataset)}",
                "name three of those, or divide the items by shares",
            )
        task.set_config("test_split", name)
        with foreign_code(benchmark.task):
            items[split] = list(task.eval_docs)
    contents = {split: {content_of(item) for item in chosen} for split, chosen in items.items()}
    for one, other in combinations(SPLITS, 2):
        if common := len(contents[one] & contents[other]):
            raise SplitError(
                "splits",
                f"splits {one} and {other} of {task.config.task} have {common} items in common",
                "remove them from one of the two, so that what picks the winner was not searched on",
            )
    return items


def _shared(benchmark: Benchmark, task: Task, rule: ItemShares) -> dict[Split, list[Item]]:
    with foreign_code(benchmark.task):
        everything = list(task.eval_docs)
    chosen = {split: rule.items_of(split, everything) for split in SPLITS}
    kinds = kinds_of(task, everything) if rule.stratify else None
    if kinds is not None:
        chosen = {s: balanced(kinds, indices, everything, seed=rule.seed) for s, indices in chosen.items()}
    return {split: [everything[index] for index in indices] for split, indices in chosen.items()}


def _choose_examples(benchmark: Benchmark, task: Task, scored: set[str]) -> None:
    """Settles how many few-shot examples there are, and draws them from a split that is not scored."""
    name, shots = task.config.task, task.config.num_fewshot
    if benchmark.num_fewshot is not None:
        if shots == 0 and benchmark.num_fewshot:
            raise EvaluationError(
                "num_fewshot", f"{name} allows no examples, not {benchmark.num_fewshot}", "leave it out"
            )
        shots = benchmark.num_fewshot
    task.set_config("num_fewshot", shots or 0)
    written_out = task.fewshot_cfg.split is None and task.fewshot_cfg.samples is not None
    if shots and not written_out:
        source = _example_split(task, scored)
        if len(task.sampler.df) < shots:
            raise EvaluationError(
                "num_fewshot",
                f"split {source!r} of {name} has only {len(task.sampler.df)} examples",
                "lower it",
            )


def _example_split(task: Task, scored: set[str]) -> str:
    """Returns the split that examples come from; lm-eval would take the scored one where it has no other."""
    given, config = task.fewshot_cfg, task.config
    source = given.split or config.training_split or config.validation_split or config.test_split
    if source not in scored:
        return str(source)
    other = next((name for name in _TRAINING_SPLITS if name in task.dataset and name not in scored), None)
    if given.split is not None or other is None:
        raise SplitError(
            "num_fewshot",
            f"the few-shot examples of {config.task} would come from split {source!r}, which is scored",
            "name a training split as fewshot_split in the task's file, or ask with num_fewshot: 0",
        )
    task.set_config("fewshot_split", other)
    given.split = other
    task.sampler.replace_df(list(task.fewshot_docs()))
    return other


def limit(
    benchmark: Benchmark, tasks: Sequence[Task], divided: Sequence[dict[Split, list[Item]]]
) -> list[dict[Split, list[Item]]]:
    """Keeps `max_items` of each split: of a group's tasks in turn, of a task's kinds by their shares.

    Raises:
        SplitError: Some task would have none.
    """
    most = benchmark.max_items
    if most is not None and most < len(divided):
        raise SplitError(
            "max_items",
            f"{most} items do not reach for the {len(divided)} tasks of {benchmark.task}",
            "raise it",
        )
    kept = {split: _in_turn([len(items[split]) for items in divided], most) for split in SPLITS}
    return [
        {split: _kept(task, items[split], kept[split][number]) for split in SPLITS}
        for number, (task, items) in enumerate(zip(tasks, divided, strict=True))
    ]


def _kept(task: Task, items: list[Item], most: int) -> list[Item]:
    if most >= len(items):
        return items
    kinds = kinds_of(task, items)
    return [items[index] for index in limited(kinds, most)]


def _in_turn(sizes: Sequence[int], most: int | None) -> list[int]:
    """Returns how many of each are taken when they are taken in turn, `most` in all."""
    if most is None or most >= sum(sizes):
        return list(sizes)
    # All give `level` items or what they have; the first few give one more.
    level = max(level for level in range(most + 1) if sum(min(size, level) for size in sizes) <= most)
    taken = [min(size, level) for size in sizes]
    for number, size in enumerate(sizes):
        if sum(taken) < most and size > level:
            taken[number] += 1
    return taken
