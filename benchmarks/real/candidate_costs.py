"""What a candidate costs: merged in place and asked by us, beside HFLM on the very same weights."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice, takewhile
from time import perf_counter, process_time
from typing import Any
from uuid import uuid4

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from benchmarks.evaluate import Case, Model, operations
from benchmarks.measuring.report import Samples
from benchmarks.real.plain_items import PlainItems
from evaluators.inference.first_layers.identity import Link, layers_of, links
from evaluators.lm_eval.asked_sets import form_of
from search_spaces import Recipe
from service.experiment.spec import ExperimentSpec
from workers.protocol.messages import Workload
from workers.runtime.in_place_merger import InPlaceMerger
from workers.runtime.preparation import PreparedWorkload, prepare_workload

RATE_ROWS, RATE_REPEATS = 2048, 10
UNTIMED = 2  # candidates: prompts, plans and tokens are built for one, what candidates share is noted at two
PEERS_BATCH = 16  # rows; HFLM gets this or the experiment's, whichever is faster


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """What multiplies: weights per token that is read, and per token that is scored.

    Attributes:
        hidden: Entries of a hidden state.
        inner: The same inside a layer.
        body: Weights of the layers, those left out that candidates share.
        head: Weights of the head.
    """

    hidden: int
    inner: int
    body: int
    head: int


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds for the items of the search split.

    Attributes:
        merges, ours, theirs: By the wall's clock, interleaved.
        processor_ratio: HFLM's processor seconds over those of our asking.
        floor: Seconds of the matrix products alone, at `rate` operations per second, where layers that
            all candidates share are not run again.
        floor_alone: The same with all layers.
        agreeing: Share of the items with the same value on both sides.
        layers: Of the network.
        shared_layers: How many of them, from the first, are the same in all candidates to the last bit.
        their_batch: HFLM's rows at once.
    """

    merges: Samples
    ours: Samples
    theirs: Samples
    processor_ratio: float
    floor: float
    floor_alone: float
    rate: float
    agreeing: float
    layers: int
    shared_layers: int
    their_batch: int


def measure_candidates(
    spec: ExperimentSpec, recipes: Sequence[Recipe], *, instruct: bool, repeats: int
) -> Costs:
    """Merges and asks candidates, and has HFLM ask each of them again.

    Args:
        spec: What the experiment asked.
        recipes: Of candidates; each is merged after another one, so that nothing is left to reuse.
        instruct: A parent's name says that it was trained on instructions.
        repeats: Candidates that are timed, after two that are not.
    """
    with _prepared(spec) as (prepared, merger), torch.inference_mode():
        plain = PlainItems.of(spec.benchmarks, instruct=instruct)
        asking = _Asking(prepared, merger, plain)
        batches = (spec.batch_size, PEERS_BATCH)
        first = [
            (asking.turn(recipe, batch), batch)
            for recipe, batch in zip(cycle(recipes), batches, strict=False)
        ]
        batch = min(first, key=lambda pair: pair[0].their_cpu)[1]
        later = islice(cycle(recipes), UNTIMED, UNTIMED + repeats)
        timed = [asking.turn(recipe, batch) for recipe in later]
        found: Any = merger.merge(recipes[0])
        network, tokenizer = found
        rate = _rate(size_of(network), network.dtype, str(network.device))
        cases = list(_cases(plain, tokenizer, spec.batch_size))
        floors = [
            sum(operations(case, Model(network, tokenizer, size_of(network, shared))) for case in cases)
            / rate
            for shared in (asking.shared_layers, 0)
        ]
        layers = len(layers_of(network))
    cpu = sum(row.their_cpu for row in timed) / sum(row.our_cpu for row in timed)
    return Costs(
        merges=Samples(tuple(row.merge for row in timed)),
        ours=Samples(tuple(row.ours for row in timed)),
        theirs=Samples(tuple(row.theirs for row in timed)),
        processor_ratio=cpu,
        floor=floors[0],
        floor_alone=floors[1],
        rate=rate,
        agreeing=sum(row.agreeing for row in timed) / len(timed),
        layers=layers,
        shared_layers=asking.shared_layers,
        their_batch=batch,
    )


