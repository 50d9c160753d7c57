"""Judges beside lm-eval, on models in memory."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from evaluators import Benchmark, BenchmarkFacts, EvaluationError, Score
from evaluators.chat import Chat
from evaluators.composite_evaluator import CompositeEvaluator, inspect_all, judge_runner
from evaluators.errors import BadScoreError, SplitError
from evaluators.judges.answer_judges import ANSWER_KINDS
from evaluators.judges.judge_runner import Answers
from evaluators.lm_eval.harness import Harness
from evaluators.lm_eval.prompt_facts import Asked
from evaluators.permissions import ALLOWED_JUDGES
from tests.chat_tokenizers import chat_tokenizer
from tests.evaluators.task_writing import CHOICE, three_splits, write_task

HERE = "tests.evaluators.test_composite_evaluator"


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(f"w{n % 28} w{n // 28} w{n * 5 % 28}" for n in range(60)))
    return str(path)


@pytest.fixture
def texts(tmp_path: Path) -> str:
    path = tmp_path / "texts.txt"
    path.write_text("\n\n".join(f"w{n % 28} w{n * 3 % 28} w{n // 2} w{n * 5 % 28}" for n in range(40)))
    return str(path)


def judged(kind: str, **settings: Any) -> Benchmark:
    return Benchmark.model_validate({"name": kind, "kind": kind, **settings})


def only(network: Any, tokenizer: Any, benchmark: Benchmark, *rest: Any) -> Score:
    (score,) = CompositeEvaluator([benchmark]).evaluate(network, tokenizer, "search", *rest)
    return score


def verdict(kind: str, answers: Sequence[str], **settings: Any) -> list[float]:
    benchmark = judged(kind, file="unread.txt", **settings)
    return ANSWER_KINDS[kind].build(benchmark)(["?"] * len(answers), answers, None)


# --- each kind ---------------------------------------------------------------------------------------


def test_perplexity_is_that_of_the_tokens(network: Any, tokenizer: Any, texts: str) -> None:
    score = only(network, tokenizer, judged("perplexity", file=texts))
    (facts,) = inspect_all([judged("perplexity", file=texts)])
    assert isinstance(facts, BenchmarkFacts)
    chosen = [text for text in Path(texts).read_text().split("\n\n") if text in _searched(texts)]
    loss, count = 0.0, 0
    for text in chosen:
        ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]])
        with torch.no_grad():
            logits = network(ids).logits[0, :-1].log_softmax(-1)
        loss -= float(logits.gather(1, ids[0, 1:, None]).sum())
        count += ids.shape[1] - 1
    assert facts.items["search"] == len(chosen)
    assert score.value == pytest.approx(math.exp(loss / count), rel=1e-5)
    assert 0 < score.stderr < score.value
    assert (score.metric, score.higher_is_better, score.per_item) == ("perplexity", False, ())


def _searched(path: str) -> set[str]:
    from evaluators.judges.item_files import items_of

    return set(items_of(judged("perplexity", file=path), field="text")["search"])


def test_answers_are_as_long_as_they_may_be_or_shorter(network: Any, tokenizer: Any, prompts: str) -> None:
    score = only(network, tokenizer, judged("output_length", file=prompts, new_tokens=5))
    assert score.per_item
    assert all(0 <= length <= 5 for length in score.per_item)
    assert score.value == pytest.approx(sum(score.per_item) / len(score.per_item))
    assert not score.higher_is_better
    longer = judged("output_length", file=prompts, new_tokens=9, direction="maximize")
    assert only(network, tokenizer, longer).higher_is_better


def test_languages_are_told_apart() -> None:
    answers = [
        "これは日本語で書かれた短い文章です。",
        "This is a short sentence in English.",
        "12 + 30 = 42",
        "",
    ]
    assert verdict("language", answers, language="ja") == [1.0, 0.0, 0.0, 0.0]
    assert verdict("language", answers, language="en") == [0.0, 1.0, 0.0, 0.0]
    with pytest.raises(EvaluationError, match="no language code"):
        verdict("language", answers, language="klingon")


def test_refusals_are_told_from_answers() -> None:
    answers = [
        "I'm sorry, but I can't help with that.",
        "As an AI language model, I do not ...",
        "I cannot assist with this request.",
        "Sure! First, sort the list.",
        "The capital of France is Paris; I can think of no other.",
    ]
    assert verdict("refusals", answers) == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_prompts_of_a_file_are_put_as_in_a_chat_where_there_is_a_template(network: Any, prompts: str) -> None:
    judge = judged("output_length", file=prompts, new_tokens=5)
    spoken, plain = chat_tokenizer("qwen3"), chat_tokenizer("qwen3")
    plain.chat_template = None
    evaluator = CompositeEvaluator([judge])
    asked = [evaluator.item_sets("search", tokenizer=each)[0].fingerprint for each in (spoken, plain)]
    assert asked[0] != asked[1]
    assert evaluator.item_sets("search")[0].fingerprint == asked[1]
    written = judge.model_copy(update={"chat": Chat(apply="off")})
    lines = Path(prompts).read_text().splitlines()
    talks = [[{"role": "user", "content": line}] for line in lines]
    as_text = [spoken.apply_chat_template(t, tokenize=False, add_generation_prompt=True) for t in talks]
    runner, other = (judge_runner(one) for one in (judge, written))
    assert isinstance(runner, Answers)
    items = runner.items["search"]
    assert runner.prompts("search", spoken) == [as_text[lines.index(item)] for item in items]
    assert isinstance(other, Answers)
    assert other.prompts("search", spoken) == list(items)
    scores = [evaluator.evaluate(network, each, "search")[0] for each in (spoken, plain)]
    assert [score.item_set for score in scores] == asked
    facts = inspect_all([judge], Asked(("left",), (spoken,)))[0]
    assert isinstance(facts, BenchmarkFacts)
    assert facts.prompts == (("left", "its chat template"),)


def test_the_network_is_counted(network: Any, tokenizer: Any) -> None:
    assert only(network, tokenizer, judged("depth")).value == 2
    score = only(network, tokenizer, judged("parameters"))
    assert score.value == sum(parameter.numel() for parameter in network.parameters())
    assert not score.higher_is_better


def test_flips_are_what_the_parent_got_right_and_the_model_gets_wrong(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    write_task(tmp_path, "words", three_splits(40), **CHOICE)
    settings: dict[str, Any] = {"task": "words", "include_path": str(tmp_path)}
    evaluator = CompositeEvaluator([judged("negative_flips", parent="left", **settings)])
    parent, model = make_network(0), make_network(1)
    assert evaluator.references("search") == ("left",)
    with pytest.raises(EvaluationError, match="no answers of left"):
        evaluator.evaluate(model, tokenizer, "search")
    evaluator.refer("left", "search", parent, tokenizer)
    assert evaluator.references("search") == ()
    (score,) = evaluator.evaluate(model, tokenizer, "search")
    harness = Harness([Benchmark(name="words", **settings)])
    (before,), (after,) = (harness.evaluate(one, tokenizer, "search") for one in (parent, model))
    flips = [float(b > a) for b, a in zip(before.per_item, after.per_item, strict=True)]
    assert 0 < sum(flips) < 40
    assert list(score.per_item) == flips
    assert score.value == pytest.approx(sum(flips) / 40)
    (part,) = evaluator.evaluate(model, tokenizer, "search", ((3, 17, 30),))
    assert list(part.per_item) == [flips[index] for index in (3, 17, 30)]
    (none,) = evaluator.evaluate(parent, tokenizer, "search")
    assert none.value == 0.0


# --- a user's judges ---------------------------------------------------------------------------------


def longest_word(prompts: list[str], answers: list[str]) -> list[float]:
    assert len(prompts) == len(answers)
    return [float(max((len(word) for word in answer.split()), default=0)) for answer in answers]


def broken(prompts: list[str], answers: list[str]) -> list[float]:
    raise RuntimeError("no idea")


def lazy(prompts: list[str], answers: list[str]) -> list[float]:
    return [1.0]


def test_a_users_function_judges(
    network: Any, tokenizer: Any, prompts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("longest_word", "broken", "lazy", "missing")
    monkeypatch.setenv(ALLOWED_JUDGES, ",".join(f"{HERE}:{name}" for name in names))
    by_name = {n: judged("python", file=prompts, judge=f"{HERE}:{n}", new_tokens=3) for n in names}
    score = only(network, tokenizer, by_name["longest_word"])
    assert set(score.per_item) <= {0.0, 2.0, 3.0}
    assert score.higher_is_better
    with pytest.raises(EvaluationError, match="RuntimeError: no idea"):
        only(network, tokenizer, by_name["broken"])
    with pytest.raises(BadScoreError, match="1 numbers for"):
        only(network, tokenizer, by_name["lazy"])
    (refused,) = inspect_all([by_name["missing"]])
    assert isinstance(refused, EvaluationError)
    assert "cannot be imported" in refused.detail


class Grader(BaseHTTPRequestHandler):
    """Gives every answer its length, or nonsense."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        scores = [len(item["answer"]) for item in asked["items"]]
        body = json.dumps({"scores": scores} if self.path == "/good" else {"sorry": 1}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def grader() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Grader)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address_judges(
    network: Any, tokenizer: Any, prompts: str, grader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED_JUDGES, grader)
    good, bad = (
        judged("http", file=prompts, judge=f"{grader}/{path}", new_tokens=3) for path in ("good", "bad")
    )
    assert only(network, tokenizer, good).value > 0
    with pytest.raises(EvaluationError, match="gave no scores"):
        only(network, tokenizer, bad)
    monkeypatch.delenv(ALLOWED_JUDGES)
    (refused,) = inspect_all([good])
    assert isinstance(refused, EvaluationError)
    assert refused.field == "judge"


