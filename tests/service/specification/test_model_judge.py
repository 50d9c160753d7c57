"""A spec may name a language model in a local folder as a judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidSpecError
from service.specification.roots import check_roots
from service.specification.spec_check import check_spec
from tests.evaluators.judges.letters import teach_letters
from tests.tiny_models import save_tiny_model
from tests.workforces import inline_pool
from workers.pools.inline_pool import InlinePool

__all__ = ["inline_pool"]


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("left", "right", "judge")):
        save_tiny_model(tmp_path / name, seed)
    teach_letters(tmp_path / "judge")
    rows = [{"prompt": f"w{n % 28} w{n // 28}", "reference": f"w{n % 5}"} for n in range(150)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    objective = {"kind": "model_judge", "name": "helpful", "file": "prompts.jsonl", "judge": "judge"}
    return {
        "name": "judged",
        "parents": ["./left", "./right"],
        "space": {"kind": "parameter", "method": "linear"},
        "objectives": [objective],
        "budget": {"candidates": 50},
    }


def test_its_folder_is_looked_at_before_any_weights(
    spec: dict[str, Any], tmp_path: Path, inline_pool: InlinePool
) -> None:
    checked = check_spec(spec, inline_pool)
    (benchmark,) = checked.spec.benchmarks
    assert benchmark.judge == str(tmp_path / "judge")
    (facts,) = checked.facts["objectives"]
    assert (facts["metric"], facts["higher_is_better"]) == ("preferred", True)
    (tmp_path / "judge" / "tokenizer_config.json").unlink()
    with pytest.raises(InvalidSpecError, match=r"judge has no tokenizer_config\.json") as caught:
        check_spec(spec, inline_pool)
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/objectives/0/judge"]


def test_it_must_lie_where_models_are_read_from(spec: dict[str, Any], tmp_path: Path) -> None:
    check_roots(spec, [tmp_path])
    elsewhere = spec | {"objectives": [spec["objectives"][0] | {"judge": "/elsewhere/judge"}]}
    with pytest.raises(InvalidSpecError) as caught:
        check_roots(elsewhere, [tmp_path])
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/objectives/0/judge"]


def test_the_parent_that_it_compares_with_must_be_one(spec: dict[str, Any], inline_pool: InlinePool) -> None:
    (objective,) = spec["objectives"]
    checked = check_spec(spec | {"objectives": [objective | {"parent": "left"}]}, inline_pool)
    assert checked.facts["objectives"][0]["metric"] == "preferred"
    with pytest.raises(InvalidSpecError, match="judge names 0 of the experiment's parents") as caught:
        check_spec(spec | {"objectives": [objective | {"parent": "judge"}]}, inline_pool)
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/objectives/0/parent"]
    both = objective | {"task": "gsm8k"}
    with pytest.raises(InvalidSpecError, match="either file or task"):
        check_spec(spec | {"objectives": [both]}, inline_pool)


def test_a_rubric_is_for_it_alone(spec: dict[str, Any], inline_pool: InlinePool) -> None:
    odd = {"kind": "refusals", "file": "prompts.jsonl", "rubric": "Be strict."}
    with pytest.raises(InvalidSpecError, match="a rubric is for kind model_judge"):
        check_spec(spec | {"objectives": [odd]}, inline_pool)
