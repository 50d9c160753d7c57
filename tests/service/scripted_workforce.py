"""A workforce without models: scores follow from the recipe's numbers, mishaps follow a script."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluators import Benchmark, BenchmarkFacts, ItemIndices, ItemSet, Score, Split
from evaluators.scores import mean_score
from evaluators.task_facts import ShownAnswer, TaskDescription, TaskEntry, TaskExample, TaskList
from search_spaces import Recipe
from workers.errors import NoSuchTaskError, WorkerError
from workers.protocol.failure import Failure
from workers.protocol.kinship_orders import Kinship, KinshipInquiry, KinshipReport
from workers.protocol.messages import (
    Assignment,
    BenchmarkInquiry,
    BenchmarkProblem,
    BenchmarkReport,
    Exported,
    ExportInquiry,
    ExportOrder,
    Failed,
    ForeseenExport,
    Interrupted,
    Job,
    JobResult,
    Outcome,
    Scored,
    Workload,
    never,
)
from workers.protocol.prompt_orders import (
    PromptAnswer,
    PromptAnswers,
    PromptOrder,
    SampleAnswers,
    SampleOrder,
)
from workers.protocol.publications import Publication, PublicationInquiry
from workers.protocol.task_orders import TaskInquiry, TaskSearch
from workers.runtime.item_evaluation import evaluate_items

ITEMS = 64


@dataclass(frozen=True, slots=True)
class Mishap:
    """What happens to an assignment instead of scores.  A `nan` mishap gives scores, but bad ones."""

    code: str = "merge_failed"
    retryable: bool = False


LOST = Mishap("worker_lost", retryable=True)
NAN = Mishap("nan")


class ScriptedWorkforce:
    """Scores recipes at once and the same way every time.

    Attributes:
        script: Mishaps by candidate number and attempt, or by number alone for every attempt.
        order: Which of several assignments under way is answered first: `first`, `last` or `any`.
        in_process: It claims to share the controller's process.
        at_once: All answers are there as soon as one is; else the next has to be waited for.
        trouble: Why it claims that no worker works for now.
        submitted: All assignments, in order.
        prepared: All workloads, in order.
        jobs: All jobs, in order.
        asked: The benchmarks that it answers where no workload names them.
        published: What repositories on the Hub hold, by name.
    """

    def __init__(
        self,
        *,
        slots: int = 1,
        script: Mapping[int | tuple[int, int], Mishap] | None = None,
        order: str = "first",
        benchmarks: Sequence[str] = ("words",),
    ) -> None:
        self.slots, self.script, self.order = slots, dict(script or {}), order
        self.asked, self.known_tasks = tuple(benchmarks), set(benchmarks)
        self.in_process, self.at_once = False, False
        self.trouble: str | None = None
        self.submitted: list[Assignment] = []
        self.prepared: list[Workload] = []
        self.jobs: list[Job] = []
        self.published: dict[str, Publication] = {}
        self.prepare_error: Exception | None = None
        self.job_error: WorkerError | None = None
        self.under_way: list[Assignment] = []
        self._rng = np.random.default_rng(0)

    @property
    def held(self) -> int:
        """As many as it has."""
        return self.slots

    def for_experiment(self) -> ScriptedWorkforce:
        """Returns itself: one experiment at a time."""
        return self

    def places(self, gpus_per_worker: float) -> int:
        """One."""
        return 1

    def claim(self, wanted: int) -> int:
        """All slots, for whatever there is to do."""
        return self.slots

    def release(self) -> None:
        """Forgets the assignments under way."""
        self.drop()

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Remembers the workload, or raises `prepare_error`."""
        self.prepared.append(workload)
        if self.prepare_error is not None:
            raise self.prepare_error

    def submit(self, assignment: Assignment) -> None:
        """Takes an assignment."""
        self.submitted.append(assignment)
        self.under_way.append(assignment)

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Answers one of the assignments under way."""
        if not self.under_way or (timeout <= 0 and not self.at_once):
            return None
        places = {"first": 0, "last": -1}
        place = places.get(self.order, int(self._rng.integers(len(self.under_way))))
        return self.answer(self.under_way.pop(place))

    def answer(self, assignment: Assignment) -> Outcome:
        """Returns the outcome of an assignment."""
        key, attempt = assignment.candidate, assignment.attempt
        mishap = self.script.get((assignment.number, attempt)) or self.script.get(assignment.number)
        if mishap is not None and mishap is not NAN:
            remedy = "look at the script"
            failure = Failure(mishap.code, "it was scripted", remedy, mishap.retryable, "...")
            return Failed(key, attempt, failure, "w0")
        names = [b.name for b in self.prepared[-1].benchmarks] if self.prepared else list(self.asked)
        scores = tuple(score_of(assignment.recipe, name, assignment.split) for name in names)
        if mishap is None and (assignment.race is not None or assignment.items is not None):
            item_sets = [ItemSet(ITEMS, "item set", additive=True) for _ in names]
            marked = [replace(score, item_set="item set") for score in scores]
            answered = evaluate_items(assignment, item_sets, lambda items: only(marked, items))
            return Scored(key, attempt, answered.scores, 0.002, 0.01, "w0", answered.pruned, answered.asked)
        if mishap is NAN:
            scores = tuple(Score(s.benchmark, s.metric, math.nan, 0.0, True) for s in scores)
        return Scored(key, attempt, scores, 0.002, 0.01, "w0")

    def drop(self) -> None:
        """Forgets the assignments under way."""
        self.under_way.clear()

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:
        """Answers inquiries about tasks it knows; pretends to export."""
        self.jobs.append(job)
        if self.job_error is not None:
            raise self.job_error
        if isinstance(job, BenchmarkInquiry):
            return BenchmarkReport(tuple(self._look_up(benchmark) for benchmark in job.benchmarks))
        if isinstance(job, TaskSearch | TaskInquiry):
            return self._told(job)
        if isinstance(job, KinshipInquiry):
            places = range(len(job.parents))
            pairs = [Kinship(i, j, 0.25, 0.25, 1.0, 0.25, 0.25, 1.0, 0.9) for j in places for i in range(j)]
            return KinshipReport(job.parents, tuple(sorted(pairs, key=lambda p: (p.first, p.second))), 1)
        if isinstance(job, PromptOrder):
            seen = f"USER: {job.prompt}"
            answers = [PromptAnswer(m.label, seen, f"{m.label} says 4", 3, False, 0.01) for m in job.models]
            return PromptAnswers(tuple(answers))
        if isinstance(job, SampleOrder):
            shown = tuple(
                ShownAnswer(n, f"Q{n}?", " yes", ((" yes", -0.5), (" no", -1.0)), "0")
                for n in job.items or range(job.count)
            )
            return SampleAnswers(tuple((benchmark.name, shown) for benchmark in job.benchmarks))
        if isinstance(job, PublicationInquiry):
            return self.published.get(job.repository, Publication(job.repository))
        if isinstance(job, ExportInquiry):
            files: dict[str, int | None] = {"model.safetensors": 1000}
            return ForeseenExport(files | {"README.md": len(job.order.card.encode())}, "would be filled")
        if not isinstance(job, ExportOrder):
            raise TypeError(f"the script has no answer to a {type(job).__name__}")
        return Exported(job.folder, ("config.json", "model.safetensors"), 1000, job.recipe.digest)

    def close(self) -> None:
        """Lets everything go."""
        self.drop()

    def _told(self, asked: TaskSearch | TaskInquiry) -> TaskList | TaskDescription:
        known = {
            name: TaskEntry(name, "task", 1, "multiple_choice", "json") for name in sorted(self.known_tasks)
        }
        if isinstance(asked, TaskSearch):
            found = [entry for name, entry in known.items() if asked.pattern in name]
            end = None if asked.most is None else asked.after + asked.most
            return TaskList(tuple(found[asked.after : end]), len(found))
        name = asked.benchmark.task
        if name not in known:
            raise NoSuchTaskError("task", f"there is no {name!r}", "use another")
        example = TaskExample(name, "Which word?", (" a", " b"), "1", 3 if asked.model else None)
        return TaskDescription(
            known[name], splits=(("search", ITEMS),), metrics=("acc,none",), example=example
        )

    def _look_up(self, benchmark: Benchmark) -> BenchmarkFacts | BenchmarkProblem:
        name = benchmark.name
        if benchmark.task not in self.known_tasks:
            detail = f"there is no task {benchmark.task!r}"
            return BenchmarkProblem(name, "task", "unknown_task", detail, f"use one of {self.known_tasks}")
        if benchmark.metric not in (None, "acc", "acc,none"):
            detail = f"{benchmark.task} has no metric {benchmark.metric!r}"
            return BenchmarkProblem(name, "metric", "unknown_metric", detail, "use acc")
        items: dict[Split, int] = {"search": ITEMS, "selection": ITEMS, "test": ITEMS}
        return BenchmarkFacts(name, items, ("acc,none",), higher_is_better=True)


def only(scores: Sequence[Score], items: ItemIndices | None) -> tuple[Score, ...]:
    """Returns what the scores would be, had only these items been asked."""
    if items is None:
        return tuple(scores)
    pairs = zip(scores, items, strict=True)
    return tuple(
        mean_score(score, {place: score.per_item[place] for place in places}, size=ITEMS)
        for score, places in pairs
        if places
    )


def score_of(recipe: Recipe, benchmark: str, split: Split = "search") -> Score:
    """Returns a score from 0 to 1: the higher, the nearer the recipe's numbers are to the benchmark's own.

    On the search split it has margins, to float32: right items lie above 0, wrong ones below.
    """
    numbers = [setting.value for part in recipe.slices for source in part.sources
               for parameter in source.parameters.values() for setting in parameter]  # fmt: skip
    top = 0.2 + 0.9 * _chance("top", benchmark)
    near = [math.exp(-((float(np.mean(n)) - top * (1 + 0.3 * (i % 2))) ** 2)) for i, n in enumerate(numbers)]
    value = 0.9 * float(np.mean(near)) if near else 0.3 * _chance(recipe.digest, benchmark)
    value += 0.05 * _chance(recipe.digest, benchmark, split)
    right = round(value * ITEMS)
    stderr = math.sqrt(value * (1 - value) / ITEMS)
    per_item = (1.0,) * right + (0.0,) * (ITEMS - right)
    margins = tuple(float(np.float32(value - (n + 0.5) / ITEMS)) for n in range(ITEMS))
    known = margins if split == "search" else ()
    return Score(benchmark, "acc,none", value, stderr, True, per_item, margins=known)


def _chance(*parts: object) -> float:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") / 2**48
