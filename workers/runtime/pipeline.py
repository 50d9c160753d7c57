"""Pipeline: assignment -> merge -> evaluate -> outcome.  Plain: no Ray, no database."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch

from evaluators import EvaluationError, ItemIndices, Score
from evaluators.allocation_failures import is_out_of_memory
from evaluators.conditions import STANDARD
from evaluators.errors import BadScoreError
from evaluators.evaluator import Comparer
from evaluators.inference.engines import answer_with
from evaluators.registry import EVALUATORS
from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.errors import SpaceError
from workers.calibration.records import Records
from workers.checkpoints.architecture.configuration import merged_config
from workers.checkpoints.layout import Layout
from workers.compatibility.instruction_names import follows_instructions
from workers.compatibility.loaded_parents import load_parent
from workers.errors import PreparationError, WorkerError
from workers.merging.fast.caches import Caches
from workers.merging.fast.preparations.prepared_store import users_store
from workers.merging.plan import MergePlan, plan_merge
from workers.protocol.failure import LONGEST_EXCERPT, Failure
from workers.protocol.messages import Assignment, Failed, Outcome, Scored, Workload
from workers.protocol.outcomes import key_of
from workers.runtime.item_evaluation import ItemEvaluation, evaluate_items
from workers.runtime.live_model import LiveModel
from workers.runtime.resident_parents import ResidentParents, cache_limit
from workers.runtime.vllm_engine import VllmEngine
from workers.runtime.vllm_library import load_vllm
from workers.tokenizers.files import replaced_template


class Pipeline:
    """One experiment's parents, benchmarks and live models, ready to score its candidates.

    What does not depend on the candidate (parents, tasks, tokens, networks) is made once.

    Raises:
        PreparationError: A parent or a benchmark is unusable.
    """

    def __init__(self, workload: Workload, *, name: str = "worker") -> None:
        self.name, self.workload = name, workload
        self.device = _device(workload.device)
        with _as_preparation():
            self._engine = VllmEngine(load_vllm(self.device)) if workload.backend == "vllm" else None
            if workload.evaluator not in EVALUATORS:
                known = ", ".join(sorted(EVALUATORS))
                raise PreparationError("evaluator", f"unknown {workload.evaluator!r}", f"use one of: {known}")
            layouts = {p: load_parent(p) for p in workload.parents}
            self._evaluator = EVALUATORS[workload.evaluator](
                workload.benchmarks,
                batch_size=workload.batch_size,
                instruct=any(map(follows_instructions, layouts.values())),
            )
            self._records = Records(layouts)
            self._parents = ResidentParents(layouts, self.device, record=self._records.record)
        self._live_models: dict[str, LiveModel] = {}
        self._caches = Caches(cache_limit(self.device), users_store())

    @property
    def placement(self) -> str:
        """Where the parents lie, in a sentence."""
        return str(self._parents.placement)

    def run(self, assignment: Assignment) -> Outcome:
        """Merges and scores one candidate.  Never raises: what went wrong is in the outcome."""
        try:
            return self._score(assignment)
        except Exception as error:  # noqa: BLE001 - the border: whatever a candidate breaks, the worker goes on
            return _failed(assignment, error, self.name)

    def close(self) -> None:
        """Lets the parents and the models go."""
        if self._engine is not None:
            self._engine.close()
        self._parents.close()
        self._records.close()
        self._live_models.clear()
        self._caches.clear()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _score(self, assignment: Assignment) -> Scored:
        started = perf_counter()
        if isinstance(self._evaluator, Comparer):
            self._show_references(self._evaluator, assignment)
        live, model = self._merge(assignment.recipe)
        merged = perf_counter()
        tokenizer = live.tokenizer_with(replaced_template(assignment.recipe, self._parents.layouts))
        with torch.inference_mode():
            answered = self._evaluate_items(assignment, model, tokenizer)
        self._check(answered.scores, partly=assignment.conditions != STANDARD)
        return Scored(
            *key_of(assignment),
            scores=answered.scores,
            merge_seconds=merged - started,
            evaluate_seconds=perf_counter() - merged,
            worker=self.name,
            pruned=answered.pruned,
            asked=answered.asked,
        )

    def _show_references(self, evaluator: Comparer, assignment: Assignment) -> None:
        """Has the parents that others are compared with answer, once per split."""
        for name in evaluator.references(assignment.split):
            parent = self._parent_called(name)
            alone = Slice(sources=(Source(parent=parent),))
            live, model = self._merge(
                Recipe(method="passthrough", slices=(alone,), dtype=assignment.recipe.dtype)
            )
            with torch.inference_mode():
                evaluator.refer(name, assignment.split, model, live.tokenizer)

    def _parent_called(self, name: str) -> Parent:
        found = [p for p in self.workload.parents if name in (str(p), p.model, Path(p.model).name)]
        if len(found) != 1:
            known = ", ".join(map(str, self.workload.parents))
            raise EvaluationError(
                "parent", f"{name} names {len(found)} of the parents", f"use one of: {known}"
            )
        return found[0]

    def _evaluate_items(self, assignment: Assignment, model: object, tokenizer: object) -> ItemEvaluation:
        split, conditions = assignment.split, assignment.conditions
        mark = self._engine.mark if self._engine is not None else str
        item_sets = tuple(
            replace(item_set, fingerprint=mark(item_set.fingerprint))
            for item_set in self._evaluator.item_sets(split, conditions, tokenizer)
        )

        def ask(items: ItemIndices | None) -> tuple[Score, ...]:
            found: tuple[Score, ...] = self._evaluator.evaluate(model, tokenizer, split, items, conditions)
            return tuple(replace(score, item_set=mark(score.item_set)) for score in found)

        return evaluate_items(assignment, item_sets, ask)

    def _merge(self, recipe: Recipe) -> tuple[LiveModel, object]:
        plan: MergePlan = plan_merge(recipe, self._parents.layouts)
        live = self._live_model(plan.owner)
        config = merged_config(plan.owner, recipe, self._parents.layouts)
        model = live.overwrite(config, plan, self._parents.sources)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        if self._engine is not None:
            self._engine.renew(model, live.tokenizer, plan.input_scales)
            answer_with(model, self._engine)
        return live, model

    def _live_model(self, owner: Layout) -> LiveModel:
        key = str(owner.parent)
        if key not in self._live_models:
            self._live_models[key] = LiveModel(
                owner, dtype=self.workload.dtype, device=self.device, caches=self._caches
            )
        return self._live_models[key]

    def _check(self, scores: tuple[Score, ...], *, partly: bool) -> None:
        for score in scores:
            score.check()
        asked = [benchmark.name for benchmark in self.workload.benchmarks]
        got = [score.benchmark for score in scores]
        if got != [name for name in asked if not partly or name in got]:
            raise BadScoreError("benchmark", f"{asked} were asked, {got} answered", "correct the evaluator")


def _device(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _as_preparation() -> Iterator[None]:
    try:
        yield
    except (WorkerError, EvaluationError) as error:
        raise PreparationError(error.field, error.detail, error.remedy) from error


def _failed(assignment: Assignment, error: Exception, worker: str) -> Failed:
    return Failed(*key_of(assignment), _failure(error), worker)


def _failure(error: Exception) -> Failure:
    excerpt = "".join(traceback.format_exception(error))[-LONGEST_EXCERPT:]
    if is_out_of_memory(error):
        torch.cuda.empty_cache()
        cause, remedy = f"out of memory: {_first_line(error)}", "use a smaller batch_size, fewer workers, or"
        return Failure("oom", cause, f"{remedy} smaller parents", retryable=True, excerpt=excerpt)
    if isinstance(error, WorkerError | EvaluationError | SpaceError):
        return Failure.of(error, excerpt)
    cause = f"{type(error).__name__}: {_first_line(error)}"
    remedy = "read the excerpt; if the recipe is sound, report it"
    return Failure("exception", cause, remedy, excerpt=excerpt)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else "no message"
