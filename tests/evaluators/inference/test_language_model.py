"""Scores and texts equal those of lm-eval's own `HFLM` over the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from evaluators.errors import BadScoreError, EvaluationError
from evaluators.inference.language_model import InMemoryModel
from tests.tiny_models import ARCHITECTURES, WORDS, tiny_tokenizer

LONG = " ".join(Random(0).choices([f"w{n}" for n in range(28)], k=150))  # the tiny models read 64
PAIRS = [
    ("w1 w2 w3", " w4"),
    ("w1 w2 w3", " w5"),
    ("w1 w2 w3", " w5 w6"),
    ("w1 w2 w3", " w5 w6 w7 w8"),
    ("w9", " w9"),
    ("w9 ", "w9 w10"),
    ("", "w4"),
    ("", "<s> w4 w5"),
    ("<s> w1", " w2"),
    ("w1 w2\n\nw3", " w4"),
    (LONG, " w1 w2"),
    ("w1 w2", " " + " ".join(f"w{n % 28}" for n in range(60))),
]
TEXTS = ["w1", LONG, "", "w3 w4 w5", "<s> w3 w4", LONG + " " + LONG]


def requests(*arguments: tuple[Any, ...]) -> list[Any]:
    return [SimpleNamespace(args=args) for args in arguments]


def reference(network: Any, tokenizer: Any) -> HFLM:
    return HFLM(pretrained=network, tokenizer=tokenizer, batch_size=4)


def assert_same(found: Sequence[tuple[float, bool]], expected: Sequence[tuple[float, bool]]) -> None:
    np.testing.assert_allclose([one for one, _ in found], [one for one, _ in expected], atol=1e-4)
    assert [exact for _, exact in found] == [exact for _, exact in expected]


def with_begin_of_text() -> PreTrainedTokenizerFast:
    """Words again, but the tokenizer puts <s> before every text."""
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def of_pieces() -> PreTrainedTokenizerFast:
    """Byte pairs, so that the border between question and answer may fall inside a token."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    inner.train_from_iterator(
        ["w1 w2 w3 w4", "ww w1 w1"], trainers.BpeTrainer(vocab_size=len(WORDS), special_tokens=special)
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>")


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_log_likelihoods_equal_lm_evals(
    make_network: Callable[..., Any], tokenizer: Any, architecture: str
) -> None:
    network = make_network(1, architecture)
    plan = InMemoryModel(network, tokenizer, batch_size=5).plan_continuations(PAIRS)
    assert_same(
        plan.answers(network),
        reference(network, tokenizer).loglikelihood(requests(*PAIRS), disable_tqdm=True),
    )


def test_greedy_answers_are_recognized(network: Any, tokenizer: Any) -> None:
    with torch.no_grad():
        likeliest = network(torch.tensor([tokenizer("w1 w2")["input_ids"]])).logits[0, -1].argmax()
    pairs = [("w1 w2", f" {word}") for word in WORDS[4:]]
    answers = InMemoryModel(network, tokenizer).plan_continuations(pairs).answers(network)
    assert [exact for _, exact in answers] == [word == WORDS[likeliest] for word in WORDS[4:]]


@pytest.mark.parametrize(
    ("make_tokenizer", "pairs"),
    [
        (with_begin_of_text, [pair for pair in PAIRS if "<s>" not in pair[1]]),
        (of_pieces, [("w1 w2 w", "1"), ("w1 ", "w2"), ("", "w1 w2"), *PAIRS[:5]]),
    ],
)
def test_texts_are_cut_into_tokens_as_lm_eval_cuts_them(
    network: Any, make_tokenizer: Callable[[], PreTrainedTokenizerFast], pairs: list[tuple[str, str]]
) -> None:
    tokenizer = make_tokenizer()
    found = InMemoryModel(network, tokenizer).plan_continuations(pairs).answers(network)
    assert_same(found, reference(network, tokenizer).loglikelihood(requests(*pairs), disable_tqdm=True))


