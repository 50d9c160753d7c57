"""Methods on singular vectors against reference implementations, and at their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from search_spaces.catalogue.methods import METHODS, MethodParameter
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from tests.workers.merging.extra_cases import WholeMerge, common_inputs, expected_of, parameters_of
from tests.workers.merging.golden_cases import furthest
from tests.workers.merging.small_parents import SmallParents
from workers.errors import MergeError
from workers.merging.arithmetic.singular_vectors import nearest_orthonormal, singular_vectors
from workers.merging.methods import KERNELS, PREPARATIONS
from workers.merging.plan import plan_merge
from workers.merging.stream import merged_tensors

TSVM_CASES = {case["case"]: case for case in parameters_of("tsvm")["cases"]}
OPCM_CASES = {case["case"]: case for case in parameters_of("opcm")["cases"]}
SPECTRAL = sorted(PREPARATIONS.keys() - {"svd_scaling"})  # which has a file of its own
TOLERANCE = 2e-5  # as the references compute in float32


def merge(method: str, models: Sequence[str] = "abc", **values: Any) -> dict[str, Tensor]:
    parents = [common_inputs(f"model_{letter}") for letter in models]
    return WholeMerge(method, parents, common_inputs("base"), **values).merged()


def check(merged: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> None:
    assert merged.keys() == expected.keys()
    for name, tensor in expected.items():
        assert furthest(merged[name], tensor) <= tolerance, name


@pytest.mark.parametrize("name", sorted(TSVM_CASES))
def test_tsvm_gives_what_the_references_give(name: str) -> None:
    case = TSVM_CASES[name]
    merged = merge(
        "tsvm",
        case.get("models", "abc"),
        exclude_embeddings=float("exclude_keys" in case),
        variant="lossless" if "lossless" in name else "reduced",
        **{"lambda": case["alpha"]},
    )
    check(merged, expected_of("tsvm", name), TOLERANCE)


def test_iso_c_gives_what_the_reference_gives() -> None:
    for case in parameters_of("iso_bonus")["cases"]:
        merged = merge("iso_c", exclude_embeddings=0.0, **{"lambda": case["alpha"]})
        check(merged, expected_of("iso_bonus", case["case"]), TOLERANCE)


@pytest.mark.parametrize("name", sorted(OPCM_CASES))
def test_opcm_gives_what_the_reference_gives(name: str) -> None:
    case = OPCM_CASES[name]
    check(merge("opcm", case["order"], alpha=case["alpha"]), expected_of("opcm", name), TOLERANCE)


def test_twin_merging_gives_what_its_formulas_give() -> None:
    for case in parameters_of("twin_merging_derived")["cases"]:
        merged = merge(
            "twin_merging",
            weight=case["router_weights"],
            rank=case["rank"],
            shared_weight=0.4,
            exclude_embeddings=0.0,
        )
        check(merged, expected_of("twin_merging_derived", case["case"]), 1e-5)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def one_tensor(
    method: str, parents: Sequence[Tensor], base: Tensor, name: str = "layers.0.mlp.up_proj", **values: Any
) -> Tensor:
    return WholeMerge(
        method, [{name: p} for p in parents], {name: base}, **weights(method), **values
    ).merged()[name]


def weights(method: str) -> dict[str, Any]:
    """Returns a value for the parameters without a default."""
    return {p.name: 0.5 for p in METHODS[method].parameters if p.default is None}


@pytest.fixture(params=SPECTRAL)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_parents_that_are_the_base_give_the_base(method: str) -> None:
    base = draw(0, 6, 5)
    assert torch.equal(one_tensor(method, [base, base], base), base)


@pytest.mark.parametrize(
    "shape", [(7,), (1, 5), (5, 1), (2, 2), (2, 3, 4), (2, 2, 3, 3), (0,), (0, 4), (4, 0)]
)
def test_a_merge_survives_tensors_of_any_shape(method: str, shape: tuple[int, ...]) -> None:
    base, *parents = (draw(i, *shape) for i in range(4))
    for some in (parents, parents[:1], [parents[0], parents[0]], [parents[0], base]):
        merged = one_tensor(method, some, base)
        assert merged.shape == shape
        assert bool(torch.isfinite(merged).all())


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("shape", [(6, 5), (6,)])
def test_a_broken_number_shows_in_its_tensor_and_in_no_other(
    method: str, broken: float, shape: tuple[int, ...]
) -> None:
    base, *parents = ({"sick": draw(i, *shape), "sound": draw(i + 9, 4, 4)} for i in range(4))
    parents[1]["sick"][2] = broken
    merged = WholeMerge(method, parents, base, **weights(method)).merged()
    assert not bool(torch.isfinite(merged["sick"]).all())
    assert bool(torch.isfinite(merged["sound"]).all())


def test_the_number_of_threads_changes_no_bit(method: str) -> None:
    base, *parents = (draw(i, 120, 90) for i in range(4))
    before, merged = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            merged.append(one_tensor(method, parents, base))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*merged)


def test_low_precision_parents_are_merged_in_float32(method: str) -> None:
    base, *parents = (draw(i, 8, 6).bfloat16() for i in range(4))
    merged = one_tensor(method, parents, base)
    exact = one_tensor(method, [parent.double() for parent in parents], base.double())
    assert merged.dtype == torch.float32
    assert exact.dtype == torch.float64
    assert furthest(merged, exact) <= 1e-6


def test_what_is_prepared_depends_on_the_parameters_that_say_so(method: str) -> None:
    """A search keeps prepared tensors for all candidates that agree in these parameters."""
    depends_on = PREPARATIONS[method].depends_on
    declared = [parameter.name for parameter in METHODS[method].parameters]
    assert set(depends_on) <= set(declared)
    names = ("model.embed_tokens.weight", "layers.0.mlp.gate_up_proj.weight", "layers.0.mlp.down_proj.weight")
    models = [{name: draw(5 * m + i, 12, 10) ** 3 for i, name in enumerate(names)} for m in range(4)]

    def prepared(**values: Any) -> list[Tensor]:
        merge = WholeMerge(method, models[1:], models[0], **(weights(method) | values))
        return [t for portion in merge.portions() for t in PREPARATIONS[method].make(portion.load())]

    plain = prepared()
    for parameter in METHODS[method].parameters:
        other: Any = parameter.choices[-1] if parameter.kind == "choice" else _another(parameter)
        changed = prepared(**{parameter.name: other})
        same = all(torch.equal(a, b) for a, b in zip(plain, changed, strict=True))
        assert same is (parameter.name not in depends_on), parameter.name


def _another(parameter: MethodParameter) -> float:
    others = {"exclude_embeddings": 0.0, "split_fused": 0.0, "sparsity": 0.2, "outliers": 1.0}
    if parameter.name == "rank":
        return 2.0 if parameter.high > 1.0 else 0.4
    return others.get(parameter.name, 0.25)


def test_embeddings_and_heads_are_averaged_unless_wanted() -> None:
    base, *parents = (draw(i, 12, 8) for i in range(3))
    mean = base + sum(((p - base) / 2 for p in parents), torch.zeros(()))
    for name in ("model.embed_tokens.weight", "lm_head.weight", "transformer.wte.weight", "embed_out.weight"):
        assert furthest(one_tensor("tsvm", parents, base, name), mean) <= 1e-6
        decomposed = one_tensor("tsvm", parents, base, name, exclude_embeddings=0.0)
        assert torch.equal(decomposed, one_tensor("tsvm", parents, base))


def prepared_tensors(
    method: str, parents: Sequence[Tensor], base: Tensor, name: str = "layers.0.mlp.up_proj", **values: Any
) -> tuple[Tensor, ...]:
    merge = WholeMerge(
        method, [{name: p} for p in parents], {name: base}, **(weights(method) | {"rank": 1.0} | values)
    )
    return PREPARATIONS[method].make(merge.portions()[0].load())


@pytest.mark.parametrize(
    ("name", "shape", "axis", "blocks"),
    [
        ("layers.0.mlp.gate_up_proj.weight", (12, 5), 0, 2),
        ("layers.0.self_attn.qkv_proj.weight", (18, 6), 0, 3),
        ("h.0.attn.c_attn.weight", (6, 18), 1, 3),
    ],
)
def test_layers_that_hold_several_matrices_are_merged_matrix_by_matrix(
    method: str, name: str, shape: tuple[int, int], axis: int, blocks: int
) -> None:
    base, *parents = (draw(i, *shape) for i in range(3))
    parts = [tensor.chunk(blocks, axis) for tensor in (base, *parents)]
    apart = [prepared_tensors(method, [p[b] for p in parts[1:]], parts[0][b]) for b in range(blocks)]
    whole = prepared_tensors(method, parents, base, name)
    for made, pieces in zip(whole, zip(*apart, strict=True), strict=True):
        assert torch.equal(made, torch.cat(pieces, axis))
    unsplit = prepared_tensors(method, parents, base, name, split_fused=0.0)
    plain = prepared_tensors(method, parents, base)
    assert all(torch.equal(one, other) for one, other in zip(unsplit, plain, strict=True))


def test_query_key_and_value_of_unequal_sizes_are_one_matrix() -> None:
    base, *parents = (draw(i, 10, 6) for i in range(3))
    merged = one_tensor("tsvm", parents, base, "layers.0.self_attn.qkv_proj.weight")
    assert torch.equal(merged, one_tensor("tsvm", parents, base))


def test_equal_parents_share_their_singular_vectors() -> None:
    base, parent = draw(0, 8, 6), draw(1, 8, 6)
    for variant in ("reduced", "lossless"):
        twice = one_tensor("tsvm", [parent, parent], base, variant=variant)
        kept = singular_vectors((parent - base).double(), 3 if variant == "reduced" else None)
        assert furthest(twice, base + kept.product().float()) <= 1e-6


def test_a_parent_that_left_a_matrix_as_it_was_does_not_turn_the_others() -> None:
    base, parent = draw(0, 8, 6), draw(1, 8, 6)
    merged = one_tensor("tsvm", [base, parent], base)
    kept = singular_vectors((parent - base).double(), 3)
    assert furthest(merged, base + kept.product().float()) <= 1e-6


def test_more_parents_than_ranks_are_averaged() -> None:
    base, *parents = (draw(i, 3, 4) for i in range(6))
    mean = base + torch.stack([parent - base for parent in parents]).mean(0)
    for name in ("tsvm", "r_tsvm"):
        assert furthest(one_tensor(name, parents, base), mean) <= 1e-6


def test_opcm_gives_the_merged_task_vector_the_mean_norm_of_the_task_vectors() -> None:
    shapes = {"layers.0.mlp.up_proj": (8, 6), "layers.0.norm": (6,), "model.embed_tokens": (10, 6)}
    base, *parents = ({n: draw(10 * m + i, *s) for i, (n, s) in enumerate(shapes.items())} for m in range(4))

    def norm(model: Mapping[str, Tensor]) -> float:
        return float(torch.cat([(model[n] - base[n]).flatten() for n in base]).double().norm())

    merged = WholeMerge("opcm", parents, base, alpha=0.3).merged()
    assert norm(merged) == pytest.approx(sum(norm(parent) for parent in parents) / 3, rel=1e-6)
    alone = WholeMerge("opcm", parents[:1], base).merged()
    check(alone, parents[0], 1e-6)


def test_opcm_with_an_alpha_of_one_keeps_off_everything_merged_before() -> None:
    base, first = torch.zeros(6, 6), torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.0, 0.0, 0.0]))
    second = draw(1, 6, 6)
    merged = one_tensor("opcm", [first, second], base, alpha=1.0)
    ratio = float(merged[0, 0] / first[0, 0])
    assert furthest(merged[:3, :3], ratio * first[:3, :3]) <= 1e-6
    assert furthest(merged[3:], ratio * second[3:]) <= 1e-6


def test_twin_merging_of_full_rank_and_one_router_weight_is_that_parent() -> None:
    base, *parents = (draw(i, 8, 6) for i in range(4))
    values: dict[str, Any] = {"weight": [0.0, 1.0, 0.0], "rank": 6.0, "shared_weight": 0.4}
    merged = WholeMerge("twin_merging", [{"w": p} for p in parents], {"w": base}, **values).merged()
    assert furthest(merged["w"], parents[1]) <= 1e-6
    with pytest.raises(MergeError, match=r"rank: 2.5 singular vectors"):
        one_tensor("twin_merging", parents, base, rank=2.5)


def test_r_tsvm_without_outliers_and_sparsity_is_tsvm() -> None:
    base, *parents = (draw(i, 9, 8) for i in range(3))
    plain = one_tensor("r_tsvm", parents, base, outlier_exponent=0.0, sparsity=0.0)
    assert furthest(plain, one_tensor("tsvm", parents, base)) <= 1e-6
    assert METHODS["r_tsvm"].experimental


@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_r_tsvm_weighs_parents_by_their_outliers(granularity: str) -> None:
    # Blocks that share no row or column stay apart, so that only the weights can change them.
    first, second = torch.zeros(8, 8), torch.zeros(8, 8)
    first[:4, :4], second[4:, 4:] = draw(1, 4, 4), draw(2, 4, 4) ** 3
    values: dict[str, Any] = {"granularity": granularity, "outliers": 1.0, "sparsity": 0.0}
    merged = one_tensor("r_tsvm", [first, second], torch.zeros(8, 8), **values)
    axis = 1 if granularity == "row" else None
    outliers = []
    for parent in (first, second):
        size = parent.abs().double().numpy()
        bound = size.mean(axis, keepdims=True) + size.std(axis, keepdims=True)
        outliers.append((size * (size > bound)).sum(axis, keepdims=True))
    weights_2 = [2 * own / sum(outliers) for own in outliers]
    expected = torch.from_numpy(weights_2[0]) * first + torch.from_numpy(weights_2[1]) * second
    assert furthest(merged, expected) <= 1e-6


def test_r_tsvm_gives_dense_parents_more_ranks() -> None:
    dense, sparse = draw(1, 8, 8), torch.zeros(8, 8)
    sparse[0, 0], sparse[1, 1] = 1.0, 0.5
    made = prepared_tensors("r_tsvm", [dense, sparse], torch.zeros(8, 8))
    assert [len(singular_vectors(tensor.double()).s) for tensor in made] == [7, 1]


@pytest.mark.parametrize("shape", [(70, 90), (90, 70), (520, 600), (600, 520)])
def test_large_matrices_have_the_singular_vectors_of_the_full_decomposition(shape: tuple[int, int]) -> None:
    shorter = min(shape)
    spectrum = torch.logspace(0, -4, shorter, dtype=torch.float64)
    left = torch.linalg.qr(draw(1, shape[0], shorter).double()).Q
    matrix = (left * spectrum) @ torch.linalg.qr(draw(2, shape[1], shorter).double()).Q.T
    for count in (60, None):
        fast, full = singular_vectors(matrix, count), singular_vectors(matrix, count, directly=True)
        torch.testing.assert_close(fast.s, full.s, rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(fast.product(), full.product(), rtol=0, atol=1e-9)
        # The signs of singular vectors are free, but go together.
        torch.testing.assert_close(fast.u @ fast.v.T, full.u @ full.v.T, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(100, 80), (80, 80), (70, 90)])
def test_many_columns_have_the_nearest_orthonormal_ones(shape: tuple[int, int]) -> None:
    columns = draw(1, *shape).double()
    columns[:, -1] = columns[:, 0]  # one direction comes twice
    u, s, vt = torch.linalg.svd(columns, full_matrices=False)
    kept = s > 1e-6 * s[0]

    found = nearest_orthonormal(columns)

    torch.testing.assert_close(found, u[:, kept] @ vt[kept], rtol=0, atol=1e-9)


def test_what_nothing_determines_is_left_out() -> None:
    rank_two = draw(1, 30, 2).double() @ draw(2, 2, 20).double()
    found = singular_vectors(rank_two)
    assert found.u.shape == (30, 2)
    assert len(singular_vectors(torch.zeros(4, 3, dtype=torch.float64)).s) == 0
    columns = draw(3, 30, 2).double().repeat(1, 2)
    torch.testing.assert_close(
        nearest_orthonormal(columns), nearest_orthonormal(columns[:, :2]).repeat(1, 2) / 2**0.5
    )


def test_every_kernel_of_a_preparation_is_in_the_table() -> None:
    assert PREPARATIONS.keys() <= KERNELS.keys()


@pytest.mark.parametrize("method", [*SPECTRAL, "pcb", "consensus", "tall_mask"])
def test_a_recipe_file_is_merged_survey_and_all(parents: SmallParents, method: str) -> None:
    choices = {p.name: p.choices[-1] for p in METHODS[method].parameters if p.kind == "choice"}
    content = {
        "merge_method": method,
        "base_model": parents.base.model,
        "models": [{"model": p.model} for p in (parents.left, parents.right, parents.third)],
        "parameters": {"lambda": 0.5} | weights(method) | choices,
    }
    if method == "twin_merging":
        content["parameters"] = weights(method)
    recipe = read_recipe(yaml.safe_dump(content))
    plan = plan_merge(recipe, parents.layouts(*recipe.all_parents))
    first, again = (dict(merged_tensors(plan, parents.read)) for _ in range(2))
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    changed = [
        name for name, tensor in first.items() if not torch.equal(tensor, parents.read(parents.base, name))
    ]
    assert changed == list(first)
