"""What asking a model costs, compared with lm-eval's HFLM.

    python -m benchmarks.evaluate [--quick]

The same weights, requests, data type and batch budget, in turns, after checking that both give the same
log-probabilities and texts.  Ratio = HFLM's seconds over ours.  HFLM runs in this environment and not
in one of its own, because both must use the same torch and the very same weights in memory.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any, Protocol

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from benchmarks.evaluating.overhead import second_candidate
from benchmarks.evaluating.problems import (
    SEVEN_BILLION,
    SMALL,
    Questions,
    Shape,
    make_network,
    make_tokenizer,
)
from benchmarks.measuring.report import Samples, print_result, print_table, timed
from evaluators.inference.first_layers.identity import layers_of
from evaluators.inference.language_model import InMemoryModel
from evaluators.lm_eval.model import EvomergeLM

OVERHEAD = "second_candidate_overhead"
GOALS = {
    "zero_shot": 4.0,
    "five_shot": 15.0,
    "one_token": 5.0,
    "generation": 2.0,
    "generation_zero_shot": 2.0,
    OVERHEAD: 100.0,
    "gpu_zero_shot": 4.0,
    "gpu_five_shot": 15.0,
}
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 2e-2}
BATCH, GENERATION_BATCH = 16, 64  # rows; both sides get the same


class Size(Protocol):
    """How many weights multiply each token that is read (`body`), and that is scored (`head`)."""

    @property
    def body(self) -> int:
        """Of the layers."""
        ...

    @property
    def head(self) -> int:
        """Of the head."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """Who is asked."""

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    shape: Size


@dataclass(frozen=True, slots=True)
class Case:
    """Requests that both sides are asked."""

    name: str
    requests: Sequence[Instance]
    batch: int
    generates: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """What a case took.

    Attributes:
        first: Our seconds for the first candidate, tokens and plans among them.
        floor: Seconds that the matrix products alone take at the rate measured here.
        difference: The largest one between log-probabilities.
        processor_ratio: HFLM's processor seconds over ours, which a busy machine disturbs less.
    """

    name: str
    ours: Samples
    theirs: Samples
    first: float
    floor: float
    difference: float
    processor_ratio: float

    @property
    def ratio(self) -> float:
        """HFLM's seconds over ours."""
        return self.theirs.median / self.ours.median


def cases(*, quick: bool) -> list[Case]:
    """Returns what is asked on a CPU."""
    asked, count = Questions(), 40 if quick else 200
    prompts, tokens = (32, 32) if quick else (64, 64)
    few_shot = asked.prompts(prompts, tokens, examples=5)
    bare = asked.prompts(prompts, tokens, examples=0)
    return [
        Case("zero_shot", asked.zero_shot(count), BATCH),
        Case("five_shot", asked.five_shot(count), BATCH),
        Case("one_token", asked.one_token(count), BATCH),
        Case("generation", few_shot, GENERATION_BATCH, generates=True),
        Case("generation_zero_shot", bare, GENERATION_BATCH, generates=True),
    ]


def measured(case: Case, model: Model, *, rate: float, repeats: int) -> Timing:
    """Asks both sides, checks that they agree, and times them in turns.

    Raises:
        ValueError: They do not agree.
    """
    ours = EvomergeLM(model.network, model.tokenizer, batch_size=case.batch)
    # In half precision lm-eval takes the softmax in half precision, too, unless told otherwise: log-
    # probabilities near -10 are then rounded to steps of 1/16, which no other way could agree with.
    theirs = HFLM(
        pretrained=model.network,
        tokenizer=model.tokenizer,
        batch_size=case.batch,
        softmax_dtype="float32",
    )
    _, first, _ = _asked(ours, case)
    difference = 0.0
    mine, others = [], []
    for repeat in range(repeats):
        become_another_candidate(model.network)
        their_answers, *seconds = _asked(theirs, case)
        others.append(seconds)
        our_answers, *seconds = _asked(ours, case)
        mine.append(seconds)
        if repeat == 0:
            difference = agreement(case, our_answers, their_answers, model.network.dtype)
    floor = operations(case, model) / rate
    print(f"{case.name}: (wall, processor) seconds, ours {mine}, HFLM {others}", file=sys.stderr, flush=True)
    (our_wall, our_cpu), (their_wall, their_cpu) = zip(*mine, strict=True), zip(*others, strict=True)
    return Timing(
        case.name,
        Samples(tuple(our_wall)),
        Samples(tuple(their_wall)),
        first=first,
        floor=floor,
        difference=difference,
        processor_ratio=median(their_cpu) / median(our_cpu),
    )


