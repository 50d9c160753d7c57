from __future__ import annotations

from pathlib import Path

import pytest

from evaluators.errors import EvaluationError
from evaluators.lm_eval.names.task_files import ALLOW_TASK_CODE, check_folder


def test_plain_task_files_pass(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "task: one\ninclude: common\ndescription: '!function in a text is harmless'\n"
    )
    (tmp_path / "common").write_text("dataset_path: json  # !function in a comment too\n")
    check_folder(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "process_docs: !function code.run",
        "metric_list:\n  - metric: !function code.run",
        "process_docs: !<!function> code.run",
        "%TAG !x! !func\n---\nprocess_docs: !x!tion code.run",
    ],
)
def test_task_files_that_name_python_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.yaml").write_text(text)
    with pytest.raises(EvaluationError, match=rf"one\.yaml names Python to run.*{ALLOW_TASK_CODE}=1"):
        check_folder(tmp_path)


def test_included_files_are_looked_through_wherever_they_lie(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (tmp_path / "elsewhere").write_text("process_docs: !function code.run")
    (folder / "one.yaml").write_text("task: one\ninclude: [middle]\n")
    (folder / "middle").write_text(f"include: {tmp_path / 'elsewhere'}\n")
    with pytest.raises(EvaluationError, match="elsewhere names Python"):
        check_folder(folder)


def test_files_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("include: two.yaml")
    (tmp_path / "two.yaml").write_text("include: one.yaml")
    check_folder(tmp_path)


def test_the_operator_may_allow_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.yaml").write_text("process_docs: !function code.run")
    monkeypatch.setenv(ALLOW_TASK_CODE, "1")
    check_folder(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"there is no folder .*/nowhere"):
        check_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["task: [one", "task: !unknown one", "include: missing"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.yaml").write_text(text)
    with pytest.raises(EvaluationError, match="cannot be read"):
        check_folder(tmp_path)
