"""What is said of parents before any weight is read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from search_spaces import Parent
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.cli.exits import Exit
from service.cli.program import app
from tests.tiny_models import ARCHITECTURES, save_tiny_model
from workers.compatibility.preflight import Preflight, as_json, preflight_models, preflight_recipe
from workers.errors import MergeError
from workers.export.merge_to_disk import merge_to_disk
from workers.protocol.messages import ExportOrder


@pytest.fixture
def family(tmp_path: Path) -> dict[str, Path]:
    """A base, a copy that was trained a little, and a model of other origin."""
    base = save_tiny_model(tmp_path / "base", 0)
    tuned = Path(shutil.copytree(base, tmp_path / "tuned"))
    weights = load_file(tuned / "model.safetensors")
    save_file(
        {
            n: t + 0.01 * torch.randn(t.shape, generator=torch.Generator().manual_seed(1))
            for n, t in weights.items()
        },
        tuned / "model.safetensors",
    )
    return {"base": base, "tuned": tuned, "other": save_tiny_model(tmp_path / "other", 5)}


def ties(family: Mapping[str, Path], *names: str) -> Preflight:
    models = [{"model": str(family[name]), "parameters": {"weight": 0.5, "density": 0.5}} for name in names]
    content = {"merge_method": "ties", "base_model": str(family["base"]), "models": models}
    return preflight_recipe(read_recipe(json.dumps(content)))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_parent_is_described(family: dict[str, Path]) -> None:
    (family["tuned"] / "README.md").write_text(
        "---\nlicense: apache-2.0\nbase_model: org/base\n---\n# Tuned\n"
    )
    facts = {Path(each.parent).name: each for each in ties(family, "tuned").parents}["tuned"]
    assert (facts.architecture, facts.model_type, facts.layers) == ("LlamaForCausalLM", "llama", 2)
    assert facts.sizes == {"hidden": 16, "heads": 4, "kv_heads": 2, "mlp": 24}
    weights = load_file(family["tuned"] / "model.safetensors")
    assert facts.parameters == sum(tensor.numel() for tensor in weights.values())
    assert facts.bytes == 4 * facts.parameters
    assert facts.dtypes == {"F32": facts.bytes}
    assert (facts.tokens, facts.rows, facts.context, facts.tied) == (32, 32, 64, False)
    assert facts.rope["rope_theta"] == 10000.0
    assert (facts.licence, facts.made_from) == ("apache-2.0", ("org/base",))


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_is_described(architecture: str, tmp_path: Path) -> None:
    parent = Parent(model=str(save_tiny_model(tmp_path / "model", 0, architecture=architecture)))
    found = preflight_models([parent])
    (facts,) = found.parents
    assert not found.refusals
    assert (facts.layers, facts.context, facts.rows, facts.tokens) == (2, 64, 32, 32)
    assert facts.sizes["hidden"] == 16
    assert facts.sizes["heads"] == 4


def test_a_fine_tuned_model_is_known_by_its_weights_and_one_of_other_origin_too(
    family: dict[str, Path],
) -> None:
    found = ties(family, "tuned", "other")
    near, far = found.comparisons
    assert near.same_shapes
    assert near.differing_tokens == 0
    assert near.distance is not None
    assert 0.0 < near.distance < 0.5
    assert far.distance is not None
    assert far.distance > 1.0
    assert any("probably have an ancestor in common" in sentence for sentence in near.evidence)
    assert any("look unrelated" in sentence for sentence in far.evidence)
    assert [Path(warning.field).name for warning in found.warnings] == ["other"]


def test_an_ancestor_that_the_card_names_is_evidence(family: dict[str, Path]) -> None:
    write_card(family["tuned"], f"base_model: {family['base']}")
    (compared,) = ties(family, "tuned").comparisons
    assert f"it says that it was made from {family['base']}" in compared.evidence


def test_what_a_run_takes_is_counted(family: dict[str, Path]) -> None:
    found = ties(family, "tuned", "other")
    size = found.parents[0].bytes
    assert found.needs is not None
    assert (found.needs.download, found.needs.read, found.needs.write) == (0, 3 * size, size)
    assert found.needs.live == 4 * size
    assert 0 < found.needs.streamed < found.needs.live


DIFFERENCES: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "context": (lambda folder: edit_config(folder, max_position_embeddings=128), "texts of 128 tokens"),
    "rope": (
        lambda folder: edit_config(folder, rope_parameters={"rope_type": "linear", "factor": 2.0}),
        "rotary positions are {'factor': 2.0",
    ),
    "licence": (lambda folder: write_card(folder, "license: mit"), "licence is mit"),
    "type": (lambda folder: to_bfloat16(folder), "is stored as BF16"),
}


def write_card(folder: Path, facts: str) -> None:
    (folder / "README.md").write_text(f"---\n{facts}\n---\n# A model\n")


def to_bfloat16(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, folder / "model.safetensors")


@pytest.mark.parametrize("name", sorted(DIFFERENCES))
def test_a_difference_is_told(name: str, family: dict[str, Path]) -> None:
    change, words = DIFFERENCES[name]
    change(family["tuned"])
    found = ties(family, "tuned")
    assert not found.refusals
    assert [w.detail for w in found.warnings if words in w.detail and w.remedy], found.warnings


def test_vocabularies_that_differ_are_counted_and_refused_without_a_policy(family: dict[str, Path]) -> None:
    path = family["tuned"] / "tokenizer.json"
    content = json.loads(path.read_text())
    words = content["model"]["vocab"]
    words["w1"], words["w2"] = words["w2"], words["w1"]
    path.write_text(json.dumps(content))
    found = ties(family, "tuned")
    assert found.comparisons[0].differing_tokens == 2
    (refused,) = found.refusals
    assert "tokenizer_source" in refused.remedy


def test_all_refusals_are_told_at_once(family: dict[str, Path], tmp_path: Path) -> None:
    edit_config(family["other"], num_hidden_layers=10**9)
    found = ties({**family, "gone": tmp_path / "gone"}, "gone", "other")
    assert [Path(refusal.field).name for refusal in found.refusals] == ["gone", "other"]
    assert all(refusal.remedy for refusal in found.refusals)
    assert found.needs is None


def varied(density: Any, **more: Any) -> dict[str, Any]:
    return {"density": density, **more}


MLP_ALONE = [{"filter": "mlp", "value": 0.3}, {"value": 0.7}]
THE_SAME_TWICE = [{"filter": "mlp", "value": 0.7}, {"value": 0.7}]
NEVER_REACHED = [{"filter": "*", "value": 0.3}, {"value": 0.7}]


@pytest.mark.parametrize(
    ("method", "parameters", "refused"),
    [
        ("ties", varied(MLP_ALONE, granularity="global"), True),
        ("ties", varied([0.3, 0.7], granularity="global"), True),
        ("breadcrumbs", varied(0.5, gamma=[0.1, 0.2], granularity="global"), True),
        ("pcb", varied([0.1, 0.3]), True),
        ("compeft", varied([0.1, 0.3]), True),
        ("pcb", varied([0.1, 0.3], granularity="tensor"), False),
        ("ties", varied(THE_SAME_TWICE, granularity="global"), False),
        ("ties", varied(NEVER_REACHED, granularity="global"), False),
        ("ties", varied([0.3, 0.7]), False),
        ("ties", varied(0.3, granularity="global"), False),
    ],
)
def test_numbers_that_differ_where_all_entries_are_ranked_together_are_refused_as_the_merge_does(
    method: str, parameters: dict[str, Any], refused: bool, family: dict[str, Path], tmp_path: Path
) -> None:
    weights = {} if method == "pcb" else {"weight": 0.5}
    content = {
        "merge_method": method,
        "base_model": str(family["base"]),
        "models": [{"model": str(family["tuned"]), "parameters": weights}],
        "parameters": parameters,
    }
    recipe = read_recipe(json.dumps(content))
    found = preflight_recipe(recipe).refusals
    assert bool(found) is refused
    order = ExportOrder(recipe, str(tmp_path / "out"))
    if refused:
        assert "ranked together" in found[0].detail
        with pytest.raises(MergeError):
            merge_to_disk(order)
    else:
        merge_to_disk(order)


def test_records_that_a_method_needs_are_looked_for(family: dict[str, Path]) -> None:
    content = {"merge_method": "fisher", "models": [{"model": str(family[n])} for n in ("base", "tuned")]}
    found = preflight_recipe(read_recipe(json.dumps(content)))
    assert [refusal.detail for refusal in found.refusals] == ["has no fisher record"] * 2
    assert all("evomerge calibrate" in refusal.remedy for refusal in found.refusals)


def test_the_command_shows_everything_and_ends_with_3_where_a_merge_cannot_work(
    family: dict[str, Path], tmp_path: Path
) -> None:
    runner = CliRunner(env={"COLUMNS": "250"})
    shown = runner.invoke(app, ["preflight", str(family["base"]), str(family["tuned"])])
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    for words in (
        "LlamaForCausalLM",
        "2 layers of 16, 4/2 heads, MLP 24",
        "theta 10000",
        "32 in 32 rows",
        "4.9 k",
    ):
        assert words in text
    gpt2 = save_tiny_model(tmp_path / "gpt2", 0, architecture="gpt2")
    refused = runner.invoke(app, ["preflight", str(family["base"]), str(gpt2), "--json"])
    assert refused.exit_code == Exit.INVALID
    content = json.loads(refused.stdout)
    assert content["refused"] is True
    assert "is a GPT2LMHeadModel" in content["refusals"][0]["detail"]
    assert as_json(preflight_models([Parent(model=str(gpt2))]))["refused"] is False


def test_whose_chat_template_the_merged_model_takes_is_told(family: dict[str, Path]) -> None:
    assert ties(family, "tuned").chat_template == "no chat template"
    for name, template in (("base", "{{ messages }}"), ("tuned", "{{ messages[0] }}")):
        (family[name] / "chat_template.jinja").write_text(template)
    found = ties(family, "tuned")
    assert found.chat_template == f"the chat template of {family['base']}"
    told = next(each for each in found.warnings if each.field == "chat_template")
    assert "the parents' differ; the merged model takes the chat template of" in told.detail
    recipe = f"merge_method: passthrough\nmodels: [{{model: {family['base']}}}]\nchat_template: "
    chosen = preflight_recipe(read_recipe(recipe + str(family["tuned"])))
    assert chosen.chat_template == f"the chat template of {family['tuned']}"
    assert not [each for each in chosen.warnings if each.field == "chat_template"]
    (refused,) = preflight_recipe(read_recipe(recipe + str(family["other"]))).refusals
    assert "has no chat template" in refused.detail
    (family["base"] / "chat_template.jinja").write_text("{% if %}")
    broken = next(each for each in ties(family, "tuned").warnings if "is no template" in each.detail)
    assert broken.remedy == "mend it, or name another one"


def test_a_preflight_loads_neither_torch_nor_transformers(family: dict[str, Path]) -> None:
    program = (
        "import sys; from search_spaces import Parent;"
        "from workers.compatibility.preflight import preflight_models;"
        "preflight_models([Parent(model=name) for name in sys.argv[1:]]);"
        "print(sorted({'torch', 'transformers', 'safetensors'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, *map(str, family.values())],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
