"""Experiments over every kind of space, from the spec to a checkpoint that scores what was stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from evaluators import Benchmark
from evaluators.registry import EVALUATORS
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.client.client import Client
from service.experiment.status import ExperimentStatus
from tests.service.command import Command
from tests.service.running import ended, serving, spec_over, wait_for
from workers.pools.inline_pool import InlinePool

SPACES: dict[str, dict[str, Any]] = {
    "layer_stacking": {"kind": "layer_stacking", "repeats": 2, "max_layers": 8},
    "structured_stacking": {"kind": "structured_stacking", "spans": 2},
    "joint": {
        "kind": "joint",
        "stacking": {"kind": "layer_stacking", "begin": "published", "max_layers": 12},
    },
    "parameter": {"kind": "parameter", "methods": ["task_arithmetic", "linear"], "frozen": {"*left*": 0.5}},
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pool = InlinePool(threads=1)
    with serving(tmp_path_factory.mktemp("home"), pool) as url:
        yield url
    pool.close()


def exported(client: Client, key: str, candidate: int) -> Path:
    export = client.export(key, candidate).id
    wait_for(lambda: client.export_state(export).status in ("succeeded", "failed"), "the export")
    state = client.export_state(export)
    assert state.status == "succeeded", state.failure
    assert state.folder is not None
    return Path(state.folder)


def scored_again(folder: Path, tasks: Path) -> float:
    """Loads a checkpoint as anyone would, and asks it the search split."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", trust_remote_code=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    benchmark = Benchmark(name="words", task="words", include_path=str(tasks))
    with torch.inference_mode():
        (score,) = EVALUATORS["lm_eval"]((benchmark,), batch_size=8).evaluate(model, tokenizer, "search")
    return float(score.value)


@pytest.mark.parametrize(
    "kind",
    SPACES,
)
@pytest.mark.slow
def test_an_experiment_over_any_space_ends_with_a_stock_checkpoint(
    kind: str, address: str, tiny_parents: dict[str, Path], word_task: Path
) -> None:
    spec = spec_over(
        tiny_parents,
        name=kind,
        objectives=[{"task": "words", "allow_few_items": True}],
        tasks_path=str(word_task),
        space=SPACES[kind],
        optimizer={"algorithm": "random"},
        budget={"candidates": 10, "failures": 0},
        seed=3,
    )
    with Client(address) as client:
        key = str(client.create(spec).id)
        assert ended(client, key).status is ExperimentStatus.SUCCEEDED
        views = [
            view for view in client.all_candidates(key) if view.label is None and view.status == "scored"
        ]
        assert len(views) >= 3
        recipes = {v.number: read_recipe(client.recipe(key, v.number)) for v in views}
        # The most interesting one: with scales, where the space has them.
        number = max(recipes, key=lambda n: (recipes[n].has_scales, len(recipes[n].slices)))
        assert recipes[number].has_scales == (kind != "parameter")
        (stored,) = next(view for view in views if view.number == number).scores["search"]
        genome = client.candidate(key, number).genome
        assert genome is not None
        assert list(genome) == list(client.validate(spec).genes)
        for page in (f"/e/{key}", f"/e/{key}/c/{number}"):
            assert httpx.get(f"{address}{page}", timeout=30).status_code == 200
        folder = exported(client, key, number)
        assert scored_again(folder, word_task) == pytest.approx(stored.value)
        assert read_recipe((folder / "mergekit_config.yml").read_text()) == recipes[number]


@pytest.mark.slow
def test_the_published_hybrid_is_one_command(
    address: str, tiny_parents: dict[str, Path], word_task: Path, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {
        "objectives": [{"task": "words", "allow_few_items": True}],
        "tasks_path": str(word_task),
        "optimizer": {"algorithm": "random"},
        "budget": {"candidates": 6, "failures": 0},
        "baselines": {"standard_recipes": True},
    }
    stack = {"kind": "layer_stacking", "winner": "mix", "repeats": 1, "max_layers": 8}
    for name, space in (("mix", {"layer_groups": 2}), ("stack", stack)):
        content = spec_over(tiny_parents, name=name, space=space, **shared)
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(content))
    Command(address)("run", tmp_path / "mix.yml", tmp_path / "stack.yml")
    with Client(address) as client:
        views = [v for v in client.all_candidates("stack") if v.label is None and v.status == "scored"]
        number = views[-1].number
        (stored,) = views[-1].scores["search"]
        folder = exported(client, "stack", number)
        assert scored_again(folder, word_task) == pytest.approx(stored.value)
