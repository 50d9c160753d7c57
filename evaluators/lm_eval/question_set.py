"""Item sets: the questions of all benchmarks on one split, and how the last tokenizer cut them.

Here "task", "request" and "group" are lm-eval's words.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.errors import EvaluationError
from evaluators.fingerprints.code_origin import engine_version
from evaluators.fingerprints.code_references import UnrepeatableError
from evaluators.fingerprints.values import fingerprint_of, unrepeatable_mark
from evaluators.inference.continuations import ContinuationPlan, Judged
from evaluators.inference.generation import GenerationPlan
from evaluators.inference.images.image_generation import ImageGenerationPlan
from evaluators.inference.images.seen_prompts import image_digest, is_image
from evaluators.inference.language_model import InMemoryModel, Plan, TextPlan
from evaluators.inference.prompts import Generated
from evaluators.item_set import ItemIndices
from evaluators.lm_eval.tasks.task_questions import Question

# Selections of items whose plans are kept: a race of 400 items has 16 rounds, and a generation's
# candidates go through the same ones.
_MOST_SELECTIONS = 48

_CONTINUATIONS, _GENERATIONS = "loglikelihood", "generate_until"
_SEEING = " with images"
GENERATIONS = (_GENERATIONS, f"{_GENERATIONS}{_SEEING}")

Questions = tuple[Question, ...]  # of one lm-eval task
Indices = Sequence[int]  # of some of them


@dataclass(frozen=True, slots=True)
class Part:
    """The questions of one lm-eval task that are asked.

    Attributes:
        rows: Their indices among all that the task has on the split.
        spans: By kind of request, where the answers to this task's stand among all of that kind.
    """

    questions: Questions
    rows: NDArray[np.int64]
    spans: Mapping[str, slice]


class Selection:
    """The questions that are put to a model at once, with their plans.

    Attributes:
        parts: Per benchmark and task of the benchmark.
        truncated: Ids of the requests whose last answer was cut off at its greatest length.
        overlong: Ids of the requests whose prompt lost its beginning, because the model reads no more.
    """

    def __init__(self, questions: Sequence[Sequence[Questions]], rows: Sequence[Sequence[Indices]]) -> None:
        self.truncated: set[int] = set()
        self.overlong: set[int] = set()
        self._requests: dict[str, list[Any]] = {}
        self.parts = [
            [self._part(*of_task) for of_task in zip(*of_benchmark, strict=True)]
            for of_benchmark in zip(questions, rows, strict=True)
        ]
        self._plans: dict[str, Plan] = {}
        self._footing: tuple[object, ...] | None = None
        self._judged: Judged | None = None
        self._answers: dict[str, Sequence[Any]] = {}
        self._generated: dict[str, Sequence[Generated]] = {}
        self._references: dict[int, ContinuationPlan] = {}

    def _part(self, questions: Questions, rows: Indices) -> Part:
        starts = {kind: len(requests) for kind, requests in self._requests.items()}
        for question in questions:
            for request in question.requests:
                self._requests.setdefault(_kind(request), []).extend([request] * request.repeats)
        spans = {
            kind: slice(starts.get(kind, 0), len(requests))
            for kind, requests in self._requests.items()
            if len(requests) > starts.get(kind, 0)
        }
        return Part(questions, np.array(rows, dtype=np.int64), spans)

    def ask(self, model: InMemoryModel) -> None:
        """Puts all requests to a model; forgets what the previous one answered."""
        self._judged, self._answers, self._generated = None, {}, {}
        self.truncated.clear()
        if self._footing != model.footing:
            self._prepare(model)
        for kind, plan in self._plans.items():
            if isinstance(plan, ContinuationPlan):
                self._judged = plan.judged(model.network)
            elif isinstance(plan, GenerationPlan | ImageGenerationPlan):
                self._generated[kind] = plan.generated(model.network)
                self._answers[kind] = self._texts(self._generated[kind], self._requests[kind])
            else:
                self._answers[kind] = plan.answers(model.network)

    def totals(self, part: Part) -> NDArray[np.float64]:
        """Returns the log-likelihoods of one task's continuations, in the order of its requests."""
        return self._found().totals[part.spans[_CONTINUATIONS]]

    def generated(self, part: Part) -> Sequence[Generated]:
        """Returns what one task's requests were answered with, repeats after each other."""
        (kind,) = (kind for kind in GENERATIONS if kind in part.spans)  # a task's requests are of one kind
        return self._generated[kind][part.spans[kind]]

    def reference_plan(
        self, part: Part, references: Sequence[tuple[str, str]], model: InMemoryModel
    ) -> ContinuationPlan:
        """Returns how one task's references are read after its prompts; planned once.

        Args:
            part: Of the task.
            references: Prompts and what follows them, the same every time.
            model: Of the same footing as the last that was asked.
        """
        if id(part) not in self._references:
            self._references[id(part)] = model.plan_continuations(references)
        return self._references[id(part)]

    def hand_out(self, part: Part) -> None:
        """Gives the answers to one task's requests, where lm-eval's filters look for them."""
        for question in part.questions:
            for request in question.requests:
                request.resps, request.filtered_resps = [], {}
        for kind, span in part.spans.items():
            if kind == _CONTINUATIONS and kind not in self._answers:
                self._answers[kind] = self._found().pairs()
            pairs = zip(self._requests[kind][span], self._answers[kind][span], strict=True)
            for request, answer in pairs:
                request.resps.append(answer)

    def _found(self) -> Judged:
        if self._judged is None:
            raise RuntimeError("no model was asked for log-likelihoods")
        return self._judged

    def _prepare(self, model: InMemoryModel) -> None:
        """Cuts the questions into tokens and batches, and notes what does not fit the model."""
        self._plans = {kind: _plan(model, kind, asked) for kind, asked in self._requests.items()}
        self._footing = model.footing
        self._references = {}
        self.overlong = {
            id(request)
            for kind, requests in self._requests.items()
            for request, lost in zip(requests, _lost(self._plans[kind], len(requests)), strict=True)
            if lost
        }

    def _texts(self, found: Sequence[Generated], requests: Sequence[Any]) -> list[str]:
        pairs = zip(requests, found, strict=True)
        self.truncated |= {id(request) for request, one in pairs if one.truncated}
        return [one.text for one in found]


