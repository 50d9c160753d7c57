"""What is asked with a chat template scores as with `lm_eval --apply_chat_template`, item by item."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evaluators import Benchmark
from evaluators.chat import Chat
from evaluators.lm_eval.harness import Harness
from tests.chat_tokenizers import TEMPLATES, chat_tokenizer
from tests.evaluators.task_writing import CHOICE, GENERATION, rows, three_splits, write_task

EXAMPLES = {**three_splits(24), "train": rows(300, 8)}
SHOTS: dict[str, Any] = {"fewshot_split": "train", "training_split": "train"}
KINDS: dict[str, Any] = {
    "choice": (CHOICE, "acc", "none"),
    "generation": (GENERATION, "exact_match", "number"),
}
ARCHITECTURES = {"llama3": "llama", "qwen3": "qwen3", "gemma": "gemma"}


def benchmark(folder: Path, metric: str | None = None, **settings: Any) -> Benchmark:
    return Benchmark(name="words", task="words", include_path=str(folder), metric=metric, **settings)


def by_lm_eval(
    network: Any, tokenizer: Any, folder: Path, *, model: dict[str, Any] | None = None, **settings: Any
) -> Any:
    return lm_eval.simple_evaluate(
        HFLM(pretrained=network, tokenizer=tokenizer, batch_size=8, **(model or {})),
        tasks=["words"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        **settings,
    )


def chat_model(make_network: Callable[..., Any], family: str) -> tuple[Any, Any]:
    """Returns a network that ends its turns as its tokenizer does, and the tokenizer."""
    network, tokenizer = make_network(3, ARCHITECTURES[family]), chat_tokenizer(family)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    return network, tokenizer


def samples(results: Any, kind: str) -> list[Any]:
    found = sorted(results["samples"]["words"], key=lambda sample: sample["doc_id"])
    return [sample for sample in found if sample["filter"] == kind]


@pytest.mark.parametrize(
    ("family", "kind", "multiturn"),
    [
        *((f, k, True) for f in TEMPLATES for k in KINDS),
        ("qwen3", "choice", False),
        ("gemma", "generation", False),
    ],
)
def test_conversations_score_as_in_lm_eval(
    make_network: Callable[..., Any], tmp_path: Path, family: str, kind: str, *, multiturn: bool
) -> None:
    config, metric, chosen = KINDS[kind]
    write_task(tmp_path, "words", EXAMPLES, **config, **SHOTS)
    network, tokenizer = chat_model(make_network, family)
    chat = Chat(apply="on", fewshot_as_multiturn=multiturn)
    wanted = benchmark(tmp_path, f"{metric},{chosen}", num_fewshot=2, chat=chat)
    (score,) = Harness([wanted]).evaluate(network, tokenizer, "search")
    options: dict[str, Any] = {"num_fewshot": 2, "fewshot_as_multiturn": multiturn}
    results = by_lm_eval(network, tokenizer, tmp_path, apply_chat_template=True, **options)
    assert list(score.per_item) == [sample[metric] for sample in samples(results, chosen)]
    plain = by_lm_eval(network, tokenizer, tmp_path, **options)
    prompts = [samples(found, chosen)[0]["arguments"] for found in (results, plain)]
    assert prompts[0] != prompts[1]