@pytest.mark.parametrize("make_tokenizer", [tiny_tokenizer, with_begin_of_text])
def test_log_likelihoods_of_whole_texts_equal_lm_evals(
    network: Any, make_tokenizer: Callable[[], PreTrainedTokenizerFast]
) -> None:
    tokenizer = make_tokenizer()
    found = InMemoryModel(network, tokenizer, batch_size=2).plan_texts(TEXTS).answers(network)
    whole = [(text,) for text in TEXTS if text]
    expected = reference(network, tokenizer).loglikelihood_rolling(requests(*whole), disable_tqdm=True)
    np.testing.assert_allclose(
        [one for one, text in zip(found, TEXTS, strict=True) if text], expected, rtol=1e-5
    )
    assert make_tokenizer is not tiny_tokenizer or found[TEXTS.index("")] == 0.0


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_generated_texts_equal_lm_evals(
    make_network: Callable[..., Any], tokenizer: Any, architecture: str
) -> None:
    network = make_network(3, architecture)
    wanted: list[dict[str, Any]] = [
        {"until": ["w3"], "max_gen_toks": 7, "do_sample": False, "temperature": 0.0},
        {"until": ["w5 w5", "w20"], "max_gen_toks": 9},
        {"until": "w8", "max_new_tokens": 5, "do_sample": False},
    ]
    contexts = [*(f"w{n} w{n * 3 % 28} w2" for n in range(10)), "w1", LONG]
    prompts = [(context, arguments) for arguments in wanted for context in contexts]
    texts = InMemoryModel(network, tokenizer, batch_size=4).plan_generations(prompts).answers(network)
    assert texts == reference(network, tokenizer).generate_until(requests(*prompts), disable_tqdm=True)
    assert len(set(texts)) > 5


def test_generation_ends_at_the_end_of_text(network: Any, tokenizer: Any) -> None:
    with torch.no_grad():
        network.lm_head.weight.zero_()
        network.lm_head.weight[2] += 1.0
        network.lm_head.weight[2] *= (
            network.model(torch.tensor([[5, 6]])).last_hidden_state[0, -1].sum().sign()
        )
    (text,) = (
        InMemoryModel(network, tokenizer).plan_generations([("w1 w2", {"max_gen_toks": 5})]).answers(network)
    )
    assert text == ""


def test_sampled_texts_are_a_function_of_the_weights(network: Any, tokenizer: Any) -> None:
    prompts = [(f"w{n}", {"do_sample": True, "temperature": 1.0, "max_gen_toks": 8}) for n in range(6)]
    plan = InMemoryModel(network, tokenizer).plan_generations(prompts)
    torch.manual_seed(5)
    first, afterwards = plan.answers(network), torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(afterwards, torch.rand(1))  # the caller's generator is left as it was
    assert plan.answers(network) == first


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_how_questions_are_batched_does_not_matter(network: Any, tokenizer: Any, batch_size: int) -> None:
    expected = InMemoryModel(network, tokenizer, batch_size=7).plan_continuations(PAIRS).answers(network)
    found = (
        InMemoryModel(network, tokenizer, batch_size=batch_size).plan_continuations(PAIRS).answers(network)
    )
    assert_same(found, expected)


def test_weights_overwritten_in_place_are_asked_anew(
    make_network: Callable[..., Any], tokenizer: Any
) -> None:
    network, other = make_network(0), make_network(1)
    plan = InMemoryModel(network, tokenizer).plan_continuations(PAIRS)
    before = plan.answers(network)
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            mine.copy_(theirs)
    after = plan.answers(network)
    assert_same(after, InMemoryModel(other, tokenizer).plan_continuations(PAIRS).answers(other))
    assert all(abs(one - two) > 1e-3 for (one, _), (two, _) in zip(before, after, strict=True))


def test_nan_weights_give_no_score(network: Any, tokenizer: Any) -> None:
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    model = InMemoryModel(network, tokenizer)
    with pytest.raises(BadScoreError, match="12 of 12 log-likelihoods are NaN"):
        model.plan_continuations(PAIRS).answers(network)
    with pytest.raises(BadScoreError, match="NaN"):
        model.plan_texts(["w1 w2"]).answers(network)
    for arguments in ({"max_gen_toks": 4}, {"max_gen_toks": 4, "do_sample": True, "temperature": 1.0}):
        with pytest.raises(BadScoreError, match="logits are NaN"):
            model.plan_generations([("w1", arguments)]).answers(network)


@pytest.mark.parametrize("pair", [("w1", ""), ("w1", " " + LONG)])
def test_an_answer_that_cannot_be_scored_is_refused(
    network: Any, tokenizer: Any, pair: tuple[str, str]
) -> None:
    with pytest.raises(EvaluationError, match="empty or overlong answers"):
        InMemoryModel(network, tokenizer).plan_continuations([pair])


def test_more_new_tokens_than_the_model_reads_are_refused(network: Any, tokenizer: Any) -> None:
    with pytest.raises(
        EvaluationError, match=r"256 new tokens, where the model reads 64.*lower max_gen_toks"
    ):
        InMemoryModel(network, tokenizer).plan_generations([("w1", {"until": ["w2"]})])


def test_dropout_is_off_while_a_model_is_scored(network: Any, tokenizer: Any) -> None:
    network.train()
    InMemoryModel(network, tokenizer)
    assert not network.training
