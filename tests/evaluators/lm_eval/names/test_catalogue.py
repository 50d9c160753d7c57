"""Which tasks there are: own folders first, lm-eval's from a cache that follows its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluators.lm_eval.names.catalogue import find_tasks, own_folder, own_names
from evaluators.task_facts import TaskKind
from tests.evaluators.task_writing import CHOICE, GENERATION, three_splits, write_task


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small folder in place of lm-eval's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own_names.cache_clear()
    folder = tmp_path / "own"
    write_task(folder, "sums", three_splits(), **GENERATION, tag=["numbers"])
    write_task(folder, "sums_hard", three_splits(), **CHOICE, tag=["numbers"])
    (folder / "all.yaml").write_text("group: all_sums\ntask: [sums, sums_hard]\n")
    return folder


@pytest.mark.parametrize(
    ("pattern", "kind", "names"),
    [
        ("", None, ["all_sums", "numbers", "sums", "sums_hard"]),
        ("sums", None, ["sums", "all_sums", "sums_hard"]),
        ("SUMS_*", None, ["sums_hard"]),
        ("json", "task", ["sums", "sums_hard"]),
        ("", "group", ["all_sums"]),
        ("", "tag", ["numbers"]),
    ],
)
def test_tasks_are_found_by_name_data_and_kind(
    own: Path, pattern: str, kind: TaskKind | None, names: list[str]
) -> None:
    assert [entry.name for entry in find_tasks(pattern, kind, own=own).entries] == names


def test_a_page_says_how_many_there_are(own: Path) -> None:
    found = find_tasks(own=own, after=1, most=2)
    assert ([entry.name for entry in found.entries], found.total) == (["numbers", "sums"], 4)
    group = find_tasks("all_sums", own=own).entries[0]
    assert (group.kind, group.tasks) == ("group", 2)


def test_the_users_tasks_come_first_and_hide_others(own: Path, tmp_path: Path) -> None:
    users = write_task(tmp_path / "users", "sums", three_splits(), **CHOICE)
    found = find_tasks(folders=[users], own=own).entries
    assert (found[0].name, found[0].output) == ("sums", "multiple_choice")
    assert len(found) == 4


def test_names_come_from_the_cache_until_a_file_changes(own: Path, tmp_path: Path) -> None:
    find_tasks(own=own)
    (cache,) = (tmp_path / "cache" / "evomerge").iterdir()
    cache.write_text(cache.read_text().replace("sums_hard", "sums_easy"))
    own_names.cache_clear()
    assert find_tasks("sums_easy", own=own).total == 1
    write_task(own, "more", three_splits(), **CHOICE)
    own_names.cache_clear()
    assert find_tasks("sums_easy", own=own).total == 0
    assert find_tasks("more", own=own).total == 1


@pytest.mark.slow
def test_lm_evals_own_names_are_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own_names.cache_clear()
    found = find_tasks()
    assert found.total > 10_000
    assert own_names(own_folder())["mmlu"].entry.tasks == 57
