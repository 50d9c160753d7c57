"""The published hybrid: what a search in parameter space found is put back into the pool, and stacked."""

from __future__ import annotations

from pathlib import Path

from search_spaces import Parent
from search_spaces.genome import initial_genome
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.cli.spec_file import read_spec_file
from service.experiment.spec import ExperimentSpec
from service.specification.planning import build_space_for
from tests.service.small_experiments import SHAPE

WINNER = """
merge_method: task_arithmetic
base_model: ./base
models:
  - {model: ./left, parameters: {weight: [0.2, 0.9]}}
  - {model: ./right, parameters: {weight: 0.6}}
"""
SPEC = """
parents: [./left, ./right]
base: ./base
objectives: [{task: words}]
budget: {candidates: 20}
space: {kind: layer_stacking, winner: winner.yml, layers_of: [./right], repeats: 1}
"""


def test_the_second_stage_begins_with_the_winner_of_the_first(tmp_path: Path) -> None:
    for name in ("base", "left", "right"):
        (tmp_path / name).mkdir()
    (tmp_path / "winner.yml").write_text(WINNER)
    (tmp_path / "stack.yml").write_text(SPEC)
    spec = ExperimentSpec.model_validate(read_spec_file(tmp_path / "stack.yml").content)
    space = build_space_for(spec, SHAPE)
    winner = read_recipe(WINNER.replace("./", f"{tmp_path}/"))
    assert space.decode(initial_genome(space.variables)) == winner
    assert space.encode(winner) == initial_genome(space.variables)
    names = [variable.name for variable in space.variables]
    assert "take layer 2 of right (round 1)" in names
    assert not any("of left" in name for name in names)
    assert {str(p) for p in winner.all_parents} == {str(tmp_path / n) for n in ("base", "left", "right")}
    assert Parent(model=str(tmp_path / "right")) in spec.parents