@torch.no_grad()
def become_another_candidate(network: PreTrainedModel) -> None:
    """Changes the first layer, so that nothing which an earlier candidate gave is this one's as well."""
    next(layers_of(network)[0].parameters()).mul_(1.01)


def _asked(lm: EvomergeLM | HFLM, case: Case) -> tuple[list[Any], float, float]:
    """Returns the answers, and the seconds by the wall's clock and by the processor's."""
    ask = lm.generate_until if case.generates else lm.loglikelihood
    gc.collect()
    start, start_cpu = perf_counter(), process_time()
    answers = list(ask(list(case.requests), disable_tqdm=True))
    _wait()
    return answers, perf_counter() - start, process_time() - start_cpu


def agreement(case: Case, ours: Sequence[Any], theirs: Sequence[Any], dtype: torch.dtype) -> float:
    """Returns the largest difference between log-probabilities; 0 for equal texts.

    Raises:
        ValueError: Texts or accuracies differ, or log-probabilities by more than is allowed.
    """
    if case.generates:
        if list(ours) != list(theirs):
            raise ValueError(f"{case.name}: the texts differ")
        return 0.0
    tokens = [max(len(str(request.args[1]).split()), 1) for request in case.requests]
    gaps = [abs(one - other) for (one, _), (other, _) in zip(ours, theirs, strict=True)]
    # In half precision every word's logits are rounded, so that the gaps of long answers add up.
    per_word = [gap / count for gap, count in zip(gaps, tokens, strict=True)]
    judged = max(gaps) if dtype == torch.float32 else max(per_word)
    if judged > TOLERANCE[dtype]:
        raise ValueError(f"{case.name}: log-probabilities differ by {judged:.2g}")
    if dtype == torch.float32 and choices(ours) != choices(theirs):
        raise ValueError(f"{case.name}: the chosen answers differ")
    return float(max(gaps))


def choices(answers: Sequence[tuple[float, bool]]) -> list[int]:
    """Returns which of four answers is likeliest, per question."""
    groups = [[value for value, _ in answers[start : start + 4]] for start in range(0, len(answers), 4)]
    return [group.index(max(group)) for group in groups]


def operations(case: Case, model: Model) -> float:
    """Returns the operations of the matrix products that our way needs, attention left out."""
    asked = InMemoryModel(model.network, model.tokenizer, batch_size=case.batch)
    if not case.generates:
        plan = asked.plan_continuations([request.args for request in case.requests])
        scored = sum(len(batch.scored) for batch in plan.batches)
        return 2.0 * float(model.shape.body * plan.tokens_read + model.shape.head * scored)
    prompts = asked.plan_continuations([(str(request.args[0]), " .") for request in case.requests])
    generations = asked.plan_generations([request.args for request in case.requests])
    answers = sum(one.tokens for one in generations.generated(model.network))
    return 2.0 * float(model.shape.body * (prompts.tokens_read + answers) + model.shape.head * answers)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def matmul_rate(shape: Shape, dtype: torch.dtype, device: str) -> float:
    """Returns operations per second of a large matrix product of this shape: the physical limit."""
    left = torch.randn(2048, shape.hidden, dtype=dtype, device=device)
    right = torch.randn(shape.hidden, shape.inner, dtype=dtype, device=device)

    def products() -> None:
        for _ in range(20):
            left @ right
        _wait()

    run = timed(products)
    seconds = min(run() for _ in range(10))
    return 20 * 2.0 * 2048 * shape.hidden * shape.inner / seconds


