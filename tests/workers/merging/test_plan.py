"""Which tensors feed which, with what coefficients, and what is refused before a weight is read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from search_spaces import Parent, Recipe, Slice, Source
from search_spaces.recipes.settings import Parameter, Setting, constant
from tests.workers.merging.small_parents import VOCABULARY, SmallParents, small_tensors
from workers.errors import MergeError, MismatchError
from workers.merging.plan import MergePlan, TensorPlan, mask_seed, plan_merge

QUERY = "self_attn.q_proj.weight"


def source(parent: Parent, layers: tuple[int, int] | None = None, **parameters: float | Parameter) -> Source:
    return Source(
        parent=parent,
        layers=layers,
        parameters={k: constant(v) if isinstance(v, float) else v for k, v in parameters.items()},
    )


def linear(parents: Sequence[Parent], **fields: object) -> Recipe:
    whole = Slice(sources=tuple(source(parent, weight=0.5) for parent in parents))
    return Recipe.model_validate({"method": "linear", "slices": (whole,), **fields})


def stack(*parts: tuple[Parent, int, int]) -> Recipe:
    slices = tuple(Slice(sources=(source(parent, (start, end)),)) for parent, start, end in parts)
    return Recipe(method="passthrough", slices=slices)


def planned(parents: SmallParents, recipe: Recipe) -> MergePlan:
    return plan_merge(recipe, parents.layouts(*recipe.all_parents))


def tensors(plan: MergePlan) -> dict[str, TensorPlan]:
    return {tensor.name: tensor for tensor in plan.tensors}


def test_a_plan_names_every_tensor_once_in_the_models_order(parents: SmallParents) -> None:
    plan = planned(parents, linear([parents.left, parents.right]))
    names = [tensor.name for tensor in plan.tensors]
    assert plan.layers == 3
    assert names[0] == "model.embed_tokens.weight"
    assert set(names[-2:]) == {"model.norm.weight", "lm_head.weight"}
    assert sorted(names) == sorted(small_tensors(0))
    assert tensors(plan)["model.norm.weight"].per_parent == {"weight": (0.5, 0.5)}


def test_stacked_layers_are_renumbered_and_remember_where_they_came_from(parents: SmallParents) -> None:
    plan = planned(parents, stack((parents.left, 0, 2), (parents.right, 1, 3), (parents.left, 0, 1)))
    origins = {name: tensor.inputs[0] for name, tensor in tensors(plan).items()}
    assert plan.layers == 5
    found = [
        (origins[f"model.layers.{i}.{QUERY}"].parent, origins[f"model.layers.{i}.{QUERY}"].tensor)
        for i in range(5)
    ]
    assert found == [
        (parents.left, f"model.layers.0.{QUERY}"),
        (parents.left, f"model.layers.1.{QUERY}"),
        (parents.right, f"model.layers.1.{QUERY}"),
        (parents.right, f"model.layers.2.{QUERY}"),
        (parents.left, f"model.layers.0.{QUERY}"),
    ]


def test_embeddings_belong_to_the_first_slice_and_the_head_to_the_last(parents: SmallParents) -> None:
    plan = tensors(planned(parents, stack((parents.left, 0, 2), (parents.right, 1, 3))))
    assert plan["model.embed_tokens.weight"].inputs[0].parent == parents.left
    assert plan["model.norm.weight"].inputs[0].parent == parents.right
    assert plan["lm_head.weight"].inputs[0].parent == parents.right


def test_all_sources_of_the_last_slice_make_the_head_even_if_the_first_has_fewer(
    parents: SmallParents,
) -> None:
    part = Slice(sources=(source(parents.left, (0, 1), weight=1.0),))
    both = Slice(sources=tuple(source(p, (1, 3), weight=0.5) for p in (parents.left, parents.right)))
    plan = tensors(planned(parents, Recipe(method="linear", slices=(part, both))))
    assert len(plan["lm_head.weight"].inputs) == 2


def test_gradients_run_from_the_first_layer_of_a_slice_to_its_last(parents: SmallParents) -> None:
    weight = (Setting(value=(0.0, 1.0)),)
    whole = Slice(sources=(source(parents.left, weight=weight), source(parents.right, weight=1.0)))
    plan = tensors(planned(parents, Recipe(method="linear", slices=(whole,))))
    found = [plan[f"model.layers.{i}.{QUERY}"].per_parent["weight"][0] for i in range(3)]
    assert found == [0.0, 0.5, 1.0]
    # Outside the layers a gradient stands at its beginning, in the head as well.
    assert plan["lm_head.weight"].per_parent["weight"][0] == 0.0


def test_the_only_layer_of_a_slice_lies_at_the_end_of_a_gradient(parents: SmallParents) -> None:
    weight = (Setting(value=(0.0, 1.0)),)
    slices = tuple(Slice(sources=(source(parents.left, (i, i + 1), weight=weight),)) for i in range(2))
    plan = tensors(planned(parents, Recipe(method="linear", slices=slices)))
    assert plan[f"model.layers.0.{QUERY}"].per_parent["weight"] == (1.0,)


def test_filters_of_a_parent_see_its_own_names_and_shared_filters_the_merged_ones(
    parents: SmallParents,
) -> None:
    own = (Setting(value=0.25, filter="layers.2."), Setting(value=0.75))
    shared = (Setting(value=0.0, filter="layers.0."), Setting(value=1.0))
    part = Slice(sources=(source(parents.left, (2, 3), weight=own),))
    recipe = Recipe(method="linear", slices=(part,), parameters={"normalize": shared})
    tensor = tensors(planned(parents, recipe))[f"model.layers.0.{QUERY}"]
    assert tensor.per_parent["weight"] == (0.25,)
    assert tensor.shared["normalize"] == 0.0


def test_the_base_is_no_parent_of_a_method_on_task_vectors(parents: SmallParents) -> None:
    part = Slice(sources=(source(parents.base, density=0.1), source(parents.left, weight=0.5)))
    plan = tensors(planned(parents, Recipe(method="ties", slices=(part,), base=parents.base)))
    tensor = plan["lm_head.weight"]
    assert [item.parent for item in tensor.inputs] == [parents.left]
    assert tensor.base is not None
    assert tensor.base.parent == parents.base


def test_the_base_is_a_parent_of_an_average(parents: SmallParents) -> None:
    plan = tensors(planned(parents, linear([parents.base, parents.left], base=parents.base)))
    assert [item.parent for item in plan["lm_head.weight"].inputs] == [parents.base, parents.left]
    assert plan["lm_head.weight"].base is None


def test_slerp_starts_from_the_base_wherever_it_is_listed_and_a_slice_may_have_its_own(
    parents: SmallParents,
) -> None:
    def part(layers: tuple[int, int], base: Parent | None) -> Slice:
        return Slice(sources=(source(parents.left, layers), source(parents.right, layers)), base=base)

    slices = (part((0, 2), None), part((2, 3), parents.right))
    recipe = Recipe(method="slerp", slices=slices, base=parents.left, parameters={"t": constant(0.2)})
    plan = tensors(planned(parents, recipe))
    assert [i.parent for i in plan["model.embed_tokens.weight"].inputs] == [parents.left, parents.right]
    assert [i.parent for i in plan[f"model.layers.2.{QUERY}"].inputs] == [parents.right, parents.left]
    assert [i.parent for i in plan["lm_head.weight"].inputs] == [parents.right, parents.left]


def test_a_base_that_is_not_listed_gives_the_layers_of_the_first_source(parents: SmallParents) -> None:
    part = Slice(sources=(source(parents.left, (1, 3), weight=1.0),))
    plan = tensors(planned(parents, Recipe(method="ties", slices=(part,), base=parents.base)))
    base = plan[f"model.layers.0.{QUERY}"].base
    assert base is not None
    assert base.tensor == f"model.layers.1.{QUERY}"


def test_the_owner_is_the_tokenizers_parent(parents: SmallParents) -> None:
    assert planned(parents, linear([parents.left, parents.right])).owner.parent == parents.left
    recipe = linear([parents.left, parents.right], tokenizer=parents.third)
    assert planned(parents, recipe).owner.parent == parents.third


def test_seeds_depend_on_the_recipes_seed_the_parent_and_the_tensor_alone(parents: SmallParents) -> None:
    def seeds(sources: Sequence[Parent], seed: int, layers: tuple[int, int] | None = None) -> dict[str, int]:
        part = Slice(sources=tuple(source(p, layers, weight=0.5) for p in sources))
        recipe = Recipe(method="dare_ties", slices=(part,), base=parents.base, seed=seed)
        plan = planned(parents, recipe)
        return {
            item.tensor: seed
            for tensor in plan.tensors
            for item, seed in zip(tensor.inputs, tensor.seeds, strict=True)
            if item.parent == parents.left
        }

    alone = seeds([parents.left], 1)
    assert seeds([parents.right, parents.left, parents.third], 1) == alone
    assert seeds([parents.left], 1, (2, 3)).items() <= alone.items()
    assert not set(seeds([parents.left], 2).values()) & set(alone.values())
    assert len(set(alone.values())) == len(alone)


def test_mask_seeds_are_those_of_yesterday() -> None:
    assert mask_seed(7, Parent(model="org/name"), "lm_head.weight") == 7867363349576372223


def test_formats_come_from_the_recipe_or_from_the_parents_tensor(parents: SmallParents) -> None:
    halves = {name: tensor.bfloat16() for name, tensor in small_tensors(5).items()}
    halves["model.norm.weight"] = halves["model.norm.weight"].float()
    half = parents.save("half", halves)
    plan = tensors(planned(parents, linear([half])))
    assert (plan["lm_head.weight"].dtype, plan["lm_head.weight"].out_dtype) == (None, "bfloat16")
    assert plan["model.norm.weight"].out_dtype == "float32"
    plan = tensors(planned(parents, linear([half], dtype="float16")))
    assert (plan["lm_head.weight"].dtype, plan["lm_head.weight"].out_dtype) == ("float16", "float16")
    plan = tensors(planned(parents, linear([half], dtype="float16", out_dtype="float32")))
    assert (plan["lm_head.weight"].dtype, plan["lm_head.weight"].out_dtype) == ("float16", "float32")


def test_whole_numbers_and_buffers_are_copied_from_the_base(parents: SmallParents) -> None:
    extra = {
        "model.position_ids": torch.arange(4),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2),
    }
    base = parents.save("base2", small_tensors(0, layers=1) | extra)
    left = parents.save("left2", small_tensors(1, layers=1) | {"model.position_ids": torch.arange(4)})
    part = Slice(sources=(source(left, weight=1.0),))
    plan = tensors(planned(parents, Recipe(method="task_arithmetic", slices=(part,), base=base)))
    for name in extra:
        assert plan[name].kernel is None
        assert plan[name].inputs[0].parent == base
    # A buffer that only another parent carries is made anew by the model.
    assert "model.layers.0.self_attn.rotary_emb.inv_freq" not in tensors(
        planned(parents, linear([left, base]))
    )


def test_a_head_that_no_parent_stores_is_not_planned(parents: SmallParents) -> None:
    left, right = (
        parents.save(f"tied{i}", small_tensors(i, head=False), tie_word_embeddings=True) for i in range(2)
    )
    assert "lm_head.weight" not in tensors(planned(parents, linear([left, right])))


def test_the_copy_of_a_tied_head_is_not_merged_a_second_time(parents: SmallParents) -> None:
    left = parents.save("tied0", small_tensors(0, head=False), tie_word_embeddings=True)
    right = parents.save("tied1", small_tensors(1, head=True), tie_word_embeddings=True)
    assert "lm_head.weight" not in tensors(planned(parents, linear([left, right])))


def refusal(parents: SmallParents, recipe: Recipe) -> str:
    with pytest.raises(MismatchError) as caught:
        planned(parents, recipe)
    return str(caught.value)


def test_a_tensor_that_one_parent_lacks_is_refused(parents: SmallParents) -> None:
    lacking = small_tensors(4)
    del lacking[f"model.layers.1.{QUERY}"]
    other = parents.save("other", lacking)
    text = refusal(parents, linear([parents.left, other]))
    assert str(other) in text
    assert f"model.layers.1.{QUERY}" in text


def test_a_head_that_one_parent_lacks_is_refused_with_a_remedy_for_heads(parents: SmallParents) -> None:
    tied = parents.save("tied", small_tensors(4, head=False), tie_word_embeddings=True)
    assert "tie or untie" in refusal(parents, linear([parents.left, tied]))
    assert "tie or untie" in refusal(parents, linear([tied, parents.left]))


def test_different_shapes_are_refused_with_both_of_them(parents: SmallParents) -> None:
    wide = small_tensors(4)
    wide[f"model.layers.0.{QUERY}"] = torch.zeros(4, 6)
    other = parents.save("other", wide)
    text = refusal(parents, linear([parents.left, other]))
    assert str(other) in text
    assert "[4, 6]" in text
    assert "[4, 4]" in text


def test_different_vocabularies_are_refused_with_a_remedy_for_vocabularies(parents: SmallParents) -> None:
    larger = small_tensors(4) | {
        n: torch.zeros(VOCABULARY + 2, 4) for n in ("model.embed_tokens.weight", "lm_head.weight")
    }
    other = parents.save("other", larger, vocab_size=VOCABULARY + 2)
    assert "share a tokenizer" in refusal(parents, linear([parents.left, other]))


def test_stacked_parents_of_different_width_are_refused_though_no_tensor_mixes_them(
    parents: SmallParents,
) -> None:
    wide = parents.save("wide", small_tensors(4, width=6))
    text = refusal(parents, stack((parents.left, 0, 2), (wide, 0, 2)))
    assert str(wide) in text


def test_an_owner_of_another_size_is_refused(parents: SmallParents) -> None:
    wide = parents.save("wide", small_tensors(4, width=6))
    assert str(wide) in refusal(parents, linear([parents.left], tokenizer=wide))


def test_other_architectures_and_head_counts_are_refused(parents: SmallParents) -> None:
    gpt = parents.save("gpt", small_tensors(4), architectures=["GPT2LMHeadModel"])
    assert "is a GPT2LMHeadModel" in refusal(parents, linear([parents.left, gpt]))
    heads = parents.save("heads", small_tensors(4), num_attention_heads=4)
    assert "num_attention_heads is 4" in refusal(parents, linear([parents.left, heads]))


def test_layers_that_a_parent_does_not_have_are_refused(parents: SmallParents) -> None:
    assert "[2, 5) are asked for, it has 3" in refusal(parents, stack((parents.left, 2, 5)))
    deep = parents.save("deep", small_tensors(4, layers=5))
    part = Slice(sources=(source(deep, (2, 5), weight=1.0),))
    text = refusal(parents, Recipe(method="ties", slices=(part,), base=parents.base))
    assert str(parents.base) in text
    assert "list the base among the sources" in text


def test_sources_of_one_slice_must_have_equally_many_layers(parents: SmallParents) -> None:
    part = Slice(
        sources=(source(parents.left, (0, 2), weight=1.0), source(parents.right, (0, 3), weight=1.0))
    )
    assert "equally many layers" in refusal(parents, Recipe(method="linear", slices=(part,)))


def test_numbers_that_cannot_be_averaged_are_refused(parents: SmallParents) -> None:
    quantized = parents.save("quantized", {n: t.to(torch.int8) for n, t in small_tensors(4).items()})
    assert "I8" in refusal(parents, linear([parents.left, quantized]))
    eight = parents.save("eight", {n: t.to(torch.float8_e4m3fn) for n, t in small_tensors(4).items()})
    assert "F8_E4M3" in refusal(parents, linear([eight]))


def test_a_parent_that_was_not_loaded_is_named(parents: SmallParents) -> None:
    with pytest.raises(MismatchError, match="was not loaded"):
        plan_merge(linear([parents.left, parents.right]), parents.layouts(parents.left))


def test_a_parameter_without_a_value_is_refused_with_the_tensor(parents: SmallParents) -> None:
    only_mlp = (Setting(value=0.5, filter="mlp"),)
    part = Slice(sources=(source(parents.left, weight=only_mlp),))
    with pytest.raises(MergeError, match=r"embed_tokens.*no weight") as caught:
        planned(parents, Recipe(method="linear", slices=(part,)))
    assert "has no filter" in caught.value.remedy
