"""Experiments over parents of which some see: whose vision tower merged models get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_spaces import Recipe
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from service.errors import InvalidSpecError
from service.specification.planning import ExperimentFacts, build_space_for
from service.specification.spec_check import Checked, check_spec
from tests.seeing_models import save_seeing
from tests.service.scripted_workforce import ScriptedWorkforce
from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parents")
    save_tiny_model(folder / "reading", 1)
    for seed, name in enumerate(("seeing", "other")):
        save_seeing(folder / name, seed + 2, "llama")
    save_seeing(folder / "finer", 4, "llama", patch=2)
    save_seeing(folder / "gemma", 5, "gemma3")
    return folder


def check(folder: Path, *parents: str, **changes: Any) -> Checked:
    content = {
        "name": "small",
        "parents": [str(folder / name) for name in parents],
        "space": {"method": "linear"},
        "objectives": [{"task": "words"}],
        "budget": {"candidates": 50},
    }
    return check_spec(content | changes, ScriptedWorkforce(benchmarks=("words",)))


def refused(folder: Path, *parents: str, **changes: Any) -> str:
    with pytest.raises(InvalidSpecError) as caught:
        check(folder, *parents, **changes)
    return "\n".join(f"{m.pointer} {m.detail}; {m.remedy}" for m in caught.value.mistakes)


def first_recipe(checked: Checked) -> Recipe:
    space = build_space_for(checked.spec, checked.facts)
    recipe = space.decode(tuple(variable.initial for variable in space.variables))
    assert isinstance(recipe, Recipe)
    assert space.encode(recipe) == tuple(variable.initial for variable in space.variables)
    return recipe


def test_the_only_parent_that_sees_gives_its_eyes(folder: Path) -> None:
    checked = check(folder, "reading", "seeing")
    assert Path(first_recipe(checked).tokenizer_owner.model).name == "seeing"
    facts = ExperimentFacts.model_validate(checked.facts)
    assert facts.layer_prefix == "language_model.model.layers."
    assert {Path(b.recipe.tokenizer_owner.model).name for b in facts.baselines} == {"seeing"}
    assert any("vision tower and projector of" in warning for warning in checked.warnings)


def test_eyes_are_searched_as_a_choice_between_parents(folder: Path) -> None:
    checked = check(folder, "seeing", "other", vision="search")
    assert checked.genes[-1] == "vision"
    space = build_space_for(checked.spec, checked.facts)
    genome = tuple(variable.initial for variable in space.variables)
    crossed = space.decode((*genome[:-1], str(folder / "other")))
    assert isinstance(crossed, Recipe)
    assert str(crossed.vision) == str(folder / "other")
    assert space.encode(crossed) == (*genome[:-1], str(folder / "other"))
    assert read_recipe(write_recipe(crossed)) == crossed
    assert first_recipe(checked).vision is None


def test_a_named_parent_gives_its_eyes(folder: Path) -> None:
    checked = check(folder, "seeing", "other", vision=str(folder / "other"))
    assert str(first_recipe(checked).vision) == str(folder / "other")
    labels = {b.label: b.recipe for b in ExperimentFacts.model_validate(checked.facts).baselines}
    assert labels["parent: seeing"].vision is None


@pytest.mark.parametrize(
    ("parents", "vision", "said"),
    [
        (("reading", "seeing", "other"), None, "/vision 2 parents see, and none of them is named"),
        (("reading", "seeing"), "search", "leaves nothing to search"),
        (("reading",), "search", "/vision no parent sees"),
        (("seeing", "reading"), "reading", "is none of the parents that see"),
        (("seeing", "finer"), "search", "vision_config.patch_size differs"),
        (("seeing", "gemma"), None, "is a Gemma3ForConditionalGeneration"),
    ],
)
def test_eyes_that_cannot_be_had_are_refused(
    parents: tuple[str, ...], vision: str | None, said: str, folder: Path
) -> None:
    changes = {} if vision is None else {"vision": vision if vision == "search" else str(folder / vision)}
    assert said in refused(folder, *parents, **changes)
