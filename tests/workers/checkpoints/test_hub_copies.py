"""Quantized copies on the Hub: a repository of its own for each, pushed after the whole model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.workers.hub_server import HubServer
from tests.workers.recipes import linear_recipe

EXPORT = """
import sys
from search_spaces import Recipe
from workers.export.export import export
from workers.protocol.messages import ExportOrder, HubTarget
order = ExportOrder(Recipe.model_validate_json(sys.argv[1]), sys.argv[2], card="# out", verify=False,
                    hub=HubTarget("lab/winner"), replace=True, quantize=("int8",))
print(*export(order).notes)
"""


@pytest.mark.slow
def test_a_copy_gets_a_repository_of_its_own_that_names_the_whole_model(
    hub: HubServer, tiny_parents: dict[str, Path], tmp_path: Path
) -> None:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    command = [sys.executable, "-c", EXPORT, recipe.model_dump_json(), str(tmp_path / "out")]
    done = subprocess.run(
        command, env=hub.environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert "lab/winner-int8" in done.stdout, done.stderr
    copy = hub.repositories["lab/winner-int8"].files
    assert {"model.safetensors", "config.json", "tokenizer.json", "evomerge.json"} <= copy.keys()
    assert vars(ModelCard(copy["README.md"].decode()).data)["base_model"] == "lab/winner"
    assert "evomerge.lock.json" in hub.repositories["lab/winner"].files
