"""All problems of the suite."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.searching.families.chains import chains_family
from benchmarks.searching.families.facts import facts_family, few_facts_family
from benchmarks.searching.families.lessons import Family
from benchmarks.searching.families.making import Files, make
from benchmarks.searching.families.topics import topics_family
from benchmarks.searching.suite.problem import Problem, Spec, layerwise, spec_over
from examples.language_and_arithmetic import make_everything

GROUPS = 4
_CHAIN: list[Spec] = [{"task": "both", "weight": 2}, {"task": "left"}, {"task": "right"}]
_DEMO: list[Spec] = [{"task": "arithmetic_z", "weight": 2}, {"task": "arithmetic_english"}]
_FILTERS = ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"]


def _over(family: Callable[[], Family], objectives: list[Spec], space: Spec, folder: Path) -> Spec:
    return spec_over(make(family(), folder), objectives, space)


def _facts(experts: int, folder: Path, *, space: Spec | None = None, rank: int | None = None) -> Spec:
    """Returns experts on facts, each asked in a task of its own."""
    files = make(facts_family(experts, rank=rank), folder)
    return spec_over(files, [{"task": name} for name in files.experts], space or layerwise(GROUPS))


def _demo(space: Spec, folder: Path) -> Spec:
    """Returns the demo's parents and tasks with another space."""
    made = make_everything(folder / "demo")
    experts = {name: str(path) for name, path in made.experts.items()}
    return spec_over(Files(str(made.base), experts, str(made.tasks)), _DEMO, space)


def _joint(folder: Path) -> Spec:
    mixture = layerwise(GROUPS)
    stack: Spec = {"kind": "layer_stacking", "repeats": 1, "scale_bounds": [0.7, 1.4]}
    space: Spec = {"kind": "joint", "parameter": mixture, "stacking": stack, "stack_parents": False}
    return _over(partial(chains_family, 2), _CHAIN, space, folder)


def _rotating(folder: Path) -> Spec:
    return _facts(3, folder) | {"rotation": {"items": 20}}


_MANY = layerwise(GROUPS, filters=_FILTERS)
_STACK: Spec = {"kind": "layer_stacking", "repeats": 1, "scale_bounds": [0.7, 1.4]}
_LINEAR: Spec = {"kind": "parameter", "method": "linear", "layer_groups": GROUPS}
_ALL = (
    Problem(
        "demo",
        "the demo: language x arithmetic, multiple choice, 2 objectives",
        partial(_demo, layerwise(8, outer_genes=True)),
    ),
    Problem("three_experts", "three interfering experts, multiple choice, 3 objectives", partial(_facts, 3)),
    Problem("five_experts", "five interfering experts, multiple choice, 5 objectives", partial(_facts, 5)),
    Problem(
        "exact_match",
        "greedy generation, exact match, no margins, 3 objectives",
        partial(_over, partial(chains_family, 2), _CHAIN, layerwise(GROUPS)),
    ),
    Problem(
        "exact_match_one",
        "the same, stated as one objective that no parent was trained on",
        partial(_over, partial(chains_family, 2), [{"task": "both"}], layerwise(GROUPS)),
    ),
    Problem(
        "halves",
        "halves of a classification; the base is best",
        partial(_over, topics_family, [{"task": "topics"}], layerwise(GROUPS)),
    ),
    Problem(
        "noisy",
        "two experts, 50 search items",
        partial(_over, few_facts_family, [{"task": "facts"}], layerwise(GROUPS)),
    ),
    Problem("rotating", "three experts, 20 items of each task a generation; peers are asked all", _rotating),
    Problem(
        "many_genes",
        "five experts, six parts of every layer: 120 genes",
        partial(_facts, 5, space=_MANY),
    ),
    Problem("stacking", "the demo's parents, layer stacking", partial(_demo, _STACK)),
    Problem("joint", "chains: a mixture and the order of its layers in one genome", _joint),
    Problem(
        "front_two",
        "the demo's two objectives",
        partial(_demo, layerwise(8, outer_genes=True)),
        is_front=True,
    ),
    Problem(
        "unrelated",
        "two models without a common base, half of a classification each",
        partial(_over, partial(topics_family, related=False), [{"task": "topics"}], _LINEAR),
    ),
    Problem(
        "chain",
        "chains of three steps, greedy generation, exact match, 3 objectives",
        partial(_over, partial(chains_family, 3), _CHAIN, layerwise(GROUPS)),
        held_out=True,
    ),
    Problem(
        "lora",
        "three experts as LoRA adapters of rank 8",
        partial(_facts, 3, rank=8),
        held_out=True,
    ),
    Problem(
        "front_three",
        "exact match, three objectives",
        partial(_over, partial(chains_family, 2), _CHAIN, layerwise(GROUPS)),
        held_out=True,
        is_front=True,
    ),
)
PROBLEMS = {problem.name: problem for problem in _ALL}
GATE = ("three_experts", "exact_match", "halves")
