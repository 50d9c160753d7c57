"""Commands about single candidates: asked, put into the queue, written to files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from service.cli.exits import Exit
from service.client.client import Client
from service.experiment.status import ExperimentStatus
from tests.service.command import Command
from tests.service.running import ControlledWorkforce, ended, reached, spec_over

Parents = dict[str, Path]


def test_a_prompt_is_answered_by_a_candidate_and_its_parents(finished: Command) -> None:
    told = finished("try", "small", "winner", "--prompt", "2 + 2?")
    assert "parent: left says 4" in told
    assert (
        len(json.loads(finished("try", "small", 7, "-p", "2 + 2?", "--no-parents", "--json"))["items"]) == 1
    )


def test_answers_to_items_are_shown_with_their_prompts(finished: Command) -> None:
    told = finished("samples", "small", 7, "--count", 2)
    assert "── words, search item 1" in told
    assert "→ yes   (right: 0)" in told
    assert finished("samples", "small", 7, "--stored") == told


def test_a_recipe_is_put_into_the_queue_and_becomes_a_candidate(
    evomerge: Command,
    client: Client,
    workforce: ControlledWorkforce,
    paper_parents: Parents,
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "doubled.yml"
    recipe.write_text(
        f"merge_method: passthrough\nmodels: [{{model: {paper_parents['left']}, parameters: {{scale: 2}}}}]"
    )
    workforce.gate.clear()
    client.create(spec_over(paper_parents))
    reached(client, "small", ExperimentStatus.RUNNING)
    assert "doubled waits to become a candidate" in evomerge.notes("enqueue", "small", recipe)
    assert "waits" in evomerge("queue", "small")
    assert json.loads(evomerge("workers", "--json"))["items"][0]["experiment"] == "small"
    workforce.gate.set()
    ended(client, "small")
    assert "waits" not in evomerge("queue", "small")
    assert "did not fail" in evomerge("retry", "small", 5, code=Exit.CONFLICT)
    assert "evomerge extend small" in evomerge("reevaluate", "small", 5, code=Exit.CONFLICT)


def test_candidates_are_filtered_sorted_and_written_to_files(finished: Command, tmp_path: Path) -> None:
    found = json.loads(
        finished("candidates", "small", "--filter", "kind = evolved", "--order-by", "number desc", "--json")
    )
    assert [each["number"] for each in found["items"]] == list(range(11, 3, -1))
    assert "there are number" in finished("candidates", "small", "--filter", "x = 1", code=Exit.INVALID)
    out = tmp_path / "all.parquet"
    finished("candidates", "small", "--out", out)
    assert pq.read_table(out).num_rows == 12
    assert json.loads(finished("list", "--filter", "status = succeeded", "--json"))["items"]


def test_methods_and_models_are_told(finished: Command, paper_parents: Parents) -> None:
    assert "dare_ties" in finished("methods")
    assert "LlamaForCausalLM, 2 layers" in finished("inspect", paper_parents["left"])


def test_an_experiment_is_stopped_deleted_and_brought_back(
    evomerge: Command, client: Client, workforce: ControlledWorkforce, paper_parents: Parents
) -> None:
    workforce.pace = 0.05
    client.create(spec_over(paper_parents, budget={"candidates": 400}))
    reached(client, "small", ExperimentStatus.RUNNING)
    evomerge("stop", "small")
    assert ended(client, "small").progress.settled < 400
    evomerge("delete", "small", "--yes")
    assert json.loads(evomerge("list", "--json"))["items"] == []
    assert json.loads(evomerge("list", "--deleted", "--json"))["items"][0]["name"] == "small"
    evomerge("undelete", "small")
    assert "small" in evomerge("status", "small")


def test_little_can_be_said_of_genes_from_few_candidates(finished: Command) -> None:
    told = json.loads(finished("importances", "small", "--json"))
    assert [one["objective"] for one in told["objectives"]] == ["words", "sums"]
    assert "too few" in finished.notes("importances", "small")