class QuestionSet:
    """All questions of one split; hands out the selections that are asked of it.

    Args:
        questions: Per benchmark and task of the benchmark.
    """

    def __init__(self, questions: Sequence[Sequence[Questions]]) -> None:
        self._questions = questions
        self._selections: OrderedDict[ItemIndices | None, Selection] = OrderedDict()

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many items each benchmark has."""
        return tuple(sum(map(len, of_benchmark)) for of_benchmark in self._questions)

    def fingerprints(self, markings: Sequence[str]) -> tuple[str, ...]:
        """Returns one hash per benchmark: of its items, prompts and decoding, its marking, and the engine.

        Args:
            markings: Per benchmark, the fingerprint of how its answers are marked.
        """
        return tuple(map(_fingerprint, self._questions, markings))

    def selection(self, items: ItemIndices | None) -> Selection:
        """Returns the wanted questions; one that was asked for lately comes with its plans.

        Raises:
            EvaluationError: There are no such items.
        """
        if items not in self._selections:
            rows = self._all() if items is None else self._chosen(items)
            self._selections[items] = Selection(_picked(self._questions, rows), rows)
            if len(self._selections) > _MOST_SELECTIONS:
                oldest = next(key for key in self._selections if key is not None)
                del self._selections[oldest]
        self._selections.move_to_end(items)
        return self._selections[items]

    def _all(self) -> list[list[Indices]]:
        return [[range(len(of_task)) for of_task in of_benchmark] for of_benchmark in self._questions]

    def _chosen(self, items: ItemIndices) -> list[list[Indices]]:
        if len(items) != len(self._questions):
            raise EvaluationError(
                "items", f"items of {len(items)} benchmarks, of {len(self._questions)}", "name all"
            )
        for wanted, size in zip(items, self.sizes, strict=True):
            if any(not 0 <= index < size for index in wanted) or list(wanted) != sorted(set(wanted)):
                raise EvaluationError(
                    "items", f"{wanted[:8]} ... are no growing indices among {size} items", "correct them"
                )
        return [_places(*one) for one in zip(self._questions, items, strict=True)]


def _places(of_benchmark: Sequence[Questions], wanted: Sequence[int]) -> list[Indices]:
    """Returns the wanted indices per task; a benchmark has its tasks' items, one after the other."""
    chosen: list[Indices] = []
    start = 0
    for of_task in of_benchmark:
        end = start + len(of_task)
        chosen.append([index - start for index in wanted if start <= index < end])
        start = end
    return chosen


