"""Composite evaluator: scores a model by lm-eval's tasks and by other judges, in the benchmarks' order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from evaluators.benchmark import Benchmark
from evaluators.conditions import STANDARD, Conditions
from evaluators.errors import EvaluationError
from evaluators.evaluator import BenchmarkFacts
from evaluators.fingerprints.values import fingerprint_of, unrepeatable_mark
from evaluators.inference.chat_format import ChatFormat, check_template, check_think_end
from evaluators.item_set import ItemIndices, ItemSet
from evaluators.judged_task import JudgedTask, as_judged, task_of
from evaluators.judges.judge_runner import (
    Answers,
    AnswersRunner,
    JudgeRunner,
    Network,
    NetworkCost,
    Perplexity,
    Tokenizer,
)
from evaluators.judges.preferred_answers import PreferredAnswers
from evaluators.judges.spoken_prompts import form_for, spoken
from evaluators.lm_eval.harness import Harness, inspect_benchmarks
from evaluators.lm_eval.prompt_facts import Asked, described
from evaluators.scores import Score, mean_score
from evaluators.splits import Split

_BY_LM_EVAL = ("lm_eval", "negative_flips")


class CompositeEvaluator:
    """An `Evaluator` of benchmarks of all kinds.

    `negative_flips` compares with a parent, and `model_judge` may, so the holder of the parents shows it
    each of `references` once per split.
    """

    def __init__(
        self, benchmarks: Sequence[Benchmark], *, batch_size: int = 64, instruct: bool = False
    ) -> None:
        self._benchmarks, self._batch_size = tuple(benchmarks), batch_size
        asked = [as_task(benchmark) for benchmark in benchmarks if benchmark.kind in _BY_LM_EVAL]
        self._harness = Harness(asked, batch_size=batch_size, instruct=instruct) if asked else None
        self._judges = {
            b.name: judge_runner(b, instruct=instruct) for b in benchmarks if b.kind not in _BY_LM_EVAL
        }
        self._references: dict[tuple[str, Split], dict[str, Score]] = {}

    def references(self, split: Split) -> tuple[str, ...]:
        """Returns the parents whose answers are still needed."""
        needed = dict.fromkeys(b.parent for b in self._benchmarks if b.kind == "negative_flips")
        flipped = [parent for parent in needed if parent and (parent, split) not in self._references]
        judged = [judge.preference.waits_for(split) for judge in self._comparing]
        return tuple(dict.fromkeys((*flipped, *(parent for parent in judged if parent))))

    def refer(self, parent: str, split: Split, model: Network, tokenizer: Tokenizer) -> None:
        """Takes in what a parent answers."""
        counted = any(b.kind == "negative_flips" and b.parent == parent for b in self._benchmarks)
        if self._harness is not None and counted:
            scores = self._harness.evaluate(model, tokenizer, split)
            self._references[parent, split] = {score.benchmark: score for score in scores}
        for judge in self._comparing:
            if judge.preference.waits_for(split) == parent:
                judge.refer(model, tokenizer, split, batch_size=self._batch_size)

    @property
    def _comparing(self) -> list[JudgedTask | PreferredAnswers]:
        judges = self._judges.values()
        return [judge for judge in judges if isinstance(judge, JudgedTask | PreferredAnswers)]

    def evaluate(
        self,
        model: Network,
        tokenizer: Tokenizer,
        split: Split,
        items: ItemIndices | None = None,
        conditions: Conditions = STANDARD,
    ) -> tuple[Score, ...]:
        """Returns one score per benchmark of which items are wanted, in the benchmarks' order.

        Raises:
            BadScoreError: A score is NaN or infinite.
            EvaluationError: A judge gave no score.
        """
        sizes = [item_set.size for item_set in self.item_sets(split, conditions, tokenizer)]
        wanted = items or tuple(tuple(range(size)) for size in sizes)
        by_name = dict(zip((b.name for b in self._benchmarks), wanted, strict=True))
        by_task = self._ask_tasks(model, tokenizer, split, by_name, conditions, everything=items is None)
        scores = []
        for benchmark in self._benchmarks:
            indices = by_name[benchmark.name]
            if not indices:
                continue
            if benchmark.kind == "lm_eval":
                scores.append(by_task[benchmark.name])
            elif benchmark.kind == "negative_flips":
                scores.append(self._flips(benchmark, split, by_task[benchmark.name]))
            else:
                judge = self._judges[benchmark.name]
                found = judge.score(model, tokenizer, split, indices, batch_size=self._batch_size)
                found.check()
                scores.append(found)
        return tuple(scores)

    def item_sets(
        self, split: Split, conditions: Conditions = STANDARD, tokenizer: Tokenizer | None = None
    ) -> tuple[ItemSet, ...]:
        """Returns what each benchmark asks on a split; only tasks feel other conditions."""
        of_tasks = iter(self._harness.item_sets(split, conditions, tokenizer) if self._harness else ())
        found = []
        for benchmark in self._benchmarks:
            if benchmark.kind == "lm_eval":
                found.append(next(of_tasks))
            elif benchmark.kind == "negative_flips":
                item_set = next(of_tasks)
                fingerprint = self._flips_fingerprint(benchmark, split, item_set.fingerprint)
                found.append(replace(item_set, fingerprint=fingerprint, additive=True, moved=False))
            else:
                found.append(self._judges[benchmark.name].item_set(split, tokenizer))
        return tuple(found)

    def _ask_tasks(
        self,
        model: Network,
        tokenizer: Tokenizer,
        split: Split,
        wanted: dict[str, tuple[int, ...]],
        conditions: Conditions,
        *,
        everything: bool,
    ) -> dict[str, Score]:
        if self._harness is None:
            return {}
        asked = tuple(wanted[b.name] for b in self._benchmarks if b.kind in _BY_LM_EVAL)
        if not any(asked):
            return {}
        items = None if everything else asked
        scores = self._harness.evaluate(model, tokenizer, split, items, conditions)
        return {score.benchmark: score for score in scores}

    def _flips(self, benchmark: Benchmark, split: Split, score: Score) -> Score:
        """Counts the items that the parent gets right and the model gets wrong."""
        reference = self._references.get((benchmark.parent or "", split), {}).get(benchmark.name)
        if reference is None or not reference.per_item or not score.per_item:
            raise EvaluationError(
                "parent",
                f"there are no answers of {benchmark.parent} to compare those of {benchmark.name} with",
                "name one of the experiment's parents, and a metric that is a mean over items",
            )
        before = reference.fitness_by_index
        flips = {index: float(before[index] > fitness) for index, fitness in score.fitness_by_index.items()}
        higher = benchmark.higher_is_better()
        like = replace(score, metric="negative_flips", higher_is_better=higher, notes=())
        like = replace(like, item_set=self._flips_fingerprint(benchmark, split, score.item_set))
        return mean_score(like, flips, size=len(before))

    def _flips_fingerprint(self, benchmark: Benchmark, split: Split, of_task: str) -> str:
        """Returns the fingerprint of what is counted: another parent of the same name answers otherwise."""
        reference = self._references.get((benchmark.parent or "", split), {}).get(benchmark.name)
        if reference is None:
            return unrepeatable_mark()
        answers = fingerprint_of(reference.per_item, reference.higher_is_better, benchmark.direction)
        return f"{of_task} flips {answers}"


def as_task(benchmark: Benchmark) -> Benchmark:
    """Returns a benchmark as the harness asks it; what counts flips asks the task as it is."""
    return benchmark if benchmark.kind == "lm_eval" else task_of(benchmark)


def judge_runner(benchmark: Benchmark, *, instruct: bool = False) -> JudgeRunner:
    """Builds a judge.

    Args:
        benchmark: Of another kind than lm-eval's.
        instruct: A parent's name says that it was trained on instructions.

    Raises:
        EvaluationError: It cannot be asked; names field, value and remedy.
    """
    if benchmark.kind in ("depth", "parameters"):
        return NetworkCost(benchmark)
    if benchmark.kind == "model_judge":
        return JudgedTask(benchmark, instruct=instruct) if benchmark.task else PreferredAnswers(benchmark)
    return Perplexity(benchmark) if benchmark.kind == "perplexity" else Answers(benchmark)


def inspect_all(
    benchmarks: Sequence[Benchmark], asked: Asked | None = None
) -> tuple[BenchmarkFacts | EvaluationError, ...]:
    """Finds out, without any weights, what benchmarks of all kinds ask, or why they cannot be asked.

    Args:
        benchmarks: What is asked.
        asked: Whose tokenizers make prompts, where they are known.
    """
    tasks = [as_task(benchmark) for benchmark in benchmarks if _is_task(benchmark)]
    asked = asked or Asked()
    by_lm_eval = iter(inspect_benchmarks(tasks, asked))
    return tuple(
        _as_marked(benchmark, next(by_lm_eval)) if _is_task(benchmark) else _inspect(benchmark, asked)
        for benchmark in benchmarks
    )


def _is_task(benchmark: Benchmark) -> bool:
    return benchmark.kind in _BY_LM_EVAL or (benchmark.kind == "model_judge" and bool(benchmark.task))


def _as_marked(
    benchmark: Benchmark, found: BenchmarkFacts | EvaluationError
) -> BenchmarkFacts | EvaluationError:
    if benchmark.kind == "lm_eval" or isinstance(found, EvaluationError):
        return found
    if benchmark.kind == "model_judge":
        try:
            JudgedTask(benchmark)
        except EvaluationError as error:
            return error
        return as_judged(found, higher_is_better=benchmark.higher_is_better(otherwise=True))
    higher = benchmark.higher_is_better()
    return replace(found, metrics=("negative_flips", *found.metrics), higher_is_better=higher)


def _inspect(benchmark: Benchmark, asked: Asked) -> BenchmarkFacts | EvaluationError:
    try:
        runner = judge_runner(benchmark)
        if isinstance(runner, AnswersRunner):
            return _with_prompts(runner, asked)
        return runner.facts()
    except EvaluationError as error:
        return error


def _with_prompts(runner: AnswersRunner, asked: Asked) -> BenchmarkFacts:
    """Returns what is known of a file's prompts, with how they are put to each model.

    Raises:
        EvaluationError: The merged model cannot be asked so.
    """
    facts, chat = runner.facts(), runner.benchmark.chat
    prompts: list[tuple[str, str]] = []
    warnings = list(facts.warnings)

    def put(tokenizer: Tokenizer, *, is_merged: bool) -> ChatFormat | None:
        """Puts all prompts."""
        if is_merged:
            check_template(chat, tokenizer)
            check_think_end(chat, tokenizer)
        form = form_for(chat, tokenizer)
        for prompts_of_split in runner.items.values() if form is not None else ():
            spoken(prompts_of_split, chat, form)
        return form

    asked.try_all(partial(put, is_merged=True))
    for name, tokenizer in zip(asked.names, asked.tokenizers, strict=True):
        try:
            form = put(tokenizer, is_merged=not prompts)
        except EvaluationError as error:
            if not prompts:
                raise
            warnings.append(f"{facts.name}: {name} will fail: {error.field}: {error.detail}")
        else:
            prompts.append((name, described(chat, form, shots=0)))
    return replace(facts, prompts=tuple(prompts), warnings=tuple(warnings))