def size_of(network: Any, shared_layers: int = 0) -> NetworkSize:  # noqa: ANN401 - transformers
    """Returns the size of a network's matrix products, its first layers left out if so many are shared."""
    config = network.config.get_text_config()
    head = network.get_output_embeddings()
    left_out = {id(m) for layer in layers_of(network)[:shared_layers] for m in layer.modules()} | {id(head)}
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear) and id(m) not in left_out]
    body = sum(module.weight.numel() for module in linear)
    inner = int(getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
    return NetworkSize(int(config.hidden_size), inner, body, 0 if head is None else head.weight.numel())


@dataclass(frozen=True, slots=True)
class _Turn:
    merge: float
    ours: float
    theirs: float
    our_cpu: float
    their_cpu: float
    agreeing: float


class _Asking:
    """Candidates in turns, and how many of their layers were the same so far.

    Attributes:
        shared_layers: From the first one on, to the last bit; 0 where that is not looked at.
    """

    def __init__(self, prepared: PreparedWorkload, merger: InPlaceMerger, plain: PlainItems) -> None:
        self._prepared, self._merger, self._plain = prepared, merger, plain
        self._links: list[Link] | None = None

    @property
    def shared_layers(self) -> int:
        return max(len(self._links or ()) - 1, 0)

    def turn(self, recipe: Recipe, their_batch: int) -> _Turn:
        """Merges a candidate, asks it, and has HFLM ask it."""
        prepared = self._prepared
        (network, tokenizer), merge, _ = _timed(lambda: self._merger.merge(recipe))
        scores, ours, our_cpu = _timed(lambda: prepared.evaluator.evaluate(network, tokenizer, "search"))
        lm = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=their_batch)
        answers, theirs, their_cpu = _timed(lambda: self._plain.answers(lm, "search"))
        self._compare(network)
        pairs = [
            pair
            for score in scores
            for pair in zip(sorted(score.per_item), sorted(answers[score.benchmark]), strict=False)
        ]
        same = sum(abs(one - other) < 1e-6 for one, other in pairs) / max(len(pairs), 1)
        return _Turn(merge, ours, theirs, our_cpu, their_cpu, same)

    def _compare(self, network: Any) -> None:  # noqa: ANN401 - transformers
        if network.device.type != "cpu" or not layers_of(network):
            return
        everything = torch.arange(network.get_input_embeddings().weight.shape[0])
        found = list(links(network, everything))
        pairs = zip(self._links if self._links is not None else found, found, strict=False)
        self._links = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    gc.collect()
    start, start_cpu = perf_counter(), process_time()
    found = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return found, perf_counter() - start, process_time() - start_cpu


@contextmanager
def _prepared(spec: ExperimentSpec) -> Iterator[tuple[PreparedWorkload, InPlaceMerger]]:
    workload = Workload(
        uuid4(), spec.all_parents, spec.benchmarks, dtype=spec.dtype, batch_size=spec.batch_size
    )
    prepared = prepare_workload(workload)
    merger = InPlaceMerger(prepared)
    try:
        yield prepared, merger
    finally:
        merger.close()
        prepared.close()


def _cases(plain: PlainItems, tokenizer: Any, batch: int) -> Iterator[Case]:  # noqa: ANN401 - transformers
    """Yields what is asked on the search split, all comparisons at once and all answers at once."""
    asked: dict[bool, list[Instance]] = {}
    for subtask in (subtask for built in plain.built for subtask in built.subtasks):
        form = form_of(subtask, tokenizer, instruct=plain.instruct)
        for question in subtask.questions("search", form=form):
            asked.setdefault(subtask.generates, []).extend(question.requests)
    for generates, requests in asked.items():
        yield Case("search", requests, batch, generates=generates)


def _rate(size: NetworkSize, dtype: torch.dtype, device: str) -> float:
    """Returns operations per second of a large matrix product of this width: the physical limit."""
    left = torch.randn(RATE_ROWS, size.hidden, device=device).to(dtype)
    right = torch.randn(size.hidden, size.inner, device=device).to(dtype)
    seconds = min(_timed(lambda: [left @ right for _ in range(20)])[1] for _ in range(RATE_REPEATS))
    return 20 * 2.0 * RATE_ROWS * size.hidden * size.inner / seconds