def _picked(
    questions: Sequence[Sequence[Questions]], rows: Sequence[Sequence[Indices]]
) -> list[list[Questions]]:
    return [
        [tuple(of_task[row] for row in chosen) for of_task, chosen in zip(*of_benchmark, strict=True)]
        for of_benchmark in zip(questions, rows, strict=True)
    ]


def _kind(request: Any) -> str:  # noqa: ANN401 - lm-eval's Instance
    """Returns how a request is put; one with further arguments that are no images is of no known kind."""
    others = request.args[2:]
    if not others:
        return str(request.request_type)
    seen = all(isinstance(one, Mapping) and set(one) == {"visual"} for one in others)
    return f"{request.request_type}{_SEEING if seen else ' with more than text and images'}"


def with_images(request: Any) -> tuple[Any, Any, Sequence[Any]]:  # noqa: ANN401
    """Returns a request's two texts, or its text and settings, and its images."""
    first, second, others = request.args
    seen = others["visual"]
    return first, second, () if seen is None else seen if isinstance(seen, list | tuple) else (seen,)


def _plan(model: InMemoryModel, kind: str, requests: Sequence[Any]) -> Plan:
    makers: dict[str, Callable[[], Plan]] = {
        _CONTINUATIONS: lambda: model.plan_continuations([request.args for request in requests]),
        "loglikelihood_rolling": lambda: model.plan_texts([request.args[0] for request in requests]),
        _GENERATIONS: lambda: model.plan_generations(
            [request.args for request in requests], draws_of(requests)
        ),
        f"{_CONTINUATIONS}{_SEEING}": lambda: model.plan_image_continuations(
            [with_images(request) for request in requests]
        ),
        f"{_GENERATIONS}{_SEEING}": lambda: model.plan_image_generations(
            [with_images(request) for request in requests], draws_of(requests)
        ),
    }
    if kind not in makers:
        raise EvaluationError("task", f"requests of kind {kind} cannot be asked", "choose another task")
    return makers[kind]()


def draws_of(requests: Sequence[Any]) -> list[int]:
    """Returns, for a request that stands there several times because it is repeated, which of them it is."""
    seen: Counter[int] = Counter()
    found = []
    for request in requests:
        found.append(seen[id(request)])
        seen[id(request)] += 1
    return found


def _lost(plan: Plan, count: int) -> Sequence[int]:
    """Returns how many tokens of each prompt do not fit; texts are read in windows and lose nothing."""
    return (0,) * count if isinstance(plan, TextPlan) else plan.lost


def _fingerprint(of_benchmark: Sequence[Questions], marking: str) -> str:
    digest = hashlib.sha256(f"{engine_version()} {marking}".encode())
    try:
        for of_task in of_benchmark:
            for question in of_task:
                digest.update(_asked(question).encode())
    except UnrepeatableError:
        return unrepeatable_mark()
    return digest.hexdigest()


def _asked(question: Question) -> str:
    """Returns an item and its requests in a form that differs wherever they do.

    Raises:
        UnrepeatableError: They hold something that cannot be followed.
    """
    try:
        item = json.dumps(question.item, sort_keys=True, default=_of_value)
    except (TypeError, ValueError):  # keys of several kinds, or an item that contains itself
        item = fingerprint_of(question.item)
    requests = [
        (request.request_type, [_argument(one) for one in request.args], request.repeats)
        for request in question.requests
    ]
    return repr((item, requests))


def _argument(argument: object) -> str:
    if isinstance(argument, Mapping) and "visual" in argument:
        seen = argument["visual"]
        return repr([_of_value(one) for one in (seen if isinstance(seen, list | tuple) else [seen])])
    return repr(argument) if isinstance(argument, str) else fingerprint_of(argument)


def _of_value(value: object) -> str:
    return image_digest(value) if is_image(value) else fingerprint_of(value)
