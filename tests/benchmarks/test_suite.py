from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.searching.families.lessons import Family, Lesson, Question, Task
from benchmarks.searching.families.making import make
from benchmarks.searching.suite.command import gate_failures
from benchmarks.searching.suite.course import Look
from benchmarks.searching.suite.records import Record, Records, Run
from benchmarks.searching.suite.report import report
from benchmarks.searching.suite.running import Order, Results
from benchmarks.searching.suite.statistics import Curve, evaluations_ratio, is_first, ranks
from benchmarks.searching.suite.table import GATE, PROBLEMS

BUDGET = 50


def record(contestant: str, seed: int, *held_out: float) -> Record:
    """Returns a run whose looks, every five evaluations, are these and then the last of them."""
    looks = tuple(Look(5 * n, value, value, 0.1 * n, "evolved") for n, value in enumerate(held_out, 1))
    return Record(Run("halves", contestant, seed, BUDGET, "code"), looks, "budget spent")


def curve(contestant: str, *runs: tuple[float, ...]) -> Curve:
    return Curve.of([record(contestant, seed, *run) for seed, run in enumerate(runs)], BUDGET)


def test_a_run_that_was_cut_off_loses_only_its_last_line(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    Records(file).add(record("auto", 0, 0.5))
    with file.open("a") as cut:
        cut.write('{"run": {"problem": "hal')

    again = Records(file)

    assert again.get(record("auto", 0).run) == record("auto", 0, 0.5)
    assert again.get(replace(record("auto", 0).run, made_of="changed code")) is None


def test_evaluations_are_compared_at_the_best_peers_level_and_never_reaching_it_counts_as_nothing() -> None:
    ours = curve("auto", (0.5, 0.7), (0.5, 0.7))
    peers = {
        "slow": curve("slow", (0.1, 0.2, 0.3, 0.7), (0.1, 0.2, 0.3, 0.7)),
        "low": curve("low", (0.6,)),
    }

    assert evaluations_ratio(ours, peers) == (2.0, 0.0)
    assert evaluations_ratio(curve("auto", (0.5,), (0.6,)), peers)[0] == 0.0


def test_who_is_within_the_seeds_noise_of_the_first_counts_as_first() -> None:
    curves = {
        "a": curve("a", (0.70,), (0.60,)),
        "b": curve("b", (0.66,), (0.62,)),
        "c": curve("c", (0.4,), (0.4,)),
    }

    assert ranks(curves, BUDGET) == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert [is_first(name, curves, BUDGET) for name in curves] == [True, True, False]


def test_the_gate_says_where_auto_is_worse_and_forgives_noise(tmp_path: Path) -> None:
    order = Order((PROBLEMS["halves"],), ("auto", "pycma"), 2, BUDGET, tmp_path, 1)
    worse = {
        ("halves", "auto"): [record("auto", seed, 0.5) for seed in (0, 1)],
        ("halves", "pycma"): [record("pycma", 0, 0.6), record("pycma", 1, 0.61)],
    }
    noisy = worse | {("halves", "pycma"): [record("pycma", 0, 0.3), record("pycma", 1, 0.8)]}

    assert "halves at 25: auto - pycma = -0.105" in gate_failures(order, Results(worse))[0]
    assert gate_failures(order, Results(noisy)) == []
    assert "nothing to compare" in gate_failures(order, Results({}, {"pycma": "no network"}))[0]


def test_a_family_is_trained_once_and_its_tasks_are_dealt_into_disjoint_splits(tmp_path: Path) -> None:
    asked = [Question(f"a b{n} =", f"b{n}") for n in range(6)]
    lesson = Lesson(((1.0, tuple(asked)),), steps=2, rate=1e-3)
    splits = {"search": asked[:2], "selection": asked[2:4], "test": asked[4:]}
    words = ("a", "=", *(f"b{n}" for n in range(6)))
    family = Family(words, 1, 16, lesson, {"one": lesson}, {"copy": Task(splits, words)})

    files = make(family, tmp_path)
    weights = Path(files.experts["one"], "model.safetensors")
    written = weights.stat().st_mtime_ns

    assert make(family, tmp_path) == files
    assert weights.stat().st_mtime_ns == written
    assert make(replace(family, hidden=32), tmp_path) != files
    assert {path.name for path in Path(files.tasks).glob("*.jsonl")} == {
        f"copy_{split}.jsonl" for split in splits
    }


@pytest.mark.slow
def test_the_suite_runs_a_problem_and_does_not_run_it_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.search", "--suite", "--quick", "--problems", "halves"]
    command += ["--contestants", "auto,random", "--budget", "25", "--workers", "1", "--out", str(tmp_path)]

    first = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(first.stdout.splitlines()[-1])
    kept = (tmp_path / "suite" / "runs.jsonl").read_text()
    subprocess.run(command, capture_output=True, text=True, check=True)

    assert set(found["ends"]["halves"]) == {"auto", "random"}
    assert len(kept.splitlines()) == 2
    assert (tmp_path / "suite" / "runs.jsonl").read_text() == kept


def test_some_problems_are_kept_out_of_tuning_and_none_of_them_is_in_the_gate() -> None:
    kept = {problem.name for problem in PROBLEMS.values() if problem.held_out}

    assert len(kept) >= 3
    assert not kept & set(GATE)
    assert len({problem.what for problem in PROBLEMS.values()}) >= 8


def test_a_peer_that_could_not_be_installed_is_named_and_the_rest_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = Order((PROBLEMS["halves"],), ("auto", "random", "pycma"), 2, BUDGET, tmp_path, 1)
    records = {
        ("halves", name): [record(name, seed, value) for seed in (0, 1)]
        for name, value in (("auto", 0.7), ("random", 0.6))
    }

    report(order, Results(records, {"pycma": "no network"}))

    printed = capsys.readouterr().out
    last = json.loads(printed.splitlines()[-1])
    assert "MISSING: pycma took no part: no network" in printed
    assert last["absent"] == {"pycma": "no network"}
    assert last["ratios"] == {}
    assert last["first"] == {"halves": [True, True]}


def test_a_level_that_generation_0_reaches_is_not_taken_for_the_optimizers_merit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = Order((PROBLEMS["halves"],), ("auto", "pycma"), 1, BUDGET, tmp_path, 1)
    parent = record("auto", 0, 0.7)
    parent = replace(parent, looks=tuple(replace(look, winner="parent") for look in parent.looks))
    peer = {("halves", "pycma"): [record("pycma", 0, 0.1, 0.7)]}

    for ours, expected in ((parent, ["halves"]), (record("auto", 0, 0.7), [])):
        report(order, Results({("halves", "auto"): [ours], **peer}))
        last = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert last["ratios"]["halves"] == 2.0
        assert last["reached_by_generation_0"] == expected
