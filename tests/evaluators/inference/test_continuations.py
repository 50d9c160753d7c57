from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from evaluators.inference.continuations import Continuation, ContinuationPlan, Limits

LIMITS = Limits(max_length=8, vocabulary=5, batch_size=4)


class Counting:
    """Always thinks that token n + 1 follows token n, and counts what it is made to read."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, input_ids: Tensor) -> SimpleNamespace:
        self.shapes.append(tuple(input_ids.shape))
        following = (input_ids + 1) % LIMITS.vocabulary
        return SimpleNamespace(logits=10.0 * torch.nn.functional.one_hot(following, LIMITS.vocabulary))

    __call__ = forward


def test_choices_of_one_token_share_a_single_row() -> None:
    network: Any = Counting()
    plan = ContinuationPlan([Continuation((1, 2), (token,)) for token in range(5)], limits=LIMITS)
    answers = plan.answers(network)
    assert network.shapes == [(1, 2)]
    assert [exact for _, exact in answers] == [False, False, False, True, False]


def test_answers_keep_the_order_of_the_questions() -> None:
    questions = [
        Continuation((0,), (1,)),
        Continuation((0, 1, 2, 3), (4, 0, 1)),
        Continuation((2,), (2,)),
        Continuation((3, 4), (0, 2)),
        Continuation((1, 1, 1), (2,)),
        Continuation((4,), (0,)),
    ]
    network: Any = Counting()
    answers = ContinuationPlan(questions, limits=LIMITS).answers(network)
    assert [exact for _, exact in answers] == [True, True, False, False, True, True]
    assert answers[0][0] > -0.01
    assert answers[2][0] < -9


def test_long_contexts_lose_their_beginning() -> None:
    network: Any = Counting()
    ContinuationPlan([Continuation(tuple([0] * 50), (1, 2))], limits=LIMITS).answers(network)
    assert network.shapes == [(1, 8)]


def test_large_vocabularies_get_smaller_batches() -> None:
    questions = [Continuation((token,), (1, 2, 3)) for token in range(4)]

    def batches(vocabulary: int) -> int:
        limits = Limits(max_length=8, vocabulary=vocabulary, batch_size=4)
        return len(ContinuationPlan(questions, limits=limits).batches)

    assert (batches(5), batches(40_000_000), batches(1_000_000_000)) == (1, 2, 4)


def test_no_questions_have_no_answers() -> None:
    network: Any = Counting()
    assert ContinuationPlan([], limits=LIMITS).answers(network) == []


def test_a_network_without_logits_to_keep_gives_the_same_scores(network: Any) -> None:
    class Plain:
        def forward(self, input_ids: Tensor) -> Any:
            return network(input_ids)

        __call__ = forward

    plain: Any = Plain()
    questions = [Continuation((5, 6, n), (7, n + 1)) for n in range(4, 20)]
    plan = ContinuationPlan(questions, limits=Limits(max_length=64, vocabulary=32, batch_size=3))
    for (one, _), (other, _) in zip(plan.answers(network), plan.answers(plain), strict=True):
        assert abs(one - other) < 1e-5
