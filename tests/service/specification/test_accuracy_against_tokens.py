"""The example of accuracy against tokens spent, over tiny models that write for a varying while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoModelForCausalLM

from evaluators.composite_evaluator import CompositeEvaluator
from evaluators.inference.generation import GenerationPlan
from service.specification.spec_check import check_spec
from tests.chat_tokenizers import chat_tokenizer
from tests.evaluators.task_writing import GENERATION, three_splits, write_task
from tests.tiny_models import save_tiny_model
from tests.workforces import inline_pool
from workers.pools.inline_pool import InlinePool

__all__ = ["inline_pool"]
EXAMPLE = Path(__file__).parents[3] / "examples" / "accuracy_against_tokens.yml"


def small(folder: Path) -> dict[str, Any]:
    """Returns the example over tiny models and a task of words, within a budget of 12 tokens."""
    spec: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    for seed, name in enumerate(("base", "brief", "long")):
        save_tiny_model(folder / name, seed, spread=4.0)
        chat_tokenizer("qwen3").save_pretrained(folder / name)
    write_task(folder / "tasks", "says", three_splits(24), **GENERATION)
    spec |= {"base": str(folder / "base"), "parents": [str(folder / "brief"), str(folder / "long")]}
    for objective in spec["objectives"]:
        objective |= {"task": "says", "allow_few_items": True, "max_items": 24}
    spec["objectives"][0]["filter"] = "number"
    spec["generation"] |= {"max_gen_toks": 12, "temperature": 1.5}
    # The tiny models do not reason: a word that they say often stands for its end.
    spec["chat"]["think_end"] = "w1"
    spec["space"]["layer_groups"] = 1
    return spec | {"tasks_path": str(folder / "tasks")}


def test_accuracy_and_tokens_are_objectives_of_one_answer_per_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline_pool: InlinePool
) -> None:
    checked = check_spec(small(tmp_path), inline_pool)
    accuracy, reasoning = checked.facts["objectives"]
    assert (accuracy["metric"], accuracy["higher_is_better"]) == ("exact_match,number", True)
    assert (reasoning["metric"], reasoning["higher_is_better"]) == ("reasoning_tokens,whole", False)
    answers: list[int] = []
    generate = GenerationPlan.generated

    def counting(plan: GenerationPlan, network: Any) -> Any:
        found = generate(plan, network)
        answers.append(len({id(one) for one in found}))
        return found

    monkeypatch.setattr(GenerationPlan, "generated", counting)
    evaluator = CompositeEvaluator(checked.spec.benchmarks)
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "long").eval()
    right, tokens = evaluator.evaluate(network, chat_tokenizer("qwen3"), "search")
    assert len(answers) == 1
    assert answers[0] <= 24  # and not one for each of the two
    assert len(right.per_item) == len(tokens.per_item) == 24
    assert 0.0 < tokens.value < 12.0
    assert len(set(tokens.per_item)) > 2
    assert tokens.fitness == -tokens.value
