"""Recipes of a person's own, read and held against what an experiment has in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from search_spaces import Parent, Recipe
from search_spaces.errors import RecipeFileError, did_you_mean
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe
from service.errors import InvalidSpecError, Mistake
from service.experiment.spec import ExperimentSpec
from service.search.plan import Baseline
from service.specification.baselines import as_asked
from service.specification.planning import ExperimentFacts

POINTER = "/recipe"


def suited_recipe(text: str, spec: ExperimentSpec, facts: ExperimentFacts) -> Recipe:
    """Returns the recipe of a text, as an experiment that is under way can ask it.

    Args:
        text: mergekit's YAML.
        spec: The experiment's.
        facts: What was found out about its parents.

    Raises:
        InvalidSpecError: The text describes no model, or one that needs what the workers do not have.
    """
    try:
        recipe = read_recipe(text)
    except RecipeFileError as error:
        raise InvalidSpecError(list(mistakes_in(error, POINTER))) from error
    stacked = spec.space.kind != "parameter"
    found = incompatibilities(recipe, spec.all_parents, layers=facts.layers, stacked=stacked, pointer=POINTER)
    if mistakes := list(found):
        raise InvalidSpecError(mistakes)
    return as_asked(Baseline("", recipe), spec.space, (facts.eyes, facts.heads)).recipe


def mistakes_in(error: RecipeFileError, pointer: str) -> Iterator[Mistake]:
    """Yields what is wrong with a recipe's text."""
    for problem in error.problems:
        place = "" if problem.line is None else f"line {problem.line}: "
        detail = f"{place}{problem.field}: {problem.detail}"
        yield Mistake(pointer, problem.code, detail, problem.remedy)


def incompatibilities(
    recipe: Recipe, parents: Collection[Parent], *, layers: int | None, stacked: bool, pointer: str
) -> Iterator[Mistake]:
    """Yields what a recipe takes that the experiment's parents do not have.

    Args:
        recipe: To be merged by the experiment's workers.
        parents: The experiment's, with its base.
        layers: How many each has; None where that is not known.
        stacked: Models may have another depth than the parents.
        pointer: Where the recipe stands.
    """
    known = [str(parent) for parent in parents]
    for parent in recipe.all_parents:
        if str(parent) not in known:
            detail = f"{parent} is none of the experiment's parents"
            yield Mistake(pointer, "unknown_parent", detail, did_you_mean(str(parent), known))
    if layers is None:
        return
    spans = [part.sources[0].layers or (0, layers) for part in recipe.slices]
    count = sum(end - start for start, end in spans)
    if any(end > layers for _, end in spans) or (count != layers and not stacked):
        detail = f"it takes {count} layers, up to number {max(end for _, end in spans)}"
        yield Mistake(pointer, "wrong_depth", detail, f"the parents have {layers} layers")
