"""What is told of a task, and how its data come into the cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evaluators.benchmark import Benchmark
from evaluators.chat import Chat
from evaluators.errors import DataUnreachableError, UnknownTaskError
from evaluators.lm_eval.names.data_access import data_problem
from evaluators.lm_eval.prompt_facts import Asked
from evaluators.lm_eval.whole_tasks.description import describe
from evaluators.lm_eval.whole_tasks.fetching import fetch
from tests.chat_tokenizers import chat_tokenizer
from tests.evaluators.task_writing import CHOICE, GENERATION, ROLLING, three_splits, write_task


def asking(folder: Path, task: str, **settings: object) -> Benchmark:
    return Benchmark.model_validate({"name": task, "task": task, "include_path": str(folder)} | settings)


def test_a_task_is_described_with_an_item_as_the_model_sees_it(tmp_path: Path) -> None:
    write_task(tmp_path, "sums", three_splits(), **GENERATION)
    asked = Asked(("m",), (chat_tokenizer("qwen3"),))
    found = describe(asking(tmp_path, "sums", chat=Chat(system="w1")), asked)
    assert found.splits == (("search", 12), ("selection", 12), ("test", 12))
    assert found.divided == (("search", 12), ("selection", 12), ("test", 12))
    assert found.metrics == ("exact_match,whole", "exact_match,number")
    assert found.asked == "its chat template, system message"
    assert found.example is not None
    assert found.example.prompt.startswith("<|im_start|>system\nw1<|im_end|>")
    assert (found.example.continuations, found.example.answer) == ((), "w0")
    assert found.example.tokens
    assert json.loads(found.generation)["max_gen_toks"] == 6


def test_choices_and_texts_are_shown_too(tmp_path: Path) -> None:
    write_task(tmp_path, "choices", three_splits(), **CHOICE)
    write_task(tmp_path, "texts", three_splits(), **ROLLING)
    choices, texts = (describe(asking(tmp_path, name)).example for name in ("choices", "texts"))
    assert choices is not None
    assert texts is not None
    assert (choices.prompt, choices.tokens) == ("w0 w0 w0", None)
    assert choices.continuations == (" w1", " w2", " w3 w4", " w4")
    assert (texts.prompt, texts.continuations) == ("", ("w0 w0 w0",))


def test_a_tag_is_told_apart_from_a_group_with_a_score(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_task(tmp_path, name, three_splits(), **CHOICE, tag=["both"])
    aggregate = "aggregate_metric_list: [{metric: acc, weight_by_size: true}]"
    (tmp_path / "scored.yaml").write_text(f"group: scored\ntask: [one, two]\n{aggregate}\n")
    tag, group = describe(asking(tmp_path, "both")), describe(asking(tmp_path, "scored"))
    assert (tag.collection, tag.members, tag.example) == (True, ("one", "two"), None)
    assert (group.collection, group.members) == (False, ("one", "two"))
    assert group.splits[0] == ("search", 24)


def test_fetching_says_what_is_there_and_how_large_it_is(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_task(tmp_path, name, three_splits(), **CHOICE, tag=["both"])
    told: list[str] = []
    found = fetch(["both"], [tmp_path], told.append)
    assert told == ["1/2 one", "2/2 two"]
    assert [(each.data, each.items) for each in found.data] == [("files of one", 36), ("files of two", 36)]
    assert all(each.size for each in found.data)
    with pytest.raises(UnknownTaskError, match="bot"):
        fetch(["bot"], [tmp_path], told.append)


def test_data_that_cannot_be_had_say_what_was_tried_and_what_to_do(tmp_path: Path) -> None:
    """In a process of its own, because the Hub's settings are read once."""
    write_task(tmp_path, "far", three_splits(), **CHOICE, dataset_path="org/data", dataset_kwargs={})
    program = (
        "import sys; from pathlib import Path; from evaluators.lm_eval.whole_tasks.fetching import fetch\n"
        "from evaluators.errors import DataUnreachableError\n"
        "try: fetch(['far'], [Path(sys.argv[1])], print)\n"
        "except DataUnreachableError as error: print(error)"
    )
    settings = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=os.environ | settings, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"the data of far are not in {tmp_path / 'hub' / 'datasets'}, and HF_HUB_OFFLINE" in done.stdout
    assert "run `evomerge tasks fetch far` once" in done.stdout


def test_a_missing_network_is_told_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    error = ConnectionError("Couldn't reach 'org/data' on the Hub (LocalEntryNotFoundError)")
    error.__cause__ = OSError("Name or service not known")
    found = data_problem("far", error)
    assert isinstance(found, DataUnreachableError)
    assert "Name or service not known" in found.detail
    assert data_problem("far", ValueError("a template")) is None
