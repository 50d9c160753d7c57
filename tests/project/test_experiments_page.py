"""docs/experiments.md says what a spec may say."""

from __future__ import annotations

import re

import pytest
import yaml

from service.cli.program import COMMANDS
from service.experiment.spec import Budget, ExperimentSpec, OptimizerOptions
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "experiments.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_are_specs(text: str) -> None:
    assert ExperimentSpec.model_validate(yaml.safe_load(text)).budget.candidates > 0


def test_every_part_of_a_spec_is_named() -> None:
    plain = {"schema_version", "name", "parents", "base", "seed", "batch_size", "notes", "dtype"}
    elsewhere = {"tasks_path", "baselines", "examination", "backend", "evaluation_timeout"}
    named = set(re.findall(r"\b[a-z_]+\b", PAGE))
    assert ExperimentSpec.model_fields.keys() - plain - elsewhere <= named
    assert Budget.model_fields.keys() <= named
    assert OptimizerOptions.model_fields.keys() - {"sigma", "population", "options"} <= named


def test_every_command_that_is_named_exists() -> None:
    assert set(re.findall(r"evomerge ([a-z]+)", PAGE)) <= COMMANDS.keys()
