"""Generation 0: what a search must beat, each model once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, field_serializer

from search_spaces import Eyes, Heads, Parent, ParentPool, Recipe, Slice, Source, SpaceOptions
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from search_spaces.recipes.recipe import DType
from search_spaces.recipes.settings import constant
from search_spaces.spaces.template_choice import GENE as TEMPLATE_GENE
from search_spaces.spaces.template_choice import with_chat_template
from service.experiment.candidate import CandidateKind
from service.experiment.spec import ExperimentSpec, label_of
from service.search.plan import Baseline

TASK_ARITHMETIC_WEIGHTS = (0.3, 0.5, 0.7, 1.0)  # the grid of Ilharco et al., arXiv 2212.04089, thinned
USUAL_DENSITY = 0.5  # of TIES and DARE-TIES


class PlannedBaseline(BaseModel):
    """A recipe of generation 0, as it is stored."""

    model_config = ConfigDict(frozen=True)

    label: str
    recipe: Recipe
    kind: CandidateKind = CandidateKind.BASELINE

    @field_serializer("recipe")
    def _canonical(self, recipe: Recipe) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(recipe.canonical_json())
        return content


Parts = tuple[Eyes | None, Heads | None]


def baselines_for(
    spec: ExperimentSpec, pool: ParentPool, taken_over: Sequence[Baseline] = (), parts: Parts = (None, None)
) -> tuple[Baseline, ...]:
    """Returns generation 0: what the search must beat, each model once.

    Args:
        spec: Says which of the usual recipes are wanted, and the user's own.
        pool: The parents.
        taken_over: The best of earlier experiments.
        parts: Whose vision tower models get that have none of their own, and who has a head.

    Raises:
        RecipeFileError: One of the user's own recipes describes no model.
    """
    usual = UsualBaselines(pool, dtype=dtype_of(spec), seed=spec.space.seed)
    found = [*usual.parents()]
    if spec.baselines.standard_recipes:
        found += usual.standard_recipes()
    # What they say in vain was told when the spec was checked.
    found += [Baseline(name, read_recipe(text, notices=[])) for name, text in spec.baselines.recipes.items()]
    found += taken_over
    found = [as_asked(baseline, spec.space, parts) for baseline in found]
    first = {baseline.recipe.digest: baseline for baseline in reversed(found)}
    return tuple(baseline for baseline in found if first[baseline.recipe.digest] is baseline)


def as_asked(baseline: Baseline, space: SpaceOptions, parts: Parts) -> Baseline:
    """Returns a baseline as the experiment can ask it: in a chat, about images, and with a head."""
    eyes, heads = parts
    found = _spoken_to(baseline, space)
    found = found if eyes is None else _seeing(found, eyes)
    return found if heads is None else replace(found, recipe=heads.given_to(found.recipe))


def _spoken_to(baseline: Baseline, space: SpaceOptions) -> Baseline:
    """Returns a merge with a chat template that the search may choose, where it would have none of them."""
    recipe, templates = baseline.recipe, space.chat_templates
    silent = recipe.chat_template is None and recipe.chat_template_text is None
    if baseline.kind.is_bare or templates == "search" or not templates or not silent:
        return baseline
    if recipe.tokenizer_owner in templates:
        return baseline
    frozen = space.frozen.get(TEMPLATE_GENE)
    first = next((parent for parent in templates if str(parent) == frozen), templates[0])
    return replace(baseline, recipe=with_chat_template(recipe, first))


def _seeing(baseline: Baseline, eyes: Eyes) -> Baseline:
    """Returns a baseline that can be asked about images; parents that see are left as they are."""
    give = eyes.lent_to if baseline.kind.is_bare else eyes.given_to
    return replace(baseline, recipe=give(baseline.recipe))


def baseline_count(facts: Mapping[str, Any]) -> int:
    """Returns how many candidates the search must beat; what is known from other experiments comes after."""
    return sum(each.get("kind") != CandidateKind.KNOWN for each in facts["baselines"])


def dtype_of(spec: ExperimentSpec) -> DType | None:
    """Returns the number format of every recipe: an export must be what was scored."""
    return spec.space.dtype or spec.dtype


def short_names(parents: Sequence[Parent]) -> dict[Parent, str]:
    """Returns a name per parent: the last part of its path, or all of it where two end alike."""
    short = [label_of(parent) for parent in parents]
    return {p: name if short.count(name) == 1 else str(p) for p, name in zip(parents, short, strict=True)}


class UsualBaselines:
    """The rungs of generation 0: each parent, their average, and the usual recipes."""

    def __init__(self, pool: ParentPool, *, dtype: DType | None, seed: int) -> None:
        self.pool, self.dtype, self.seed = pool, dtype, seed

    def parents(self) -> Iterator[Baseline]:
        """Yields every parent as it is, the base, and the plain average."""
        pool = self.pool
        known = (*pool.parents, *((pool.base,) if pool.base is not None else ()))
        for parent, name in short_names(known).items():
            kind = CandidateKind.BASE if parent == pool.base else CandidateKind.PARENT
            recipe = self._recipe("passthrough", sources=(Source(parent=parent),))
            yield Baseline(f"{kind}: {name}", recipe, kind)
        if len(pool.parents) > 1:
            recipe = self._recipe("linear", weight=1.0)
            yield Baseline("plain average", recipe, CandidateKind.AVERAGE)

    def standard_recipes(self) -> Iterator[Baseline]:
        """Yields the usual recipes, as far as the parents allow them."""
        if self.pool.base is not None:
            for weight in TASK_ARITHMETIC_WEIGHTS:
                yield Baseline(f"task arithmetic λ={weight}", self.task_arithmetic(weight))
            for method, title in (("ties", "TIES"), ("dare_ties", "DARE-TIES")):
                recipe = self._recipe(method, weight=1.0, density=USUAL_DENSITY, normalize=1.0)
                yield Baseline(f"{title} (density {USUAL_DENSITY})", recipe)
        if len(self.pool.parents) == 2:
            yield Baseline("slerp t=0.5", self._recipe("slerp", base=self.pool.parents[0], t=0.5))

    def task_arithmetic(self, weight: float) -> Recipe:
        """Returns task arithmetic with one weight for all parents."""
        return self._recipe("task_arithmetic", weight=weight, normalize=0.0)

    def _recipe(
        self,
        method: str,
        *,
        sources: tuple[Source, ...] | None = None,
        base: Parent | None = None,
        **parameters: float,
    ) -> Recipe:
        """Returns a recipe in which all parents and layers have the same parameters."""
        own = {name: constant(parameters.pop(name)) for name in ("weight", "density") if name in parameters}
        mixed = sources is None
        return Recipe(
            method=method,
            slices=(
                Slice(sources=sources or tuple(Source(parent=p, parameters=own) for p in self.pool.parents)),
            ),
            base=base or (self.pool.base if mixed else None),
            parameters={name: constant(value) for name, value in parameters.items()},
            dtype=self.dtype,
            tokenizer=(self.pool.base or self.pool.parents[0]) if mixed else None,
            seed=self.seed,
        )
