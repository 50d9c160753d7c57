"""Which models are alike: against the authors' figures, and on checkpoints."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from search_spaces import Parent
from service.cli.exits import Exit
from service.cli.program import app
from tests.tiny_models import save_tiny_model
from tests.workers.merging.extra_cases import common_inputs, parameters_of
from workers.errors import CheckpointError, MergeError
from workers.merging.kinship import KinshipSums, kinship
from workers.pools.inline_pool import InlinePool
from workers.protocol.kinship_orders import Kinship, KinshipInquiry, KinshipReport

EXPECTED = parameters_of("model_kinship")
NAMES = ("a", "b", "c")


def sums_of(models: list[dict[str, Tensor]], base: dict[str, Tensor] | None) -> tuple[Kinship, ...]:
    sums = KinshipSums(len(models))
    for name in models[0]:
        weights = [model[name] for model in models]
        columns = weights[0].dim() == 2 and "mlp" in name
        sums.add(weights, None if base is None else base[name], columns=columns)
    return sums.pairs()


def test_kinship_is_what_the_authors_code_gives() -> None:
    found = sums_of([common_inputs(f"model_{name}") for name in NAMES], common_inputs("base"))
    for pair, (first, second) in zip(found, combinations(NAMES, 2), strict=True):
        whole, means = (
            EXPECTED[part][first + second] for part in ("whole_model", "param_weighted_per_tensor")
        )
        assert pair.correlation == pytest.approx(whole["pcc"], rel=1e-5)
        assert pair.cosine == pytest.approx(whole["cs"], rel=1e-5)
        assert pair.distance == pytest.approx(whole["ed"], rel=1e-5)
        assert pair.mean_correlation == pytest.approx(means["pcc"], rel=1e-5)
        assert pair.mean_cosine == pytest.approx(means["cs"], rel=1e-5)
        assert pair.mean_distance == pytest.approx(means["ed"], rel=1e-5)
        columns = EXPECTED["model_glue_sim_mlp_per_column_mean"]["of_weights"][first + second]
        assert pair.column_cosine == pytest.approx(columns, rel=1e-5)


def test_models_that_did_not_move_are_like_no_other_and_not_nan() -> None:
    base, moved = common_inputs("base"), common_inputs("model_a")
    (pair,) = sums_of([base, moved], base)
    assert (pair.correlation, pair.cosine, pair.mean_cosine) == (0.0, 0.0, 0.0)
    assert pair.distance > 0.0
    (same,) = sums_of([moved, moved], base)
    assert same.cosine == pytest.approx(1.0)
    assert same.distance == pytest.approx(0.0, abs=1e-6)


def tiny(folder: Path, *names: str) -> tuple[Parent, ...]:
    return tuple(Parent(model=str(save_tiny_model(folder / name, seed))) for seed, name in enumerate(names))


def test_a_job_tells_every_pair_of_checkpoints(tmp_path: Path) -> None:
    base, *parents = tiny(tmp_path, "base", "left", "right", "third")
    pool = InlinePool()
    try:
        found = pool.run_job(KinshipInquiry(tuple(parents), base))
    finally:
        pool.close()
    assert isinstance(found, KinshipReport)
    assert [(pair.first, pair.second) for pair in found.pairs] == [(0, 1), (0, 2), (1, 2)]
    assert found.between(2, 0) == found.pairs[1]
    left, right, start = (
        torch.cat([t.flatten() for _, t in sorted(load_file(Path(m.model) / "model.safetensors").items())])
        for m in (parents[0], parents[1], base)
    )
    expected = torch.corrcoef(torch.stack([left - start, right - start]).double())[0, 1]
    assert found.pairs[0].correlation == pytest.approx(float(expected), abs=1e-9)
    assert found.left_out == 0


def test_tensors_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    first, second = tiny(tmp_path, "first", "second")
    path = Path(second.model) / "model.safetensors"
    weights = load_file(path)
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:-2].clone()
    save_file(weights, path)
    config = path.with_name("config.json")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vocab_size": 30}))
    found = kinship(KinshipInquiry((first, second)))
    assert found.left_out == 1
    assert found.tensors == len(weights) - 1


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    first, second = tiny(tmp_path, "first", "second")
    with pytest.raises(MergeError, match="two or more"):
        kinship(KinshipInquiry((first,)))
    with pytest.raises(CheckpointError, match="there is no folder"):
        kinship(KinshipInquiry((first, Parent(model=str(tmp_path / "nowhere")))))
    path = Path(second.model) / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"][0] = math.nan
    save_file(weights, path)
    with pytest.raises(MergeError, match=r"second: model\.norm\.weight: 1 of 16 values"):
        kinship(KinshipInquiry((first, second)))


def test_families_are_founded_by_whoever_fits_none() -> None:
    cosines = {(0, 1): 0.99, (0, 2): 0.2, (0, 3): 0.1, (1, 2): 0.1, (1, 3): 0.1, (2, 3): 0.97}
    pairs = tuple(Kinship(*pair, 0, 0, 0, 0, 0, 0, cosine) for pair, cosine in cosines.items())
    report = KinshipReport(tuple(Parent(model=name) for name in "abcd"), pairs, 1)
    assert report.families() == ((0, 1), (2, 3))
    assert report.families(0.98) == ((0, 1), (2,), (3,))
    assert report.families(-1.0) == ((0, 1, 2, 3),)


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    base, left, right = (parent.model for parent in tiny(tmp_path, "base", "left", "right"))
    shown = CliRunner().invoke(app, ["kinship", left, right, "--base", base])
    assert shown.exit_code == 0, shown.output
    assert "CORRELATION" in shown.output
    assert "Families" in shown.output
    written = CliRunner().invoke(app, ["kinship", left, right, "--json", "--threshold", "-1"])
    content = json.loads(written.stdout)
    assert content["families"] == [[0, 1]]
    assert content["pairs"][0]["distance"] > 0.0
    missing = CliRunner().invoke(app, ["kinship", left, str(tmp_path / "nowhere")])
    assert missing.exit_code == Exit.INVALID
    assert "there is no folder" in missing.output
