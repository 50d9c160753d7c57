"""The harness gives what `lm_eval.simple_evaluate` gives, item by item, without building anything twice."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import PreTrainedTokenizerFast

from evaluators import Benchmark, ItemShares, Score
from evaluators.conditions import Conditions
from evaluators.errors import BadScoreError, EvaluationError, SplitError, UnknownTaskError
from evaluators.lm_eval.harness import Harness
from evaluators.scores import united_score
from tests.evaluators.task_writing import CHOICE, GENERATION, ROLLING, rows, three_splits, write_task


class CountingTokenizer(PreTrainedTokenizerFast):
    """Counts how often it is used."""

    calls = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        return super().__call__(*arguments, **options)


def counting(tokenizer: Any) -> CountingTokenizer:
    return CountingTokenizer(  # type: ignore[no-untyped-call]  # transformers gives it no types
        tokenizer_object=tokenizer.backend_tokenizer, pad_token="<pad>", eos_token="</s>"
    )


def benchmark(folder: Path, task: str = "words", **settings: Any) -> Benchmark:
    return Benchmark(name=f"my {task}", task=task, include_path=str(folder), **settings)


def expected(network: Any, tokenizer: Any, folder: Path, task: str = "words", **settings: Any) -> Any:
    return lm_eval.simple_evaluate(
        HFLM(pretrained=network, tokenizer=tokenizer, batch_size=8),
        tasks=[task],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=settings.pop("bootstrap_iters", 0),
        **settings,
    )


def per_item(results: Any, metric: str, kind: str = "none", task: str = "words") -> list[float]:
    samples = sorted(results["samples"][task], key=lambda sample: sample["doc_id"])
    return [sample[metric] for sample in samples if sample["filter"] == kind]


def overwrite(network: Any, other: Any) -> None:
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            mine.copy_(theirs)


# --- the same as lm-eval -----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_multiple_choice_equals_lm_eval(network: Any, tokenizer: Any, tmp_path: Path, metric: str) -> None:
    write_task(tmp_path, "words", three_splits(40), **CHOICE)
    (score,) = Harness([benchmark(tmp_path, metric=metric)]).evaluate(network, tokenizer, "search")
    results = expected(network, tokenizer, tmp_path, bootstrap_iters=1)
    assert list(score.per_item) == per_item(results, metric)
    assert score.value == pytest.approx(results["results"]["words"][f"{metric},none"])
    assert score.stderr == pytest.approx(results["results"]["words"][f"{metric}_stderr,none"])
    assert (score.benchmark, score.metric, score.higher_is_better) == ("my words", f"{metric},none", True)
    assert 0 < score.value < 1


UNEVEN: dict[str, Any] = {
    **CHOICE,
    "doc_to_choice": "{{ ['w1', 'w22 w3 w10', 'w3 w4', 'w4 \u00e9\u00e9', 'w5'][: 2 + a] }}",
    "metric_list": [
        {"metric": name, "aggregation": "mean", "higher_is_better": True}
        for name in ("acc", "acc_norm", "acc_bytes", "exact_match")
    ],
}
RIGHT = {"one": "{{a}}", "a list": "{{ [0, a] }}", "a text": "{{ ['w1', 'w22 w3 w10', 'w4'][a % 3] }}"}


@pytest.mark.parametrize("right", RIGHT)
def test_marks_of_uneven_choices_equal_lm_evals_for_every_candidate(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path, right: str
) -> None:
    write_task(tmp_path, "words", three_splits(40), **{**UNEVEN, "doc_to_target": RIGHT[right]})
    metrics = [wanted["metric"] for wanted in UNEVEN["metric_list"]]
    chosen = [benchmark(tmp_path, metric=metric) for metric in metrics]
    harness, seen = Harness(chosen), set()
    for network in map(make_network, (0, 1)):
        results = expected(network, tokenizer, tmp_path)
        scores = harness.evaluate(network, tokenizer, "search")
        for metric, score in zip(metrics, scores, strict=True):
            assert list(score.per_item) == per_item(results, metric)
        seen.add(tuple(score.value for score in scores))
        some = harness.evaluate(network, tokenizer, "search", ((1, 5, 30), (2,), (), (39,)))
        indices = [score.item_indices for score in some]
        assert indices == [(1, 5, 30), (2,), (39,)]
        for score, whole in zip(some, (scores[0], scores[1], scores[3]), strict=True):
            assert score.per_item == tuple(whole.per_item[index] for index in score.item_indices)
    assert len(seen) == 2


OWN_CODE = """
def results(doc, results):
    return {"acc": float(len(doc["q"])), "acc_norm": -1.0}

