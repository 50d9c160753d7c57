"""A model in a local folder compares answers with references, both ways round, and each pair once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evaluators import Benchmark, BenchmarkFacts
from evaluators.composite_evaluator import CompositeEvaluator, inspect_all
from evaluators.errors import EvaluationError
from evaluators.judged_task import task_of
from evaluators.judges.local_judge import LocalJudge, Pair
from evaluators.lm_eval.answered_tasks import AnsweredTask
from evaluators.permissions import TASK_ROOTS
from tests.chat_tokenizers import chat_tokenizer
from tests.evaluators.judges.letters import teach_letters
from tests.evaluators.task_writing import CHOICE, GENERATION, three_splits, write_task
from tests.tiny_models import save_tiny_model

CPU = torch.device("cpu")
PAIRS = [Pair(f"w{n}", f"w{n + 1} w2", f"w{n + 3}") for n in range(6)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A judge of 1024 tokens whose words are all that it reads; verdicts are kept beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    place = save_tiny_model(tmp_path / "judge", 3, spread=6.0)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1024}))
    return teach_letters(place)


@pytest.fixture
def benchmark(folder: Path, tmp_path: Path) -> Benchmark:
    rows = [{"prompt": f"w{n % 28} w{n // 28}", "reference": f"w{n * 5 % 28}"} for n in range(40)]
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings: dict[str, Any] = {"file": str(file), "judge": str(folder), "new_tokens": 4}
    return Benchmark(name="preferred", kind="model_judge", **settings)


def by_hand(folder: Path, pair: Pair) -> float:
    """Returns the verdict from the network's own logits, one prompt at a time."""
    network, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    judge, shares = LocalJudge(folder, None), []
    for order in ((pair.answer, pair.reference), (pair.reference, pair.answer)):
        prompt = judge._prompt(pair.question, *order)
        logits = network(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1]
        letters = [tokenizer(f"{prompt} {letter}")["input_ids"][-1] for letter in "AB"]
        shares.append(float(logits[letters].softmax(-1)[0]))
    return (shares[0] + 1.0 - shares[1]) / 2


def test_a_verdict_is_the_judges_preference_over_both_orders(folder: Path) -> None:
    judge = LocalJudge(folder, None)
    with torch.inference_mode():
        found = judge.compare(PAIRS, device=CPU, batch_size=4)
        turned = [Pair(pair.question, pair.reference, pair.answer) for pair in PAIRS]
        other = judge.compare(turned, device=CPU, batch_size=64)
        same = judge.compare([Pair("w1", "w2", "w2")], device=CPU, batch_size=1)
        assert found == pytest.approx([by_hand(folder, pair) for pair in PAIRS], abs=1e-5)
    assert [one + another for one, another in zip(found, other, strict=True)] == pytest.approx([1.0] * 6)
    assert same == pytest.approx([0.5])
    assert len({round(one, 3) for one in found}) > 2


