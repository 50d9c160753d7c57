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
from evaluators.errors import EvaluationError
from evaluators.lm_eval.harness import Harness, inspect_benchmarks
from evaluators.lm_eval.prompt_facts import Asked
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


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("end", ["</think>", "its number"])
def test_reasoning_is_cut_off_as_in_lm_eval(
    make_network: Callable[..., Any], tmp_path: Path, end: str, *, thinking: bool
) -> None:
    write_task(tmp_path, "words", EXAMPLES, **GENERATION)
    network, tokenizer = chat_model(make_network, "qwen3")
    marked = tokenizer.convert_tokens_to_ids("</think>") if end == "its number" else end
    chosen: dict[str, Any] = {
        "chat": Chat(thinking=thinking, think_end=marked),
        "generation": {"max_gen_toks": 9},
    }
    harness = Harness([benchmark(tmp_path, **chosen, filter="number")])
    (score,) = harness.evaluate(network, tokenizer, "search")
    model = {"enable_thinking": thinking, "think_end_token": marked}
    options: dict[str, Any] = {"apply_chat_template": True, "gen_kwargs": {"max_gen_toks": 9}}
    results = by_lm_eval(network, tokenizer, tmp_path, model=model, **options)
    assert score.metric == "exact_match,number"
    assert list(score.per_item) == [sample["exact_match"] for sample in samples(results, "number")]
    uncut = [benchmark(tmp_path, chat=Chat(thinking=thinking), generation={"max_gen_toks": 9})]
    prints = [
        one.item_sets("search", tokenizer=tokenizer)[0].fingerprint for one in (harness, Harness(uncut))
    ]
    assert prints[0] != prints[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["qwen3", "gemma"])
def test_answers_begin_as_they_are_told_to_as_in_lm_eval(
    make_network: Callable[..., Any], tmp_path: Path, family: str, kind: str
) -> None:
    config, metric, chosen = KINDS[kind]
    write_task(tmp_path / "ours", "words", EXAMPLES, **config, **SHOTS)
    write_task(tmp_path / "theirs", "words", EXAMPLES, **config, **SHOTS, gen_prefix="w5 w6")
    network, tokenizer = chat_model(make_network, family)
    chat = Chat(apply="on", gen_prefix="w5 w6")
    wanted = benchmark(tmp_path / "ours", f"{metric},{chosen}", num_fewshot=1, chat=chat)
    (score,) = Harness([wanted]).evaluate(network, tokenizer, "search")
    results = by_lm_eval(network, tokenizer, tmp_path / "theirs", num_fewshot=1, apply_chat_template=True)
    assert list(score.per_item) == [sample[metric] for sample in samples(results, chosen)]


VOTED: dict[str, Any] = {
    **GENERATION,
    "filter_list": [
        {"name": "first", "filter": [{"function": "take_first"}]},
        {"name": "vote", "filter": [{"function": "majority_vote"}, {"function": "take_first"}]},
    ],
}


def test_repeated_answers_are_read_by_a_filter_that_reads_them_all(
    make_network: Callable[..., Any], tmp_path: Path
) -> None:
    write_task(tmp_path, "words", EXAMPLES, **VOTED)
    drawn = {"temperature": 0.9, "repeats": 5}
    with pytest.raises(EvaluationError, match=r"first of 5 answers alone.*use one of: vote"):
        Harness([benchmark(tmp_path, generation=drawn)])
    with pytest.raises(EvaluationError, match="no filter 'votes'"):
        Harness([benchmark(tmp_path, filter="votes")])
    network, tokenizer = chat_model(make_network, "qwen3")
    harness = Harness([benchmark(tmp_path, generation=drawn, filter="vote")])
    once, again = (harness.evaluate(network, tokenizer, "search")[0] for _ in range(2))
    assert (once.metric, len(once.per_item)) == ("exact_match,vote", 24)
    assert once == again


PARTICULAR = (
    "{% for m in messages %}{% if 'w5' in m.content.split() %}{{ raise_exception('no w5 here') }}"
    "{% endif %}<|start|>{{ m.content }}{% endfor %}"
)


def test_a_template_that_refuses_a_single_item_is_told_before_any_weights(tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(24), **GENERATION)
    chat = Chat(template_text=PARTICULAR)
    (found,) = inspect_benchmarks(
        [benchmark(tmp_path, chat=chat)], Asked(("merged",), (chat_tokenizer("qwen3"),), (None,))
    )
    assert isinstance(found, EvaluationError)
    place = next(n for n, row in enumerate(rows(0, 24), 1) if "w5" in row["q"].split())
    assert f"item {place} of the search split: the chat template cannot be rendered" in found.detail
    assert "no w5 here" in found.detail
    whole = {**three_splits(24), "test": [*rows(200, 23), {"q": "w1"}]}
    lacking = {**GENERATION, "doc_to_text": "{{q}} {{a + 1}}"}
    write_task(tmp_path, "words", whole, **lacking)
    (found,) = inspect_benchmarks(
        [benchmark(tmp_path)], Asked(("merged",), (chat_tokenizer("qwen3"),), (None,))
    )
    assert isinstance(found, EvaluationError)
    assert "item 24 of the test split" in found.detail
