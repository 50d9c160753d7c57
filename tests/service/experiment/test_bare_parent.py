from __future__ import annotations

from typing import Any

import pytest

from search_spaces import Parent, Recipe
from service.experiment.bare_parent import bare_parent, unbeaten
from service.experiment.candidate import CandidateKind

WEIGHT = {"weight": [{"value": 1.0}]}
HALF = {"weight": [{"value": 0.5}]}


def source(parent: str = "/m/a", **changes: Any) -> dict[str, Any]:
    return {"parent": parent, **changes}


def recipe(method: str, *slices: list[dict[str, Any]], **changes: Any) -> Recipe:
    return Recipe.model_validate(
        {"method": method, "slices": [{"sources": sources} for sources in slices], **changes}
    )


@pytest.mark.parametrize(
    "copying",
    [
        recipe("passthrough", [source()]),
        recipe("passthrough", [source()], out_dtype="bfloat16"),
        recipe("passthrough", [source(layers=(0, 4))]),
        recipe("passthrough", [source(layers=(0, 1))], [source(layers=(1, 4))]),
        recipe("linear", [source(parameters=WEIGHT)]),
    ],
)
def test_a_model_as_it_is_is_recognised_however_it_is_written(copying: Recipe) -> None:
    assert bare_parent(copying, 4) == Parent(model="/m/a")


@pytest.mark.parametrize(
    "merging",
    [
        recipe("linear", [source(parameters=HALF), source("/m/b", parameters=HALF)]),
        recipe("linear", [source(parameters=HALF)]),
        recipe("passthrough", [source(layers=(0, 3))]),
        recipe("passthrough", [source(layers=(1, 4))], [source(layers=(0, 1))]),
        recipe("passthrough", [source(layers=(0, 2))], [source("/m/b", layers=(2, 4))]),
        recipe("passthrough", [source(parameters={"scale": [{"value": 2.0}]})]),
        recipe("passthrough", [source()], tokenizer="/m/b"),
        recipe("task_arithmetic", [source(parameters=WEIGHT)], base="/m/base"),
    ],
)
def test_any_other_model_is_a_merge(merging: Recipe) -> None:
    assert bare_parent(merging, 4) is None


@pytest.mark.parametrize(
    ("kind", "label", "said"),
    [
        ("parent", "parent: left", "no merge beat parent left"),
        ("base", "base: plain", "no merge beat base plain"),
        ("average", "plain average", "no merge that the search found beat the baseline plain average"),
        ("baseline", "parent: mine", "no merge that the search found beat the baseline parent: mine"),
        ("evolved", None, None),
        ("mean", "distribution's mean", None),
    ],
)
def test_a_winner_that_the_search_did_not_find_is_named(
    kind: str, label: str | None, said: str | None
) -> None:
    assert unbeaten(CandidateKind(kind), label) == said
