"""Which parent's chat template a merged model takes, as a gene: any space, with one more choice."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.errors import NotInSpaceError, SpaceDefinitionError, did_you_mean
from search_spaces.genome import Choice, Genome, Variable, initial_genome
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import Recipe
from search_spaces.spaces.space import Infeasible, ParentPool, SearchSpace
from search_spaces.spaces.stacking.layer_members import with_fields
from search_spaces.spaces.stacking.path_genes import check_length

GENE = "chat_template"


class TemplateChoiceSpace:
    """A space whose recipes also say whose chat template they take.

    The template is part of the recipe: candidates are asked with it, and exported with it.

    Attributes:
        inner: The space without the gene.

    Raises:
        SpaceDefinitionError: There is nothing to choose from, or a model that is not merged.
    """

    def __init__(self, inner: SearchSpace, parents: Sequence[Parent], pool: ParentPool) -> None:
        self.inner = inner
        self._parents = {str(parent): parent for parent in parents}
        _check(parents, pool)
        first = inner.decode(initial_genome(inner.variables))
        owner = None if isinstance(first, Infeasible) else str(first.tokenizer_owner)
        names = tuple(self._parents)
        self._gene = Choice(GENE, names, owner if owner in self._parents else names[0])

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Those of the inner space, then the template's."""
        return (*self.inner.variables, self._gene)

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the inner space's recipe with the chosen template."""
        check_length(genome, self.variables)
        recipe = self.inner.decode(genome[:-1])
        if isinstance(recipe, Infeasible):
            return recipe
        return with_chat_template(recipe, self._parents[str(genome[-1])])

    def encode(self, recipe: Recipe) -> Genome:
        """Returns the inner space's genome with the recipe's template.

        Raises:
            NotInSpaceError: The recipe is not in the inner space, or has another template.
        """
        chosen = recipe.tokenizer_owner if recipe.chat_template is None else recipe.chat_template
        if recipe.chat_template_text is not None or str(chosen) not in self._parents:
            told = "a text of its own" if recipe.chat_template_text is not None else f"that of {chosen}"
            detail = f"its chat template is {told}"
            remedy = f"take that of one of: {', '.join(self._parents)}"
            raise NotInSpaceError("recipe", detail, remedy)
        return (*self.inner.encode(with_fields(recipe, chat_template=None)), str(chosen))


def with_chat_template(recipe: Recipe, parent: Parent) -> Recipe:
    """Returns the recipe with a parent's chat template; that of the tokenizer's owner needs no word."""
    return with_fields(recipe, chat_template=None if parent == recipe.tokenizer_owner else parent)


def _check(parents: Sequence[Parent], pool: ParentPool) -> None:
    known = [*pool.parents, *((pool.base,) if pool.base is not None else ())]
    for parent in parents:
        if parent not in known:
            detail = f"{parent} is none of the models that are merged"
            hint = did_you_mean(str(parent), [str(each) for each in known])
            raise SpaceDefinitionError("space.chat_templates", detail, hint)
        if parents.count(parent) > 1:
            detail = f"{parent} stands there twice"
            raise SpaceDefinitionError("space.chat_templates", detail, "name each model once")
    if len(parents) < 2:
        detail = f"{', '.join(map(str, parents)) or 'none'} is no choice"
        raise SpaceDefinitionError("space.chat_templates", detail, "name at least two models")