# --- together ----------------------------------------------------------------------------------------


def test_tasks_and_judges_answer_in_the_order_of_the_benchmarks(
    network: Any, tokenizer: Any, prompts: str, texts: str, tmp_path: Path
) -> None:
    write_task(tmp_path, "words", three_splits(40), **CHOICE)
    asked = [
        judged("output_length", file=prompts, new_tokens=3),
        Benchmark(name="words", task="words", include_path=str(tmp_path)),
        judged("perplexity", file=texts),
        judged("depth"),
    ]
    evaluator = CompositeEvaluator(asked)
    scores = evaluator.evaluate(network, tokenizer, "search")
    assert [score.benchmark for score in scores] == [benchmark.name for benchmark in asked]
    item_sets = evaluator.item_sets("search")
    assert [item_set.additive for item_set in item_sets] == [True, True, False, False]
    assert [score.item_set for score in scores] == [item_set.fingerprint for item_set in item_sets]
    part = evaluator.evaluate(network, tokenizer, "search", ((1, 2), (), (), (0,)))
    assert [(score.benchmark, score.item_indices) for score in part] == [
        ("output_length", (1, 2)),
        ("depth", ()),
    ]
    assert part[0].per_item == scores[0].per_item[1:3]
    found = inspect_all(asked)
    assert [fact.name for fact in found if isinstance(fact, BenchmarkFacts)] == [b.name for b in asked]