def test_the_same_answer_is_judged_once_by_workers_and_experiments(
    network: Any, tokenizer: Any, benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    compare = LocalJudge.compare

    def counting(judge: LocalJudge, pairs: Any, **options: Any) -> list[float]:
        asked.append(len(pairs))
        return compare(judge, pairs, **options)

    monkeypatch.setattr(LocalJudge, "compare", counting)
    first, second = (
        CompositeEvaluator([benchmark]).evaluate(network, tokenizer, "search")[0] for _ in range(2)
    )
    assert len(asked) == 1
    assert 0 < asked[0] <= len(first.per_item)
    assert first == second
    assert (first.metric, first.higher_is_better) == ("preferred", True)
    assert all(0.0 <= one <= 1.0 for one in first.per_item)
    stricter = benchmark.model_copy(update={"rubric": "The shorter answer is better."})
    CompositeEvaluator([stricter]).evaluate(network, tokenizer, "search")
    assert len(asked) == 2
    prints = [CompositeEvaluator([one]).item_sets("search")[0].fingerprint for one in (benchmark, stricter)]
    assert prints[0] != prints[1]


def with_task(benchmark: Benchmark, folder: Path, **changes: Any) -> Benchmark:
    write_task(folder, "written", three_splits(), **GENERATION)
    asked = {"file": None, "task": "written", "include_path": str(folder), **changes}
    return benchmark.model_copy(update=asked)


def test_answers_are_compared_with_a_parents(
    make_network: Any, tokenizer: Any, benchmark: Benchmark, tmp_path: Path
) -> None:
    plain = tmp_path / "prompts.txt"
    plain.write_text("\n".join(f"w{n % 28} w{n // 28} w3" for n in range(40)))
    against = {"parent": "left", "file": str(plain)}
    for asked in (benchmark.model_copy(update=against), with_task(benchmark, tmp_path, parent="left")):
        evaluator = CompositeEvaluator([asked])
        parent, model = make_network(0), make_network(1)
        assert evaluator.references("search") == ("left",)
        unknown = [evaluator.item_sets("search", tokenizer=tokenizer)[0].fingerprint for _ in range(2)]
        assert unknown[0] != unknown[1]
        with pytest.raises(EvaluationError, match="no answers of left"):
            evaluator.evaluate(model, tokenizer, "search")
        evaluator.refer("left", "search", parent, tokenizer)
        assert evaluator.references("search") == ()
        (own,), (other,) = (evaluator.evaluate(one, tokenizer, "search") for one in (parent, model))
        assert own.per_item == pytest.approx([0.5] * len(own.per_item))
        assert any(abs(one - 0.5) > 0.01 for one in other.per_item)
        assert own.item_set == evaluator.item_sets("search", tokenizer=tokenizer)[0].fingerprint
        (part,) = evaluator.evaluate(model, tokenizer, "search", ((1, 4, 7),))
        assert list(part.per_item) == pytest.approx([other.per_item[index] for index in (1, 4, 7)])


def test_answers_to_a_task_are_compared_with_its_own(
    network: Any, tokenizer: Any, benchmark: Benchmark, folder: Path, tmp_path: Path
) -> None:
    asked = with_task(benchmark, tmp_path)
    (facts,) = inspect_all([asked])
    assert isinstance(facts, BenchmarkFacts)
    assert (facts.metrics, facts.items["search"]) == (("preferred",), 12)
    (score,) = CompositeEvaluator([asked]).evaluate(network, tokenizer, "search")
    task = AnsweredTask(task_of(asked))
    given = task.answers(network, tokenizer, "search", range(12), batch_size=4)
    assert given[3].question == three_splits()["search"][3]["q"]
    assert given[3].reference == f"w{three_splits()['search'][3]['a']}"
    pairs = [Pair(one.question, one.answer, one.reference) for one in given]
    verdicts = LocalJudge(folder, None).compare(pairs, device=CPU, batch_size=4)
    assert list(score.per_item) == pytest.approx(verdicts)
    write_task(tmp_path, "chosen", three_splits(), **CHOICE)
    (refused,) = inspect_all([asked.model_copy(update={"task": "chosen"})])
    assert "does not have the model write" in str(refused)


def refusals(folder: Path, benchmark: Benchmark) -> Iterator[tuple[dict[str, Any], str]]:
    file = Path(str(benchmark.file))
    bare = file.with_name("bare.jsonl")
    bare.write_text('{"prompt": "w1"}\n')
    yield {"judge": str(folder / "none")}, "there is no folder"
    yield {"judge": str(folder.parent)}, "has no config.json"
    unable = save_tiny_model(folder.parent / "unable", 3)
    yield {"judge": str(unable)}, "the letters A and B are the same"
    yield {"file": str(bare)}, "'reference'"
    yield {"file": str(file.with_name("prompts.txt"))}, "reference"


def test_a_judge_that_cannot_be_asked_is_refused_before_weights_are_loaded(
    folder: Path, benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    for changes, said in refusals(folder, benchmark):
        (found,) = inspect_all([benchmark.model_copy(update=changes)])
        assert isinstance(found, EvaluationError)
        assert said in str(found)
    monkeypatch.setenv(TASK_ROOTS, str(Path(str(benchmark.file)).parent / "elsewhere"))
    (found,) = inspect_all([benchmark])
    assert isinstance(found, EvaluationError)


def test_what_the_judge_cannot_read_is_said(folder: Path) -> None:
    pair = Pair("w1 " * 1100, "w2", "w3")
    with pytest.raises(EvaluationError, match=r"reads 1024 tokens.*lower new_tokens"):
        LocalJudge(folder, None).compare([pair], device=CPU, batch_size=2)


def test_a_judge_is_spoken_to_by_its_own_chat_template_with_reasoning_off(folder: Path) -> None:
    chat_tokenizer("qwen3").save_pretrained(folder)
    teach_letters(folder)
    prompt = LocalJudge(folder, "Be strict.")._prompt("w1?", "w2", "w3")
    assert prompt.startswith("<|im_start|>user\nBe strict.\n\n# Question\nw1?\n\n# Answer A\nw2\n")
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
