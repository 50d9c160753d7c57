"""Sampled answers: of transformers' distribution, and the same whatever is asked beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from evaluators.errors import EvaluationError
from evaluators.inference.language_model import InMemoryModel
from evaluators.inference.token_draws import warpers_of

DRAWN: dict[str, Any] = {"do_sample": True, "temperature": 1.0, "max_gen_toks": 8}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.3, "top_k": 0, "top_p": 0.8},
    {"top_k": 5, "min_p": 0.1},
    {"top_k": 0, "typical_p": 0.7},
    {"epsilon_cutoff": 0.02, "eta_cutoff": 0.03},
]


def texts(
    network: Any, tokenizer: Any, asked: list[str], draws: list[int], *, batch_size: int = 64, **settings: Any
) -> list[str]:
    model = InMemoryModel(network, tokenizer, batch_size=batch_size)
    wanted = {**DRAWN, **settings}
    return model.plan_generations([(one, wanted) for one in asked], draws).answers(network)


@pytest.mark.parametrize("configured", [{}, {"temperature": 0.4, "top_k": 3, "top_p": 0.9}])
@pytest.mark.parametrize("options", OPTIONS)
def test_tokens_are_drawn_from_what_transformers_would_draw_from(
    make_network: Callable[..., Any], options: dict[str, Any], configured: dict[str, Any]
) -> None:
    network = make_network(2)
    network.generation_config = GenerationConfig(**configured)
    inputs: Any = torch.tensor([[3, 5, 7]])
    made = network.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        do_sample=True,
        max_new_tokens=1,
        output_scores=True,
        output_logits=True,
        return_dict_in_generate=True,
        pad_token_id=0,
        **options,
    )
    ours = warpers_of(network, options)(inputs, made.logits[0].float())
    torch.testing.assert_close(ours, made.scores[0])


@pytest.mark.parametrize("penalty", [1.0, 1.3])  # row by row, and by transformers' own `generate`
def test_a_prompts_draws_depend_on_nothing_that_is_asked_beside_it(
    network: Any, tokenizer: Any, penalty: float
) -> None:
    asked = [f"w{n} w{n * 3 % 28}" for n in range(7) for _ in range(4)]
    draws = [0, 1, 2, 3] * 7
    together = texts(network, tokenizer, asked, draws, repetition_penalty=penalty)
    assert len(set(together)) > 20
    for batch_size in (1, 5):
        others = texts(
            network, tokenizer, asked[::-1], draws[::-1], batch_size=batch_size, repetition_penalty=penalty
        )
        assert others[::-1] == together
    assert texts(network, tokenizer, [asked[9]], [draws[9]], repetition_penalty=penalty) == [together[9]]
    assert texts(network, tokenizer, asked, draws, repetition_penalty=penalty, seed=1) != together


def test_draws_are_as_frequent_as_they_are_likely(network: Any, tokenizer: Any) -> None:
    count = 4000
    found = Counter(texts(network, tokenizer, ["w1 w2"] * count, list(range(count)), max_gen_toks=1, top_k=6))
    inputs = torch.tensor([tokenizer("w1 w2")["input_ids"]])
    with torch.inference_mode():
        likely = network(inputs).logits[0, -1].topk(6)
    shares = likely.values.softmax(-1).tolist()
    expected = Counter[str]()
    for token, share in zip(likely.indices.tolist(), shares, strict=True):
        expected[str(tokenizer.decode([token], skip_special_tokens=True))] += count * share
    # Pearson's statistic has 5 degrees of freedom: beyond 20.5 lies one in a thousand.
    assert sum((found[text] - mean) ** 2 / mean for text, mean in expected.items()) < 20.5
    assert set(found) <= set(expected)


def test_beams_and_draws_are_refused_together(network: Any, tokenizer: Any) -> None:
    with pytest.raises(EvaluationError, match=r"4 beams are kept, and tokens are drawn.*num_beams: 1"):
        texts(network, tokenizer, ["w1"], [0], num_beams=4)