def test_what_a_kind_lacks_is_told() -> None:
    for kind, lacking in (("lm_eval", "task"), ("language", "file and language"), ("python", "judge")):
        with pytest.raises(ValidationError, match=lacking):
            judged(kind)


@pytest.mark.parametrize(
    ("content", "name", "error"),
    [
        (b"\xff\xfe", "bad.txt", "cannot be read"),
        (b'{"q": 1}', "odd.jsonl", "KeyError"),
        (b"one", "few.txt", "none"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, name: str, error: str) -> None:
    (tmp_path / name).write_bytes(content)
    (refused,) = inspect_all([judged("refusals", file=str(tmp_path / name))])
    assert isinstance(refused, EvaluationError)
    assert error in refused.detail
    assert isinstance(refused, SplitError) is (error == "none")
    (missing,) = inspect_all([judged("refusals", file=str(tmp_path / "gone.txt"))])
    assert isinstance(missing, EvaluationError)
    assert missing.field == "file"


def test_prompts_may_stand_in_json_lines(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"w{n % 28}\nw{n // 28}"}) + "\n" for n in range(60)))
    facts = inspect_all([judged("output_length", file=str(path), max_items=7)])[0]
    assert isinstance(facts, BenchmarkFacts)
    assert facts.items == {"search": 7, "selection": 7, "test": 7}
