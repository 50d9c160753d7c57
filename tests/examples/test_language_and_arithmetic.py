from __future__ import annotations

import hashlib
import json
import os
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.language_and_arithmetic import DemoFiles, make_everything, making
from examples.language_and_arithmetic.checkpoints import INDEX, WORDS, new_model
from examples.language_and_arithmetic.curriculum import SPLITS, Curriculum, write_curriculum
from examples.language_and_arithmetic.questions import (
    ENGLISH,
    HOURS,
    RECKONING,
    SMALL,
    SYNONYMS,
    Fact,
    Z,
    ask,
    ask_mixed,
    facts,
)
from examples.language_and_arithmetic.tasks import TASKS
from service.experiment.spec import ExperimentSpec

MIXTURES = ("base", "arithmetic", "language")


@pytest.fixture(scope="module")
def curriculum() -> Curriculum:
    return write_curriculum(seed=0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def files(home: Path) -> DemoFiles:
    return make_everything(home, seed=0, quick=True)


def shown(curriculum: Curriculum, parent: str) -> set[str]:
    return {question.text for part in getattr(curriculum, parent) for question in part.questions}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_no_question_is_in_two_splits(curriculum: Curriculum) -> None:
    for splits in curriculum.tasks.values():
        texts = {split: [question.text for question in splits[split]] for split in SPLITS}
        assert all(len(asked) == len(set(asked)) for asked in texts.values())
        assert not any(set(texts[one]) & set(texts[other]) for one, other in combinations(SPLITS, 2))


def test_a_fact_is_in_one_split_in_both_languages_and_all_wordings(curriculum: Curriculum) -> None:
    def facts_of(task: str, split: str) -> set[Fact]:
        language = TASKS[task]
        texts = {question.text for question in curriculum.tasks[task][split]}
        return {
            fact
            for fact in facts(RECKONING)
            if any(ask(fact, n, language).text in texts for n in range(SYNONYMS))
        }

    for one, other in combinations(SPLITS, 2):
        assert not facts_of("arithmetic_z", one) & facts_of("arithmetic_z", other)
    assert all(facts_of("arithmetic_z", split) == facts_of("arithmetic_english", split) for split in SPLITS)


def test_there_are_enough_questions_for_small_standard_errors(curriculum: Curriculum) -> None:
    sizes = {split: len(curriculum.tasks["arithmetic_z"][split]) for split in SPLITS}
    assert sizes["search"] >= 100
    assert sizes["selection"] >= 100
    assert sizes["test"] >= 200


@pytest.mark.parametrize("parent", MIXTURES)
def test_training_never_shows_a_question_of_the_evaluation(curriculum: Curriculum, parent: str) -> None:
    asked = {q.text for splits in curriculum.tasks.values() for split in splits.values() for q in split}
    assert not shown(curriculum, parent) & asked


@pytest.mark.parametrize("parent", MIXTURES)
def test_no_parent_ever_reckons_in_z_beyond_the_small_numbers(curriculum: Curriculum, parent: str) -> None:
    large = [fact for fact in facts(RECKONING) if max(fact.numbers) >= SMALL]
    mixed = {
        question.text
        for fact in large
        for n in range(SYNONYMS)
        for language in (ENGLISH, Z)
        for question in ask_mixed(fact, n, language)
    }
    pure_english = {ask(fact, n, ENGLISH).text for fact in large for n in range(SYNONYMS)}
    assert not shown(curriculum, parent) & (mixed - pure_english)


def test_only_the_arithmetic_expert_reckons_beyond_the_small_numbers(curriculum: Curriculum) -> None:
    large = {
        ask(fact, n, ENGLISH).text
        for fact in facts(RECKONING)
        if max(fact.numbers) >= SMALL
        for n in range(SYNONYMS)
    }
    assert shown(curriculum, "arithmetic") & large
    assert not shown(curriculum, "base") & large
    assert not shown(curriculum, "language") & large


@pytest.mark.parametrize("parent", MIXTURES)
def test_the_parts_of_a_mixture_add_up_to_one(curriculum: Curriculum, parent: str) -> None:
    assert sum(part.share for part in getattr(curriculum, parent)) == pytest.approx(1.0)


def test_another_seed_holds_out_other_questions(curriculum: Curriculum) -> None:
    assert write_curriculum(seed=1).tasks != curriculum.tasks
    assert write_curriculum(seed=0) == curriculum


def test_answers_are_those_of_a_clock() -> None:
    assert Fact("plus", (7, 8)).answer == 3
    assert Fact("minus", (2, 5)).answer == 9
    assert Fact("after", (11,)).answer == 0
    assert {fact.answer for fact in facts(RECKONING)} == set(range(HOURS))


def test_a_question_in_one_language_has_only_its_words() -> None:
    assert ask(Fact("plus", (3, 4)), 0, ENGLISH).text == "say three plus four ="
    assert ask(Fact("plus", (3, 4)), 0, Z).text == "mo tavi pel kesh ="
    assert len(set(WORDS)) == len(WORDS)


def test_the_tokenizer_splits_questions_as_the_training_did(files: DemoFiles, curriculum: Curriculum) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(files.base)
    for part in (*curriculum.base, *curriculum.arithmetic, *curriculum.language):
        for question in part.questions[::50]:
            assert tokenizer(question.text).input_ids == [INDEX[word] for word in question.text.split()]
            assert tokenizer.decode(INDEX[question.answer]) == question.answer


def test_all_parents_load_and_have_the_same_shape(files: DemoFiles) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shapes = []
    for folder in (files.base, *files.experts.values()):
        model = AutoModelForCausalLM.from_pretrained(folder)
        shapes.append({name: tuple(weights.shape) for name, weights in model.state_dict().items()})
        assert {weights.dtype for weights in model.state_dict().values()} == {torch.float32}
        assert len(AutoTokenizer.from_pretrained(folder)) == len(WORDS)
        assert not [path for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".py"}]
    assert shapes[0] == shapes[1] == shapes[2]