calls = []

def target(doc):
    calls.append(doc)
    return len(calls) % 4
"""


@pytest.mark.parametrize("own", ["process_results", "doc_to_target"])
def test_a_tasks_own_code_marks_each_candidate(
    network: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("EVOMERGE_ALLOW_TASK_CODE", "1")
    write_task(tmp_path, "words", three_splits(10), **CHOICE)
    (tmp_path / "code.py").write_text(OWN_CODE)
    task = (tmp_path / "words.yaml").read_text()
    kept = [line for line in task.splitlines() if not line.startswith(f"{own}:")]
    called = "results" if own == "process_results" else "target"
    (tmp_path / "words.yaml").write_text("\n".join([*kept, f"{own}: !function code.{called}", ""]))
    harness = Harness([benchmark(tmp_path)])
    first, second, third = (harness.evaluate(network, tokenizer, "search")[0].per_item for _ in range(3))
    if own == "process_results":
        assert first == second == tuple(float(len(row["q"])) for row in rows(0, 10))
    else:  # whose answers move on from candidate to candidate
        assert len({first, second, third}) > 1


def test_few_shot_prompts_equal_lm_evals(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    write_task(
        tmp_path, "words", {**three_splits(40), "train": rows(300, 20)}, fewshot_split="train", **CHOICE
    )
    (score,) = Harness([benchmark(tmp_path, num_fewshot=2)]).evaluate(network, tokenizer, "search")
    results = expected(network, tokenizer, tmp_path, num_fewshot=2)
    assert list(score.per_item) == per_item(results, "acc")
    (bare,) = Harness([benchmark(tmp_path)]).evaluate(network, tokenizer, "search")
    assert bare.per_item != score.per_item


@pytest.mark.parametrize("kind", ["whole", "number"])
def test_generation_equals_lm_eval_under_every_filter(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path, kind: str
) -> None:
    network = make_network(3)
    write_task(tmp_path, "words", three_splits(40), **GENERATION)
    chosen = benchmark(tmp_path, metric=f"exact_match,{kind}")
    (score,) = Harness([chosen]).evaluate(network, tokenizer, "search")
    results = expected(network, tokenizer, tmp_path)
    assert list(score.per_item) == per_item(results, "exact_match", kind)
    assert kind == "whole" or score.value > 0


@pytest.mark.parametrize("metric", ["word_perplexity", "bits_per_byte"])
def test_perplexity_equals_lm_eval(network: Any, tokenizer: Any, tmp_path: Path, metric: str) -> None:
    write_task(tmp_path, "words", three_splits(), **ROLLING)
    (score,) = Harness([benchmark(tmp_path, metric=metric)]).evaluate(network, tokenizer, "search")
    results = expected(network, tokenizer, tmp_path)["results"]["words"]
    assert score.value == pytest.approx(results[f"{metric},none"], rel=1e-4)
    assert not score.higher_is_better
    assert score.per_item == ()  # its items are pairs of log-likelihood and length
    assert 0 < score.stderr < score.value


def test_a_group_equals_lm_eval(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    for name, count in (("one", 8), ("two", 24)):
        write_task(tmp_path, name, three_splits(count), **CHOICE)
    for name, by_size in (("pooled", "true"), ("even", "false")):
        metrics = f"[{{metric: acc, weight_by_size: {by_size}}}]"
        (tmp_path / f"{name}.yaml").write_text(
            f"group: {name}\ntask: [one, two]\naggregate_metric_list: {metrics}\n"
        )
        (score,) = Harness([benchmark(tmp_path, name)]).evaluate(network, tokenizer, "search")
        results = expected(network, tokenizer, tmp_path, name, bootstrap_iters=1)["results"][name]
        assert score.value == pytest.approx(results["acc,none"])
        assert score.stderr == pytest.approx(results["acc_stderr,none"])
        assert len(score.per_item) == 32


def test_an_aggregation_that_is_no_mean_gets_a_repeatable_error(
    network: Any, tokenizer: Any, tmp_path: Path
) -> None:
    metrics = [{"metric": "mcc", "aggregation": "matthews_corrcoef", "higher_is_better": True}]
    write_task(tmp_path, "words", three_splits(60), **{**CHOICE, "metric_list": metrics})
    harness = Harness([benchmark(tmp_path)])
    (first,), (again,) = (harness.evaluate(network, tokenizer, "search") for _ in range(2))
    assert first == again
    assert first.value == pytest.approx(
        expected(network, tokenizer, tmp_path)["results"]["words"]["mcc,none"]
    )
    assert 0.03 < first.stderr < 0.3
    assert first.per_item == ()


# --- items -------------------------------------------------------------------------------------------


def test_the_items_of_a_mean_average_to_the_score(network: Any, tokenizer: Any, word_task: Path) -> None:
    for split in ("search", "selection", "test"):
        (score,) = Harness([benchmark(word_task)]).evaluate(network, tokenizer, split)
        assert len(score.per_item) == 12
        assert statistics.fmean(score.per_item) == pytest.approx(score.value)
        assert score.stderr == pytest.approx(statistics.stdev(score.per_item) / 12**0.5)


def test_one_item_has_no_error(network: Any, tokenizer: Any, word_task: Path) -> None:
    (score,) = Harness([benchmark(word_task, max_items=1)]).evaluate(network, tokenizer, "test")
    assert (len(score.per_item), score.stderr) == (1, 0.0)


def test_shares_together_are_the_whole_whatever_the_order(
    network: Any, tokenizer: Any, tmp_path: Path
) -> None:
    items = rows(0, 120)
    write_task(tmp_path, "words", {"test": items}, **CHOICE)
    write_task(tmp_path, "sdrow", {"test": items[::-1]}, **CHOICE)
    harness = Harness(
        [benchmark(tmp_path, task, splits=ItemShares(seed=1, stratify=False)) for task in ("words", "sdrow")]
    )
    whole: list[float] = []
    for split in ("search", "selection", "test"):
        forwards, backwards = harness.evaluate(network, tokenizer, split)
        assert forwards.per_item == backwards.per_item[::-1]
        whole += forwards.per_item
    assert sorted(whole) == sorted(per_item(expected(network, tokenizer, tmp_path), "acc"))


def test_benchmarks_of_every_kind_are_scored_together_in_order(
    network: Any, tokenizer: Any, tmp_path: Path
) -> None:
    for task, config in (("texts", ROLLING), ("words", CHOICE), ("spoken", GENERATION)):
        write_task(tmp_path, task, three_splits(), **config)
    chosen = [benchmark(tmp_path, task) for task in ("spoken", "texts", "words")]
    together = Harness(chosen, batch_size=5).evaluate(network, tokenizer, "selection")
    assert [score.benchmark for score in together] == ["my spoken", "my texts", "my words"]
    for one, score in zip(chosen, together, strict=True):
        (alone,) = Harness([one]).evaluate(network, tokenizer, "selection")
        assert alone.per_item == score.per_item
        assert alone.value == pytest.approx(score.value, rel=1e-5)


# --- many candidates ---------------------------------------------------------------------------------


def test_texts_are_cut_into_tokens_once_per_tokenizer_and_split(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    for task, config in (("texts", ROLLING), ("words", CHOICE), ("spoken", GENERATION)):
        write_task(tmp_path, task, three_splits(), **config)
    harness = Harness([benchmark(tmp_path, task) for task in ("spoken", "texts", "words")])
    one, other = counting(tokenizer), counting(tokenizer)
    harness.evaluate(make_network(0), one, "search")
    used = one.calls
    assert used > 0
    for seed in (1, 2):
        harness.evaluate(make_network(seed), one, "search")
    assert one.calls == used
    harness.evaluate(make_network(1), one, "test")
    assert one.calls > used
    harness.evaluate(make_network(1), other, "search")
    assert other.calls > 0


def test_tasks_and_data_are_read_by_the_constructor_alone(
    network: Any, tokenizer: Any, tmp_path: Path
) -> None:
    write_task(tmp_path, "words", three_splits(), **CHOICE)
    harness = Harness([benchmark(tmp_path)])
    for file in tmp_path.iterdir():
        file.unlink()
    for split in ("search", "selection", "test"):
        harness.evaluate(network, tokenizer, split)


def test_a_candidate_never_gets_its_predecessors_answers(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    for task, config in (("texts", ROLLING), ("words", CHOICE), ("spoken", GENERATION)):
        write_task(tmp_path, task, three_splits(), **config)
    chosen = [benchmark(tmp_path, task) for task in ("texts", "words", "spoken")]
    harness, live = Harness(chosen), make_network(0)

    def fresh(seed: int) -> tuple[Score, ...]:
        return Harness(chosen).evaluate(make_network(seed), tokenizer, "search")

    assert harness.evaluate(live, tokenizer, "search") == fresh(0)
    overwrite(live, make_network(1))
    assert harness.evaluate(live, tokenizer, "search") == fresh(1) != fresh(0)
    overwrite(live, make_network(0))
    assert harness.evaluate(live, tokenizer, "search") == fresh(0)


def test_nan_weights_are_a_bad_score_and_harm_no_later_candidate(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    for task, config in (("texts", ROLLING), ("words", CHOICE), ("spoken", GENERATION)):
        write_task(tmp_path, task, three_splits(), **config)
    for task in ("texts", "words", "spoken"):
        harness, live = Harness([benchmark(tmp_path, task)]), make_network(0)
        before = harness.evaluate(live, tokenizer, "search")
        with torch.no_grad():
            live.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
        with pytest.raises(BadScoreError, match="NaN"):
            harness.evaluate(live, tokenizer, "search")
        overwrite(live, make_network(0))
        assert harness.evaluate(live, tokenizer, "search") == before


def test_an_infinite_perplexity_is_a_bad_score(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    write_task(tmp_path, "texts", three_splits(), **ROLLING)
    with torch.no_grad():
        network.lm_head.weight.mul_(1e30)
    with pytest.raises(BadScoreError, match="texts scored inf"):
        Harness([benchmark(tmp_path, "texts")]).evaluate(network, tokenizer, "search")


def test_the_first_bad_benchmark_stops_the_constructor(word_task: Path) -> None:
    with pytest.raises(UnknownTaskError, match="did you mean words"):
        Harness([benchmark(word_task), benchmark(word_task, "wordz")])
    with pytest.raises(SplitError, match="would come from split 'search'"):
        Harness([benchmark(word_task, num_fewshot=1)])


def test_a_task_that_the_model_cannot_answer_says_so(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    config = {**GENERATION, "generation_kwargs": {"until": ["w7"], "max_gen_toks": 64}}
    write_task(tmp_path, "spoken", three_splits(), **config)
    with pytest.raises(EvaluationError, match="lower max_gen_toks"):
        Harness([benchmark(tmp_path, "spoken")]).evaluate(network, tokenizer, "search")


def test_some_items_are_answered_as_among_all(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    write_task(tmp_path, "words", three_splits(40), **CHOICE)
    write_task(tmp_path, "says", three_splits(40), **GENERATION)
    for name, count in (("one", 8), ("two", 24)):
        write_task(tmp_path, name, three_splits(count), **CHOICE)
    (tmp_path / "both.yaml").write_text(
        "group: both\ntask: [one, two]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]\n"
    )
    harness = Harness([benchmark(tmp_path, task) for task in ("words", "says", "both")])
    whole = harness.evaluate(network, tokenizer, "search")
    wanted = ((1, 5, 39), (0, 2), (3, 8, 31))
    part = harness.evaluate(network, tokenizer, "search", wanted)
    for score, full, indices in zip(part, whole, wanted, strict=True):
        assert score.item_indices == indices
        assert score.per_item == tuple(full.per_item[index] for index in indices)
        assert score.value == pytest.approx(sum(score.per_item) / len(indices))
        assert score.item_set == full.item_set
    (last,) = harness.evaluate(network, tokenizer, "search", ((), (), (9,)))
    assert last.per_item == (whole[2].per_item[9],)
    assert [item_set.size for item_set in harness.item_sets("search")] == [40, 40, 32]
    assert all(item_set.additive for item_set in harness.item_sets("search"))
    for wrong in (((40,), (), ()), ((2, 1), (), ()), ((1,),)):
        with pytest.raises(EvaluationError, match="items"):
            harness.evaluate(network, tokenizer, "search", wrong)


def test_the_tokens_of_some_items_are_cut_once(network: Any, tokenizer: Any, word_task: Path) -> None:
    harness, counted = Harness([benchmark(word_task)]), counting(tokenizer)
    for _ in range(3):
        for items in (((0, 1, 2),), ((3, 4),), None):
            harness.evaluate(network, counted, "search", items)
    once = counted.calls
    harness.evaluate(network, counted, "search", ((0, 1, 2),))
    assert counted.calls == once


def test_an_item_sets_fingerprint_names_items_prompts_and_decoding(tmp_path: Path) -> None:
    write_task(
        tmp_path, "words", {**three_splits(12), "train": rows(300, 20)}, fewshot_split="train", **CHOICE
    )
    longer = {**GENERATION, "generation_kwargs": {**GENERATION["generation_kwargs"], "max_gen_toks": 7}}
    for name, config in (("says", GENERATION), ("talks", longer)):
        write_task(tmp_path, name, three_splits(12), **config)
    asked = [
        benchmark(tmp_path),
        benchmark(tmp_path, num_fewshot=1),
        benchmark(tmp_path, "says"),
        benchmark(tmp_path, "talks"),
    ]
    found = [item_set.fingerprint for item_set in Harness(asked).item_sets("search")]
    assert len(set(found)) == 4
    assert found == [item_set.fingerprint for item_set in Harness(asked).item_sets("search")]
    assert found[0] != Harness(asked[:1]).item_sets("test")[0].fingerprint


def test_only_means_are_put_together_from_parts(tmp_path: Path) -> None:
    write_task(tmp_path, "texts", three_splits(), **ROLLING)
    for name, count in (("one", 8), ("two", 24)):
        write_task(tmp_path, name, three_splits(count), **CHOICE)
    (tmp_path / "even.yaml").write_text(
        "group: even\ntask: [one, two]\naggregate_metric_list: [{metric: acc, weight_by_size: false}]\n"
    )
    harness = Harness([benchmark(tmp_path, task) for task in ("texts", "even", "one")])
    assert [item_set.additive for item_set in harness.item_sets("search")] == [False, False, True]


# --- conditions and notes ----------------------------------------------------------------------------


def test_other_conditions_move_what_they_can(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    write_task(
        tmp_path, "words", {**three_splits(40), "train": rows(300, 20)}, fewshot_split="train", **CHOICE
    )
    write_task(tmp_path, "says", three_splits(40), **GENERATION)
    shots, bare, says = (
        benchmark(tmp_path, num_fewshot=2),
        benchmark(tmp_path),
        benchmark(tmp_path, "says", metric="exact_match,number"),
    )
    harness = Harness([shots, bare, says])
    other, longer = Conditions(seed=1), Conditions(length=2.0)
    assert [item_set.moved for item_set in harness.item_sets("search")] == [False, False, False]
    assert [item_set.moved for item_set in harness.item_sets("search", other)] == [True, False, False]
    assert [item_set.moved for item_set in harness.item_sets("search", longer)] == [False, False, True]
    plain = harness.evaluate(network, tokenizer, "search")
    moved = harness.evaluate(network, tokenizer, "search", conditions=other)
    assert [a.per_item == b.per_item for a, b in zip(plain, moved, strict=True)] == [False, True, True]
    assert plain == harness.evaluate(network, tokenizer, "search")  # the standard ones are untouched


def test_answers_that_ran_out_of_room_or_held_nothing_are_counted(
    make_network: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    network = make_network(3)
    write_task(tmp_path, "says", three_splits(40), **GENERATION)
    never = {**GENERATION, "generation_kwargs": {"until": ["w100"], "max_gen_toks": 6, "do_sample": False}}
    never["filter_list"] = [
        {
            "name": "none",
            "filter": [{"function": "regex", "regex_pattern": "(z+)"}, {"function": "take_first"}],
        }
    ]
    write_task(tmp_path, "lost", three_splits(40), **never)
    says, lost = Harness([benchmark(tmp_path, "says"), benchmark(tmp_path, "lost")]).evaluate(
        network, tokenizer, "search"
    )
    assert dict(lost.notes)["unextracted"] == 40
    assert 0 < dict(lost.notes)["truncated"] <= 40
    assert dict(says.notes).get("truncated", 0) < dict(lost.notes)["truncated"]


def test_sampled_answers_are_put_together_from_parts(network: Any, tokenizer: Any, tmp_path: Path) -> None:
    drawn = {
        **GENERATION,
        "generation_kwargs": {"until": ["w7"], "max_gen_toks": 6, "do_sample": True, "temperature": 0.7},
    }
    write_task(tmp_path, "says", three_splits(), **drawn)
    harness = Harness([benchmark(tmp_path, "says")])
    assert harness.item_sets("search")[0].additive
    assert harness.item_sets("search", Conditions(seed=5))[0].moved
    (whole,) = harness.evaluate(network, tokenizer, "search")
    parts = [harness.evaluate(network, tokenizer, "search", (chosen,)) for chosen in ((1, 4, 5), (0, 2, 3))]
    assert united_score(parts[0][0], parts[1][0]).per_item == whole.per_item[:6]


def test_prompts_longer_than_the_model_reads_are_counted_never_cut_in_silence(
    network: Any, tokenizer: Any, tmp_path: Path
) -> None:
    long = [{"q": " ".join(f"w{(n + k) % 28}" for k in range(90)), "a": n % 4} for n in range(3)]
    data = {**three_splits(), "search": [*rows(0), *long]}
    write_task(tmp_path, "words", data, **CHOICE)
    write_task(tmp_path, "says", data, **GENERATION)
    write_task(tmp_path, "texts", data, **ROLLING)
    harness = Harness([benchmark(tmp_path, task) for task in ("words", "says", "texts")])
    words, says, texts = harness.evaluate(network, tokenizer, "search")
    assert dict(words.notes) == {"overlong": 3}
    assert dict(says.notes)["overlong"] == 3
    assert dict(texts.notes) == {}  # read in windows: nothing is lost
    assert dict(harness.evaluate(network, tokenizer, "test")[0].notes) == {}
