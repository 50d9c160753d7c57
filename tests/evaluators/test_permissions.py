"""What the operator allows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evaluators import Benchmark, BenchmarkFacts, EvaluationError
from evaluators.lm_eval.harness import inspect_benchmarks
from evaluators.permissions import ALLOWED_JUDGES, TASK_ROOTS, check_judge, check_place
from tests.evaluators.task_writing import CHOICE, three_splits, write_task


def test_without_a_word_every_place_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TASK_ROOTS, raising=False)
    check_place("file", tmp_path)


def test_only_what_lies_under_an_allowed_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "allowed too"
    for folder in (allowed, other, tmp_path / "secret"):
        folder.mkdir()
    (allowed / "way out").symlink_to(tmp_path / "secret")
    monkeypatch.setenv(TASK_ROOTS, f"{allowed}{os.pathsep}{other}")
    for place in (allowed, allowed / "tasks" / "deep", other / "x"):
        check_place("file", place)
    places = (
        tmp_path,
        tmp_path / "secret",
        allowed / ".." / "secret",
        allowed / "way out",
        Path("/etc/passwd"),
    )
    for place in places:
        with pytest.raises(EvaluationError, match="operator allows"):
            check_place("file", place)
    monkeypatch.setenv(TASK_ROOTS, "")
    with pytest.raises(EvaluationError, match="operator allows"):
        check_place("file", allowed)


def test_a_task_folder_elsewhere_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "tasks", "words", three_splits(), **CHOICE)
    benchmark = Benchmark(name="b", task="words", include_path=str(tmp_path / "tasks"))
    monkeypatch.setenv(TASK_ROOTS, str(tmp_path / "tasks"))
    assert isinstance(inspect_benchmarks([benchmark])[0], BenchmarkFacts)
    monkeypatch.setenv(TASK_ROOTS, str(tmp_path / "elsewhere"))
    (refused,) = inspect_benchmarks([benchmark])
    assert isinstance(refused, EvaluationError)
    assert refused.field == "include_path"


def test_judges_are_asked_by_the_operators_word_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOWED_JUDGES, raising=False)
    with pytest.raises(EvaluationError, match="none of the judges"):
        check_judge("os:system")
    monkeypatch.setenv(ALLOWED_JUDGES, "mine:judge, http://judge.example/v1")
    for name in ("mine:judge", "http://judge.example/v1", "http://judge.example/v1/safety"):
        check_judge(name)
    refused = ("mine:judge2", "os:system", "http://judge.example.evil/v1", "http://judge.example/v10", "mine")
    for name in refused:
        with pytest.raises(EvaluationError, match=ALLOWED_JUDGES):
            check_judge(name)