def on_gpu(*, quick: bool, repeats: int) -> tuple[list[Timing], float]:
    """Measures a 7-billion shape in bfloat16; returns nothing without a GPU."""
    if not torch.cuda.is_available():
        return [], 0.0
    asked, count = Questions(), 100 if quick else 200
    model = Model(make_network(SEVEN_BILLION, torch.bfloat16, "cuda"), make_tokenizer(), SEVEN_BILLION)
    rate = matmul_rate(SEVEN_BILLION, torch.bfloat16, "cuda")
    of = [("gpu_zero_shot", asked.zero_shot(count)), ("gpu_five_shot", asked.five_shot(count))]
    return [
        measured(Case(name, requests, 64), model, rate=rate, repeats=repeats) for name, requests in of
    ], rate


def print_timings(timings: Sequence[Timing], title: str) -> None:
    """Prints one line per case."""
    header = ("case", "ours s", "HFLM s", "ratio", "goal", "first s", "floor s", "of limit", "max diff")
    rows = [
        (
            *(
                t.name,
                f"{t.ours.median:.3f}",
                f"{t.theirs.median:.3f}",
                f"{t.ratio:.1f}",
                f"{GOALS[t.name]:g}",
            ),
            *(f"{t.first:.2f}", f"{t.floor:.3f}", f"{t.floor / t.ours.median:.0%}", f"{t.difference:.1e}"),
        )
        for t in timings
    ]
    print_table(title, header, rows)


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer questions, shorter answers, two repeats")
    parser.add_argument("--repeats", type=int, help="three, or with --quick two")
    options = parser.parse_args()
    repeats = options.repeats or (2 if options.quick else 3)
    logging.disable(logging.WARNING)
    model = Model(make_network(SMALL, torch.float32, "cpu"), make_tokenizer(), SMALL)
    rate = matmul_rate(SMALL, torch.float32, "cpu")
    timings = [measured(case, model, rate=rate, repeats=repeats) for case in cases(quick=options.quick)]
    print_timings(timings, f"float32, {torch.get_num_threads()} threads, {rate / 1e9:.0f} GFLOP/s")
    gpu, gpu_rate = on_gpu(quick=options.quick, repeats=repeats)
    if gpu:
        title = f"7 B shape, bfloat16, {torch.cuda.get_device_name()}, {gpu_rate / 1e12:.0f} TFLOP/s"
        print_timings(gpu, title)
    ours, theirs = second_candidate(model.network, model.tokenizer, repeats=repeats)
    overhead = theirs.median / ours.median
    row = (f"{ours.median * 1e3:.2f}", f"{theirs.median * 1e3:.1f}", f"{overhead:.0f}", "100")
    print_table("Second candidate, model stubbed", ("ours ms", "simple_evaluate ms", "ratio", "goal"), [row])
    everything = [*timings, *gpu]
    print_result(
        {t.name: t.ratio for t in everything} | {OVERHEAD: overhead},
        limit={
            "matmul_gflops": round(rate / 1e9, 1),
            "gpu_matmul_gflops": round(gpu_rate / 1e9, 1),
            "seconds": {t.name: round(t.floor, 4) for t in everything},
            "share_of_limit": {t.name: round(t.floor / t.ours.median, 3) for t in everything},
            "ratio_at_limit": {t.name: round(t.theirs.median / t.floor, 1) for t in everything},
        },
        spread={t.name: max(t.ours.spread, t.theirs.spread) for t in everything}
        | {OVERHEAD: max(ours.spread, theirs.spread)},
        processor_ratios={t.name: round(t.processor_ratio, 3) for t in everything},
        goals=GOALS,
    )


if __name__ == "__main__":
    main()
