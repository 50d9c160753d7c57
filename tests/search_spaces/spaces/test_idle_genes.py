"""Genes that can do nothing are found by what they change, in every kind of space."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from search_spaces import Parent, ParentPool, Recipe, SearchSpace, SpaceOptions, build_space
from search_spaces.genome import initial_genome
from search_spaces.spaces.idle_genes import Changed, idle_genes
from search_spaces.spaces.pinned import PinnedSpace

LEFT, RIGHT, BASE = (Parent(model=f"/models/{name}") for name in ("left", "right", "base"))
POOL = ParentPool((LEFT, RIGHT), BASE, layers=4)
KINDS = ("self_attn.q_proj.weight", "mlp.up_proj.weight")


def tensors(*layers: int | None) -> Changed:
    """Both kinds in these layers; None is the embeddings."""
    found: list[tuple[str, int | None]] = []
    for layer in layers:
        if layer is None:
            found.append(("model.embed_tokens.weight", None))
        else:
            found += [(f"model.layers.{layer}.{kind}", layer) for kind in KINDS]
    return Changed(tuple(found))


def space(**options: Any) -> SearchSpace:
    read: Any = TypeAdapter(SpaceOptions).validate_python(options)
    return build_space(read, POOL)


def found(changed: Changed, **options: Any) -> tuple[str, ...]:
    return idle_genes(space(**options), POOL, {LEFT: changed})


def test_a_group_in_which_a_parent_equals_the_base_has_no_gene_of_it() -> None:
    assert found(tensors(2, 3), layer_groups=2) == ("weight of left (group 0)",)
    assert found(tensors(0, 1, 2, 3), layer_groups=2) == ()
    assert found(tensors(1, 2, 3), layer_groups=2) == ()


def test_densities_go_with_weights() -> None:
    assert found(tensors(2, 3), method="ties", layer_groups=2) == (
        "weight of left (group 0)",
        "density of left (group 0)",
    )


def test_embeddings_count_to_the_group_that_speaks_for_them() -> None:
    assert found(tensors(2, 3, None), layer_groups=2) == ()
    assert found(tensors(2, 3, None), layer_groups=2, outer_genes=True) == ("weight of left (group 0)",)
    assert "weight of left (outside the layers)" in found(tensors(0, 1, 2, 3), outer_genes=True)


def test_a_filters_gene_is_idle_where_its_tensors_are_the_bases() -> None:
    only_mlp = Changed(tuple(pair for pair in tensors(0, 1, 2, 3).tensors if "mlp" in pair[0]))
    assert found(only_mlp, filters=["self_attn"]) == ("weight of left (group 0, self_attn)",)


def test_a_gradients_knot_acts_as_far_as_the_next_one() -> None:
    assert found(tensors(3), layer_groups=4, smooth=True) == (
        "weight of left (group 0)",
        "weight of left (group 1)",
        "weight of left (group 2)",
    )
    assert found(tensors(2), layer_groups=2, smooth=True) == ()


@pytest.mark.parametrize(
    "options",
    [
        {"method": "linear"},
        {"fixed": {"normalize": True}},
        {"method": "ties", "fixed": {"granularity": "global"}},
    ],
)
def test_where_weights_are_divided_by_or_thresholds_are_the_models_every_gene_counts(
    options: dict[str, Any],
) -> None:
    assert found(tensors(2, 3), layer_groups=2, **options) == ()


def test_a_gene_that_one_of_several_methods_reads_is_searched() -> None:
    assert found(tensors(2, 3), methods=["task_arithmetic", "linear"], layer_groups=2) == ()
    both = found(tensors(2, 3), methods=["task_arithmetic", "ties"], layer_groups=2)
    assert "weight of left (group 0)" in both


def test_joint_spaces_pin_what_the_mixture_does_not_need() -> None:
    parts = {"parameter": {"layer_groups": 2}, "stacking": {"kind": "structured_stacking", "spans": 2}}
    assert found(tensors(2, 3), kind="joint", **parts) == ("weight of left (group 0)",)


def test_a_pinned_space_expresses_the_same_models_with_fewer_genes() -> None:
    whole = space(layer_groups=2)
    pinned = PinnedSpace(whole, found(tensors(2, 3), layer_groups=2))
    assert len(pinned.variables) == 3
    genome = (1.0, 0.25, 0.75)
    recipe = pinned.decode(genome)
    assert isinstance(recipe, Recipe)
    assert pinned.encode(recipe) == genome
    other = whole.decode((1.5, *genome))
    assert isinstance(other, Recipe)
    assert pinned.encode(other) == genome
    assert len(initial_genome(pinned.variables)) == 3
