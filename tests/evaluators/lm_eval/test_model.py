"""lm-eval's own `simple_evaluate` gives the same results with our model as with its `HFLM`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evaluators.errors import EvaluationError
from evaluators.inference.language_model import InMemoryModel
from evaluators.lm_eval.model import EvomergeLM
from tests.evaluators.task_writing import CHOICE, GENERATION, ROLLING, three_splits, write_task
from tests.tiny_models import tiny_tokenizer

TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('none here') }}"
    "{% endif %}<s> {{ message['content'] }} {% endfor %}{% if add_generation_prompt %}w9 {% endif %}"
)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> TaskManager:
    folder = tmp_path_factory.mktemp("tasks")
    few_shot: dict[str, Any] = {"fewshot_split": "selection", "fewshot_config": {"sampler": "first_n"}}
    write_task(folder, "choices", three_splits(), **CHOICE, **few_shot)
    write_task(folder, "answers", three_splits(), **GENERATION, **few_shot)
    write_task(folder, "texts", three_splits(), **ROLLING)
    return TaskManager(include_path=str(folder), include_defaults=False)


def with_template() -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def asked(lm: Any, tasks: TaskManager, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] | None = simple_evaluate(
        model=lm,
        tasks=["choices", "answers", "texts"],
        task_manager=tasks,
        bootstrap_iters=0,
        log_samples=True,
        **options,
    )
    assert found is not None
    return found


@pytest.mark.parametrize("options", [{"num_fewshot": 3}, {"apply_chat_template": True, "num_fewshot": 1}])
def test_every_kind_of_task_gives_what_hflm_gives(
    make_network: Callable[..., Any], tasks: TaskManager, options: dict[str, Any]
) -> None:
    network, tokenizer = make_network(3), with_template()
    ours = asked(EvomergeLM(network, tokenizer), tasks, **options)
    theirs = asked(HFLM(pretrained=network, tokenizer=tokenizer, batch_size=4), tasks, **options)
    for name, result in theirs["results"].items():
        numbers = {key: value for key, value in result.items() if isinstance(value, float)}
        assert numbers
        found = {key: ours["results"][name][key] for key in numbers}
        assert found == pytest.approx(numbers, rel=1e-4, nan_ok=True)
    for name, samples in theirs["samples"].items():
        for one, other in zip(ours["samples"][name], samples, strict=True):
            assert one["arguments"] == other["arguments"]
            if name == "answers":
                assert one["resps"] == other["resps"]


def test_requests_are_planned_once_for_all_candidates(
    make_network: Callable[..., Any], tasks: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, other = make_network(3), make_network(4)
    lm = EvomergeLM(network, with_template())
    first = asked(lm, tasks)

    def never(*_: Any) -> Any:
        raise AssertionError("planned again")

    for name in ("plan_continuations", "plan_texts", "plan_generations"):
        monkeypatch.setattr(InMemoryModel, name, never)
    lm.network = other
    second = asked(lm, tasks)
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
            mine.copy_(theirs)
    lm.network = network
    third = asked(lm, tasks)
    assert second["results"] == third["results"]
    assert first["results"] != second["results"]


def test_prompts_that_do_not_fit_are_logged_and_counted_or_refused(
    network: Any, tokenizer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    long = " ".join(["w1"] * 100)
    requests: list[Any] = [SimpleNamespace(args=pair) for pair in [("w1", " w2"), (long, " w2")]]
    prompts: list[Any] = [SimpleNamespace(args=(long, {"max_gen_toks": 4}))]
    lm = EvomergeLM(network, tokenizer)
    with caplog.at_level(logging.WARNING):
        lm.loglikelihood(requests)
        lm.generate_until(prompts)
    assert lm.cut == 2
    assert "1 of 2 prompts are up to 36 tokens longer than the model reads" in caplog.text
    for ask, asked_of_it in ((lm.loglikelihood, requests), (lm.generate_until, prompts)):
        strict = EvomergeLM(network, tokenizer, long="refuse")
        with pytest.raises(EvaluationError, match="longer than the model reads; ask fewer examples"):
            getattr(strict, ask.__name__)(asked_of_it)


def test_chat_templates_are_the_tokenizers(network: Any) -> None:
    tokenizer = with_template()
    lm = EvomergeLM(network, tokenizer)
    talk = [{"role": "system", "content": "w1"}, {"role": "user", "content": "w2"}]
    assert lm.apply_chat_template(talk) == "<s> w2 w9 "
    assert lm.apply_chat_template(talk[1:], add_generation_prompt=False).startswith("<s> w2")
    assert lm.chat_template(True) == TEMPLATE
    assert lm.chat_template(False) is None
    tokenizer.chat_template = {"default": "one", "other": "two"}
    assert (lm.chat_template(True), lm.chat_template("other")) == ("one", "two")
    with pytest.raises(EvaluationError, match="no 'third' but"):
        lm.chat_template("third")
    tokenizer.chat_template = None
    with pytest.raises(EvaluationError, match="the tokenizer has none"):
        lm.chat_template(True)
    assert lm.max_length == 64
