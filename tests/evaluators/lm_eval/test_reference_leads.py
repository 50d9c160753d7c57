"""By how much generated answers are right: the least lead of their references' tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaluators.inference.language_model import InMemoryModel
from evaluators.lm_eval.harness import Harness
from evaluators.lm_eval.reference_leads import LEAST, margins_by
from tests.evaluators.lm_eval.test_harness import benchmark
from tests.evaluators.task_writing import GENERATION, rows, write_task

TOKENS = 2
SETTINGS = {"until": ["w7"], "max_gen_toks": TOKENS, "do_sample": False}
TASK: dict[str, Any] = GENERATION | {
    "doc_to_target": "{{r}}",
    "generation_kwargs": SETTINGS,
    "filter_list": [],
}
del TASK["filter_list"]


def answers_of(network: Any, tokenizer: Any, prompts: list[str]) -> list[str]:
    plan = InMemoryModel(network, tokenizer).plan_generations([(prompt, SETTINGS) for prompt in prompts])
    return [text.strip() for text in plan.answers(network)]


def with_references(network: Any, tokenizer: Any) -> list[dict[str, Any]]:
    """Returns items; every other one's reference is what the network says, where that is two words."""
    items = rows(0, 24)
    said = answers_of(network, tokenizer, [item["q"] for item in items])
    return [
        item | {"r": text if place % 2 and len(text.split()) == TOKENS else "w3 w5"}
        for place, (item, text) in enumerate(zip(items, said, strict=True))
    ]


def dealt(items: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    others = [item | {"r": "w1"} for item in rows(100, 8)]
    return {"search": items, "selection": others[:4], "test": others[4:]}


def lead_by_hand(network: Any, tokenizer: Any, prompt: str, reference: str) -> float:
    tokens = tokenizer(f"{prompt} {reference}", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = network(tokens).logits[0].double()
    leads = []
    for place in range(tokens.shape[1] - TOKENS, tokens.shape[1]):
        before, token = logits[place - 1].clone(), int(tokens[0, place])
        wanted = float(before[token])
        before[token] = -torch.inf
        leads.append(wanted - float(before.max()))
    return min(leads)


def test_a_generated_answers_margin_is_the_least_lead_of_its_references_tokens(
    network: Any, tokenizer: Any, tmp_path: Path
) -> None:
    items = with_references(network, tokenizer)
    write_task(tmp_path, "words", dealt(items), **TASK)
    (score,) = Harness([benchmark(tmp_path)]).evaluate(network, tokenizer, "search")
    assert 0 < score.value < 1
    assert [margin > 0 for margin in score.margins] == [mark > 0 for mark in score.per_item]
    assert score.margins == tuple(float(np.float32(margin)) for margin in score.margins)
    by_hand = [lead_by_hand(network, tokenizer, item["q"], item["r"]) for item in items]
    assert score.margins == pytest.approx(by_hand, abs=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"doc_to_target": "{{ ' '.join([r] * 9) }}"},  # an answer so long is not expected word by word
        {"doc_to_target": ["{{r}}", "w1"]},  # several are right
        {"generation_kwargs": SETTINGS | {"do_sample": True, "temperature": 1.0}},
        {"metric_list": [{"metric": "chrf"}]},
    ],
)
def test_other_generated_answers_have_no_margins(
    network: Any, tokenizer: Any, tmp_path: Path, changes: dict[str, Any]
) -> None:
    items = with_references(network, tokenizer)
    write_task(tmp_path, "words", dealt(items), **(TASK | changes))
    (score,) = Harness([benchmark(tmp_path)]).evaluate(network, tokenizer, "search")
    assert score.margins == ()


def test_marks_decide_the_sign_and_too_many_contradictions_take_the_margins_away() -> None:
    leads = np.array([2.0, -1.0, 0.5, 3.0, -2.0, 1.0, 1.0, 1.0])
    marks = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]
    found = margins_by(leads, marks)
    assert found is not None
    assert found.tolist() == pytest.approx([2.0, LEAST, -LEAST, 3.0, -2.0, 1.0, 1.0, 1.0])
    assert margins_by(leads, [0.0] * 8) is None
    assert margins_by(leads, [0.5] * 8) is None
