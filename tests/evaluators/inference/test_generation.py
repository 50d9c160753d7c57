"""Rows that come and go are continued as lm-eval's `HFLM` continues them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM

from evaluators.errors import EvaluationError, OutOfMemoryError
from evaluators.inference import decoding
from evaluators.inference.language_model import InMemoryModel
from evaluators.inference.prompts import GenerationSettings
from evaluators.inference.stop_texts import StopTexts
from tests.evaluators.inference.windows import wide
from tests.tiny_models import ARCHITECTURES, WORDS

Asked = list[tuple[str, dict[str, Any]]]


def prompts() -> Asked:
    """Prompts of many lengths, some after a common header, that end at different times."""
    rng = Random(0)
    header = " ".join(f"w{rng.randrange(28)}" for _ in range(24))
    asked: Asked = []
    for number in range(14):
        question = " ".join(f"w{rng.randrange(28)}" for _ in range(1 + number))
        text = f"{header} {question}" if number % 2 else question
        until = ["w3", "w5 w5", "w20"] if number % 3 else ["w8", "w1 "]
        asked.append((text, {"until": until, "max_gen_toks": 3 + 3 * (number % 4), "do_sample": False}))
    return asked


def expected(network: Any, tokenizer: Any, asked: Asked) -> list[str]:
    lm = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=4)
    return list(lm.generate_until([SimpleNamespace(args=one) for one in asked], disable_tqdm=True))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_greedy_texts_equal_lm_evals(
    make_network: Callable[..., Any], tokenizer: Any, architecture: str
) -> None:
    network = make_network(3, architecture)
    if architecture in {"gemma2", "gemma3"}:
        network = wide(network)
    plan = InMemoryModel(network, tokenizer, batch_size=3).plan_generations(prompts())
    assert plan.why_static is None
    found = plan.answers(network)
    assert found == expected(network, tokenizer, prompts())
    assert len(set(found)) > 7


def test_texts_beyond_a_sliding_window_are_generated_batch_by_batch(
    make_network: Callable[..., Any], tokenizer: Any
) -> None:
    network = make_network(3, "gemma2")
    plan = InMemoryModel(network, tokenizer, batch_size=3).plan_generations(prompts())
    assert plan.why_static is not None
    assert "sliding window of 8" in plan.why_static
    assert plan.answers(network) == expected(network, tokenizer, prompts())


@pytest.mark.parametrize("slots", [1, 2, 5, 64])
def test_how_many_rows_are_continued_at_once_does_not_matter(
    network: Any, tokenizer: Any, slots: int
) -> None:
    wanted = InMemoryModel(network, tokenizer, batch_size=4).plan_generations(prompts()).answers(network)
    model = InMemoryModel(network, tokenizer, batch_size=slots)
    assert model.plan_generations(prompts()).answers(network) == wanted


def test_a_row_that_ends_makes_room_at_once(
    network: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        (f"w{n} w{n * 5 % 28}", {"max_gen_toks": 2 if n % 4 else 20, "do_sample": False}) for n in range(12)
    ]
    steps, step = [], decoding._Run._step

    def counted(run: Any) -> None:
        steps.append(len(run._rows))
        step(run)

    monkeypatch.setattr(decoding._Run, "_step", counted)
    found = InMemoryModel(network, tokenizer, batch_size=4).plan_generations(asked).generated(network)
    lengths = [one.tokens for one in found]
    assert sorted(lengths)[8] <= 2 < sorted(lengths)[9]
    assert len(steps) < sum(max(lengths[start : start + 4]) - 1 for start in (0, 4, 8))
    assert max(steps) == 4


def test_answers_that_were_cut_off_are_marked(network: Any, tokenizer: Any) -> None:
    asked: Asked = [("w1 w2", {"max_gen_toks": 6}), ("w1 w2", {"max_gen_toks": 5})]
    (longer, shorter) = InMemoryModel(network, tokenizer).plan_generations(asked).generated(network)
    assert (longer.tokens, longer.truncated, shorter.tokens, shorter.truncated) == (6, True, 5, True)
    last = longer.text.split()[-1]
    asked = [("w1 w2", {"max_gen_toks": 6, "until": [last]})]
    (ended,) = InMemoryModel(network, tokenizer).plan_generations(asked).generated(network)
    assert (ended.text, ended.truncated) == (longer.text.split(last)[0], False)


def test_a_prompt_that_is_asked_twice_is_answered_once(network: Any, tokenizer: Any) -> None:
    settings = {"max_gen_toks": 5}
    plan = InMemoryModel(network, tokenizer).plan_generations([("w1 w2", settings)] * 3 + [("w4", settings)])
    found = plan.generated(network)
    assert found[0] is found[1] is found[2]
    assert found[3] is not found[0]


def test_sampling_and_penalties_are_left_to_transformers(
    make_network: Callable[..., Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(3)
    plain = InMemoryModel(network, tokenizer).plan_generations(prompts()).answers(network)
    network.generation_config.repetition_penalty = 5.0

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("decoded as if nothing altered the likeliest token")

    monkeypatch.setattr(decoding.Decoder, "run", never)
    found = InMemoryModel(network, tokenizer, batch_size=4).plan_generations(prompts()).answers(network)
    assert found == expected(network, tokenizer, prompts())
    assert found != plain


def test_slots_that_do_not_fit_are_halved_for_good(
    network: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = InMemoryModel(network, tokenizer, batch_size=8).plan_generations(prompts())
    wanted, run, tried = plan.answers(network), decoding.Decoder.run, []

    def small_memory(decoder: Any, network: Any, slots: int) -> Any:
        tried.append(slots)
        if slots > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return run(decoder, network, slots)

    monkeypatch.setattr(decoding.Decoder, "run", small_memory)
    most = 2
    assert plan.answers(network) == wanted
    assert plan.answers(network) == wanted
    assert tried == [8, 4, 2, 2]
    most = 0
    with pytest.raises(OutOfMemoryError, match="one row alone does not fit"):
        plan.answers(network)


def test_prompts_that_do_not_fit_are_told(network: Any, tokenizer: Any) -> None:
    long = " ".join(["w1"] * 70)
    plan = InMemoryModel(network, tokenizer).plan_generations(
        [("w1", {"max_gen_toks": 4}), (long, {"max_gen_toks": 4})]
    )
    assert plan.lost == (0, 10)
    with pytest.raises(EvaluationError, match="a prompt without tokens"):
        InMemoryModel(network, tokenizer).plan_generations([("", {"max_gen_toks": 4})])


@pytest.mark.parametrize(
    ("stop", "words", "complete"),
    [
        ("w5 w5", "w1 w5 w5", True),
        ("w5 w5", "w5 w1 w5", False),
        ("w5 ", "w5 w6", True),  # the space comes with the next word
        ("w6", "w5 w6", True),
        ("</s>", "w5 </s>", True),
    ],
)
def test_a_stop_text_is_seen_when_it_is_complete(
    tokenizer: Any, stop: str, words: str, complete: bool
) -> None:
    tokens = tokenizer(words)["input_ids"]
    assert StopTexts(tokenizer, GenerationSettings((stop,))).complete(tokens) is complete
    assert StopTexts(tokenizer, GenerationSettings(())).complete(tokens) is False


def test_only_tokens_that_may_end_a_stop_text_are_decoded(tokenizer: Any) -> None:
    class Watched:
        """The tokenizer, counting how often it decodes."""

        decoded = 0

        def __len__(self) -> int:
            return len(tokenizer)

        def decode(self, tokens: list[int]) -> str:
            self.decoded += 1
            return str(tokenizer.decode(tokens))

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

    watched: Any = Watched()
    stops = StopTexts(watched, GenerationSettings(("w7",)))
    found = [stops.complete([number]) for number in range(len(WORDS))]
    assert [WORDS[number] for number, complete in enumerate(found) if complete] == ["w7"]
    assert watched.decoded == sum("7" in word for word in WORDS)
