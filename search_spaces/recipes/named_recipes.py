"""Recipes that papers gave a name to: ordinary recipes, written by functions.

Parents are given as `Parent` or as text (`folder`, `org/name@revision`, `model+adapter`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Literal

from search_spaces.errors import RecipeError
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe, Slice, Source
from search_spaces.recipes.settings import Parameter, Setting, constant

Reference = Parent | str

LLAMA_LAYERS = "model.layers."


def uniform_soup(parents: Sequence[Reference]) -> Recipe:
    """Returns the plain average of fine-tuned models.

    Wortsman et al., "Model soups", arXiv 2203.05482, section 2.
    """
    sources = tuple(Source(parent=_parent(parent), parameters=_weight(1.0)) for parent in parents)
    return Recipe(method="linear", slices=(Slice(sources=sources),))


def chat_vector(base: Reference, chat: Reference, continued: Reference, scale: float = 1.0) -> Recipe:
    """Returns continued + scale (chat - base): a model trained further on a language learns to chat.

    Huang et al., "Chat Vector", arXiv 2310.04799; likewise for domains, Hirano and Imajo,
    "The Construction of Instruction-tuned LLMs for Finance without Instruction Data", arXiv 2409.19854.
    The vocabulary is the continued model's.
    """
    return _transplant(base, onto=continued, changed=chat, scale=scale)


def instruction_residual(
    base: Reference, instruct: Reference, new_base: Reference, scale: float = 1.0
) -> Recipe:
    """Returns new_base + scale (instruct - base): what instruction tuning changed, on a newer base.

    Jindal et al., "Balancing Continuous Pre-Training and Instruction Fine-Tuning", arXiv 2410.10739.
    """
    return _transplant(base, onto=new_base, changed=instruct, scale=scale)


def portllm_patch(old_base: Reference, tuned: Reference, new_base: Reference, scale: float = 1.0) -> Recipe:
    """Returns new_base + scale (tuned - old_base): a personal patch moves to the updated model.

    Khan et al., "PortLLM", arXiv 2410.10870.  `tuned` may be `old_base+adapter`: the patch
    then is the adapter's B A, scaled as it says.  Shapes and vocabulary of the bases must be equal.
    """
    return _transplant(old_base, onto=new_base, changed=tuned, scale=scale)


def task_negation(base: Reference, tuned: Reference, scale: float = 1.0) -> Recipe:
    """Returns base - scale (tuned - base): what fine-tuning taught is unlearned.

    Ilharco et al., "Editing models with task arithmetic", arXiv 2212.04089, section 3.
    """
    return _task_arithmetic(base, {tuned: -scale})


def extrapolation(base: Reference, tuned: Reference, scale: float) -> Recipe:
    """Returns base + scale (base - tuned): away from fine-tuning, to strengthen what it weakened.

    Tian et al., "Extrapolating and Decoupling Image-to-Video Generation Models", arXiv 2503.00948;
    as a map of weights, the negation of a task vector.
    """
    return task_negation(base, tuned, scale)


def atlas(
    base: Reference,
    coefficients: Mapping[Reference, Mapping[str, float]],
    tensors: Iterable[str],
    *,
    otherwise: float = 0.0,
) -> Recipe:
    """Returns base + sum_i c_ib (W_i - base), one coefficient per parent i and tensor b.

    Zhang et al., "Knowledge Composition using Task Vectors with Learned Anisotropic Scaling",
    arXiv 2407.02880.

    A recipe's filters are parts of names, and the first that fits decides.  So every tensor of the model
    gets a filter of its own, longer names first: a name that is part of another comes after it.

    Args:
        base: The common ancestor.
        coefficients: Parent -> tensor -> its coefficient, of any sign.
        tensors: The names of all tensors of the model.
        otherwise: The coefficient of tensors that a parent's mapping does not name.

    Raises:
        RecipeError: A coefficient is for a tensor that is not there.
    """
    names = sorted(set(tensors), key=lambda name: (-len(name), name))
    sources = []
    for reference, own in coefficients.items():
        unknown = sorted(set(own) - set(names))
        if unknown:
            raise RecipeError(
                f"coefficients.{reference}", f"there is no tensor {unknown[0]!r}", "use the model's own names"
            )
        weight = (
            *(Setting(value=own.get(name, otherwise), filter=name) for name in names),
            Setting(value=otherwise),
        )
        sources.append(Source(parent=_parent(reference), parameters={"weight": weight}))
    slices = (Slice(sources=tuple(sources)),)
    return Recipe(method="task_arithmetic", slices=slices, base=_parent(base))


def layer_swap(
    language: Reference,
    task: Reference,
    layers: int,
    *,
    bottom: int,
    top: int,
    transition: int = 0,
    weight: float = 0.5,
    embeddings: Literal["language", "task"] = "language",
    layer_prefix: str = LLAMA_LAYERS,
) -> Recipe:
    """Returns the task expert with its lowest and highest layers taken from the language expert.

    Bandarkar et al., "Layer Swapping for Zero-Shot Cross-Lingual Transfer in Large Language Models",
    arXiv 2410.01335.  Layer l is the language expert's for l < bottom and l >= layers - top,
    the task expert's for bottom + transition <= l < layers - top - transition, and a mixture between.

    Args:
        language: The language expert.
        task: The task expert, tuned from the same base.
        layers: How many layers each of them has.
        bottom: How many of the lowest layers are the language expert's.
        top: How many of the highest.
        transition: How many layers on either side of the task expert's are mixtures.
        weight: The language expert's share of the mixtures.
        embeddings: Whose the embeddings, the final norm and the head are.
        layer_prefix: What precedes a layer's number in the names of its tensors.

    Raises:
        RecipeError: The numbers are negative or exceed the layers, or the weight is not in [0, 1].
    """
    if min(bottom, top, transition) < 0 or bottom + top > layers:
        detail = f"{bottom} layers below, {top} above and a transition of {transition} among {layers} layers"
        raise RecipeError("layers", detail, "swap no more layers than there are")
    if not 0.0 <= weight <= 1.0:
        raise RecipeError("weight", f"{weight:g} is no share", "use 0 to 1")

    def share(layer: int) -> float:
        if layer < bottom or layer >= layers - top:
            return 1.0
        return 0.0 if bottom + transition <= layer < layers - top - transition else weight

    runs = [(value, list(run)) for value, run in groupby(range(layers), key=share)]
    outside = 1.0 if embeddings == "language" else 0.0
    experts = (_parent(language), _parent(task))
    slices = [
        # Embeddings belong to the first slice; the final norm and the head to the last.
        _mixture(
            experts,
            (run[0], run[-1] + 1),
            value,
            outside if i in (0, len(runs) - 1) else value,
            layer_prefix,
        )
        for i, (value, run) in enumerate(runs)
    ]
    owner = experts[0] if embeddings == "language" else experts[1]
    return Recipe(method="linear", slices=tuple(slices), tokenizer=owner)


def g_stack(parent: Reference, layers: int, times: int) -> Recipe:
    """Returns the whole stack of layers, repeated: G_stack, the start of training a deeper model.

    Du et al., "Stacking Your Transformers", arXiv 2405.15319; the paper grows by 4.

    Raises:
        RecipeError: There is nothing to repeat.
    """
    return _stack(parent, [(0, layers)] * times)


def depth_upscaling(parent: Reference, layers: int, dropped: int) -> Recipe:
    """Returns two copies: one without its last, one without its first `dropped` layers.

    Kim et al., "SOLAR 10.7B", arXiv 2312.15166, section 2 (32 layers, 8 dropped).

    Raises:
        RecipeError: A copy has no layer left.
    """
    return _stack(parent, [(0, layers - dropped), (dropped, layers)])


def self_merge(parent: Reference, layers: int, *, window: int, stride: int) -> Recipe:
    """Returns overlapping runs of `window` layers, each `stride` further up; the last ends at the top.

    The form in which larger models are stacked from one; nothing is trained, and quality is lost.

    Raises:
        RecipeError: The window or the stride holds no layer, or runs leave layers out.
    """
    if not 0 < stride <= window:
        detail = f"runs of {window} layers, each {stride} further up"
        raise RecipeError("stride", detail, "use a stride of 1 to the window's length")
    starts = range(0, max(layers - window, 0) + stride, stride)
    runs = [(start, min(start + window, layers)) for start in starts if start < layers]
    return _stack(parent, runs)


def _parent(reference: Reference) -> Parent:
    return reference if isinstance(reference, Parent) else Parent.model_validate(reference)


def _weight(value: float) -> dict[str, Parameter]:
    return {"weight": constant(value)}


def _task_arithmetic(base: Reference, weights: Mapping[Reference, float]) -> Recipe:
    sources = tuple(Source(parent=_parent(p), parameters=_weight(value)) for p, value in weights.items())
    return Recipe(method="task_arithmetic", slices=(Slice(sources=sources),), base=_parent(base))


def _transplant(base: Reference, *, onto: Reference, changed: Reference, scale: float) -> Recipe:
    """Returns onto + scale (changed - base), as two task vectors on the base."""
    recipe = _task_arithmetic(base, {onto: 1.0, changed: scale})
    return Recipe.model_validate(recipe.model_dump() | {"tokenizer": _parent(onto)})


def _mixture(
    experts: tuple[Parent, Parent], layers: tuple[int, int], share: float, outside: float, prefix: str
) -> Slice:
    """Returns a run of layers; `share` is the first expert's inside the layers, `outside` elsewhere."""
    first, second = _share(share, outside, prefix), _share(1.0 - share, 1.0 - outside, prefix)
    sources = [
        Source(parent=expert, layers=layers, parameters={"weight": weight})
        for expert, weight in zip(experts, (first, second), strict=True)
        if any(setting.value != 0.0 for setting in weight)
    ]
    return Slice(sources=tuple(sources))


def _share(inside: float, outside: float, prefix: str) -> Parameter:
    if inside == outside:
        return constant(inside)
    return (Setting(value=inside, filter=prefix), Setting(value=outside))


def _stack(parent: Reference, runs: Sequence[tuple[int, int]]) -> Recipe:
    if not runs or any(not 0 <= start < end for start, end in runs):
        raise RecipeError("layers", f"runs {list(runs)} of layers", "let every run hold a layer")
    whole = _parent(parent)
    slices = tuple(Slice(sources=(Source(parent=whole, layers=run),)) for run in runs)
    return Recipe(method="passthrough", slices=slices, tokenizer=whole)
