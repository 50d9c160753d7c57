"""`evomerge init --tasks FILE.jsonl`: questions of one's own become an lm-eval task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluators import Benchmark
from service.cli.exits import Exit
from tests.service.command import Command

evomerge = Command("http://127.0.0.1:9")  # asks no service
Rows = Sequence[Mapping[str, Any]]
MODELS = ("--models", "org/left", "org/right")
START = '{"question": "a", "options": ["x"], "answer": "x"}\n{"question": "b", '
FREELY: Rows = [{"question": f"w{n} w{n + 1}", "answer": f"w{n}"} for n in range(24)]
FEW: Rows = [{"prompt": f"w{n} w{n}", "target": 3 + n % 2} for n in range(24)]
TEXTS: Rows = [{"question": f"w{n}", "choices": ["4", "7", "1"], "answer": "1"} for n in range(24)]
LETTERS: Rows = [{"question": f"w{n}", "options": ["w1", "w2", "w3"], "answer": "C"} for n in range(24)]
PLACES: Rows = [{"question": f"w{n}", "choices": ["w1", "w2", "w3"], "answer": 2} for n in range(24)]


def written(path: Path, rows: Rows) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("rows", "kind", "right"),
    [
        (FREELY, "generate_until", ["w0", "w1"]),
        (FEW, "multiple_choice", [0, 1]),
        (TEXTS, "multiple_choice", [2, 2]),  # the text "1", and not the place 1
        (LETTERS, "multiple_choice", [2, 2]),
        (PLACES, "multiple_choice", [2, 2]),
    ],
)
def test_questions_become_a_task_that_lm_eval_reads(
    tmp_path: Path, rows: Rows, kind: str, right: list[int | str]
) -> None:
    lm_eval_task = pytest.importorskip("lm_eval.api.task")
    asked = written(tmp_path / "my-own.jsonl", rows)
    said = evomerge.notes("init", *MODELS, "--tasks", asked, "--out", tmp_path / "specs" / "first.yml")
    assert "my-own.jsonl: 24 questions, " in said
    spec = yaml.safe_load((tmp_path / "specs" / "first.yml").read_text())
    assert (spec["objectives"], spec["tasks_path"]) == ([{"task": "my_my_own"}], "tasks")
    config = yaml.safe_load((tmp_path / "specs" / "tasks" / "my_my_own.yaml").read_text())
    assert config["output_type"] == kind
    (data,) = config["dataset_kwargs"]["data_files"].values()
    assert (tmp_path / "specs" / "tasks" / data).resolve() == asked
    config["dataset_kwargs"] = {"data_files": {"train": str(asked)}}
    task = lm_eval_task.ConfigurableTask(config=config)
    documents = list(task.test_docs())
    assert [task.doc_to_target(document) for document in documents[:2]] == right
    assert task.doc_to_text(documents[0]) == str(rows[0].get("question", rows[0].get("prompt")))
    if kind == "multiple_choice":
        assert right[0] in range(len(task.doc_to_choice(documents[0])))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ":1: the file is empty"),
        ('{"question": "a", "answer": "b"}\nnonsense\n', ":2: it is no JSON"),
        ("[1]\n", ":1: it is no object"),
        ('{"text": "a"}\n', ":1: its keys are text; one of question, prompt"),
        ('{"question": "a", "answer": "b"}\n\n{"question": "c"}\n', ":3: there is no 'answer'"),
        (START + '"options": ["x"], "answer": 3}', ":2: the answer 3 is none of its options"),
        (START + '"answer": 1}', ":2: its 'options' are no list"),
        ('{"question": "a", "answer": ["x"]}\n', """:1: its 'answer' is ["x"]"""),
    ],
)
def test_a_line_that_is_no_question_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "q.jsonl").write_text(text)
    out = tmp_path / "first.yml"
    said = evomerge("init", *MODELS, "--tasks", tmp_path / "q.jsonl", "--out", out, code=Exit.INVALID)
    assert f"q.jsonl{told}" in said
    assert '"question"' in said
    assert not out.exists()


@pytest.mark.parametrize("image", ["pictures/1.png", ["pictures/1.png", "pictures/2.png"]])
def test_questions_about_pictures_name_their_files(image: str | list[str], tmp_path: Path) -> None:
    rows = [{"question": f"w{n}", "answer": f"w{n}", "image": image} for n in range(24)]
    asked = written(tmp_path / "pictures.jsonl", rows)
    pictures = pytest.importorskip("PIL.Image")
    building = pytest.importorskip("evaluators.lm_eval.tasks.task_building")
    out = tmp_path / "first.yml"
    refused = evomerge("init", *MODELS, "--tasks", asked, "--out", out, code=Exit.INVALID)
    assert f"there is no picture {tmp_path / 'pictures' / '1.png'}" in refused
    (tmp_path / "pictures").mkdir()
    for name in ("1.png", "2.png"):
        pictures.new("RGB", (8, 8)).save(tmp_path / "pictures" / name)
    said = evomerge.notes("init", *MODELS, "--tasks", asked, "--out", tmp_path / "specs" / "first.yml")
    assert "24 questions, answered freely" in said
    assert "about pictures" in said
    benchmark = Benchmark(name="q", task="my_pictures", include_path=str(tmp_path / "specs" / "tasks"))
    (subtask,) = building.build_benchmark(benchmark).subtasks
    request = subtask.questions("search", most=1)[0].requests[0]
    count = 1 if isinstance(image, str) else 2
    assert request.args[0].startswith("<image>" * count + " w")
    assert len(request.args[2]["visual"]) == count


def test_a_task_that_was_changed_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    asked = written(tmp_path / "q.jsonl", FREELY)
    said = ("init", *MODELS, "--tasks", asked, "words", "--out")
    evomerge(*said, tmp_path / "first.yml")
    task = tmp_path / "tasks" / "my_q.yaml"
    task.write_text(task.read_text().replace("{{question}}", "Q: {{question}}"))
    assert "my_q.yaml is there already" in evomerge(*said, tmp_path / "second.yml", code=Exit.CONFLICT)
    assert not (tmp_path / "second.yml").exists()
    evomerge(*said, tmp_path / "second.yml", "--replace")
    assert "Q: " not in task.read_text()