def test_the_same_seed_makes_the_same_files(files: DemoFiles, home: Path, tmp_path: Path) -> None:
    make_everything(tmp_path, seed=0, quick=True)
    assert contents(tmp_path / "parents") == contents(home / "parents")
    assert contents(tmp_path / "tasks" / "data") == contents(home / "tasks" / "data")


def test_another_seed_starts_from_other_weights() -> None:
    one, other = (new_model(seed).lm_head.weight for seed in (0, 1))
    assert not one.equal(other)
    assert one.equal(new_model(0).lm_head.weight)


def test_a_second_run_trains_nothing_and_touches_nothing(files: DemoFiles, home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    reports: list[str] = []
    again = make_everything(
        home, seed=0, quick=True, on_progress=lambda name, _done, _steps: reports.append(name)
    )
    assert again == files
    assert not reports
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_a_checkpoint_made_with_other_settings_is_made_again(
    files: DemoFiles, home: Path, tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    record = tmp_path / "parents" / "language" / "made_by.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "seed": 7}))
    (record.parent / "model.safetensors").unlink()
    reports: list[str] = []
    make_everything(
        tmp_path, seed=0, quick=True, on_progress=lambda name, _done, _steps: reports.append(name)
    )
    assert set(reports) == {"language"}
    assert contents(tmp_path / "parents") == contents(home / "parents")


def test_nothing_unfinished_is_left_beside_the_checkpoints(files: DemoFiles, home: Path) -> None:
    assert {path.name for path in (home / "parents").iterdir()} == set(MIXTURES)


@pytest.mark.parametrize("split", SPLITS)
def test_lm_eval_builds_every_task_on_every_split(
    files: DemoFiles, curriculum: Curriculum, split: str, task_manager: Any
) -> None:
    for name, language in TASKS.items():
        path = files.tasks / f"{name}.yaml"
        config = {**yaml.safe_load(path.read_text(encoding="utf-8")), "test_split": split}
        task = task_manager.load([config])["tasks"][name]
        asked = list(task.test_docs())
        assert len(asked) == len(curriculum.tasks[name][split])
        for item, question in zip(asked, curriculum.tasks[name][split], strict=True):
            assert task.doc_to_text(item) == question.text
            assert task.doc_to_choice(item)[task.doc_to_target(item)] == question.answer
            assert tuple(task.doc_to_choice(item)) == language.numbers


def test_lm_eval_finds_the_tasks_by_name(files: DemoFiles, task_manager: Any) -> None:
    assert set(TASKS) <= set(task_manager.all_tasks)


@pytest.fixture(scope="module")
def task_manager(files: DemoFiles) -> Any:
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(files.tasks), include_defaults=False)


def test_the_pair_of_stages_fits_together() -> None:
    folder = Path(making.__file__).parent
    first, second = (yaml.safe_load((folder / name).read_text()) for name in ("mix.yml", "stack.yml"))
    assert second["space"].pop("winner") == first["name"]
    assert second["warm_start"] == [first["name"]]
    for spec in (first, second):
        assert ExperimentSpec.model_validate(spec).budget.candidates == 120
    assert [first[key] for key in ("base", "parents", "objectives")] == [
        second[key] for key in ("base", "parents", "objectives")
    ]
