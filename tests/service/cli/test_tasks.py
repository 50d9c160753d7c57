from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.cli.exits import Exit
from service.cli.tasks.evaluate import generation_of
from service.client.client import Client
from tests.service.command import Command
from tests.tiny_models import save_tiny_model, write_word_task

evomerge = Command(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_word_task(tmp_path / "tasks")


def test_a_task_is_shown_as_a_model_sees_it(folder: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", 1)
    said = evomerge("tasks", "show", "words", "--tasks-path", folder, "--model", model)
    assert "search 12, selection 12, test 12" in said
    assert "plain text" in said
    assert "(2 tokens)" in said
    found = json.loads(evomerge("tasks", "show", "words", "--tasks-path", folder, "--json"))
    assert found["metrics"] == ["acc,none"]
    assert found["example"]["continuations"] == [" w1", " w2", " w3", " w4"]


def test_a_file_of_questions_is_a_task(tmp_path: Path) -> None:
    lines = [json.dumps({"question": f"What is {n}?", "answer": str(n)}) for n in range(60)]
    (tmp_path / "sums.jsonl").write_text("\n".join(lines))
    said = evomerge("tasks", "show", tmp_path / "sums.jsonl")
    assert "my_sums" in said
    assert "exact_match,none" in said
    assert "What is" in said


def test_fetched_tasks_say_where_their_data_lie(folder: Path) -> None:
    said = evomerge("tasks", "fetch", "words", "--tasks-path", folder)
    assert "files of words" in said
    assert "datasets" in said.splitlines()[-1]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    said = evomerge("tasks", "list", "--tasks-path", tmp_path / "none", code=Exit.INVALID)
    assert "there is no folder" in said


def test_the_client_lists_and_shows_tasks(client: Client) -> None:
    listed = client.tasks(page_size=1)
    assert (len(listed.items), listed.next_page_token is None) == (1, listed.total_size == 1)
    assert client.task(listed.items[0].name, model="org/name").example is not None


def test_a_checkpoint_is_scored_beside_its_parent(folder: Path, tmp_path: Path) -> None:
    model, parent = save_tiny_model(tmp_path / "model", 1), save_tiny_model(tmp_path / "parent", 2)
    asked = ("evaluate", model, "-t", "words", "--include_path", folder, "--parents", parent, "--limit", 5)
    said = evomerge(*asked, "-o", tmp_path / "found.json")
    assert "|Tasks|Version|Filter|n-shot|Metric|" in said
    assert "of 5" in said
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["models"][0]["results"]["words"]["acc,none"] == found["differences"][0]["value"]
    assert found["parents"][0]["n-samples"]["words"] == {"original": 12, "effective": 5}


def test_words_are_taken_as_lm_evals_command_line_takes_them(folder: Path, tmp_path: Path) -> None:
    models = [save_tiny_model(tmp_path / name, n) for n, name in enumerate(("model", "one", "two"))]
    asked = ("evaluate", models[0], "-t", "words", "--include_path", folder, "--parents", *models[1:])
    found = json.loads(evomerge(*asked, "--limit", 3, "--apply_chat_template", "chatml", "--json"))
    assert len(found["parents"]) == 2
    bare = ("evaluate", "-t", "words", "--tasks-path", folder, "--limit", 3, "--apply_chat_template")
    assert "has no chat template" in evomerge(*bare, models[0], code=Exit.INVALID)
    assert "no template 'mine'" in evomerge(*bare, "mine", models[0], code=Exit.INVALID)
    assert "name it before --parents" in evomerge(*bare, "--parents", *models, code=Exit.USAGE)
    for wrong in (("--thinking",), ("--apply_chat_template", "chatml", "--thinking")):
        said = evomerge("evaluate", models[0], "-t", "words", "--tasks-path", folder, *wrong, code=None)
        assert "switch" in said


def test_mistakes_are_told_before_anything_is_asked(folder: Path, tmp_path: Path) -> None:
    known = ("evaluate", tmp_path / "none", "-t", "words", "--tasks-path", folder)
    assert "no key=value" in evomerge(*known, "--gen-kwargs", "hot", code=Exit.USAGE)
    assert "cannot be written" in evomerge(*known, "-o", tmp_path / "a" / "b", code=Exit.USAGE)
    assert "none" in evomerge(*known, code=Exit.INVALID)


def test_generation_settings_are_read_as_lm_evals_command_line_reads_them() -> None:
    asked = ["temperature=0.6,do_sample=True,until=END", '{"top_p": 0.9}']
    assert generation_of(asked) == {"temperature": 0.6, "do_sample": True, "until": "END", "top_p": 0.9}
