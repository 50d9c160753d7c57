"""The parameter spaces of several methods as one: a gene says which method merges.

Methods share the genes that mean the same to them: equal names and equal ranges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from search_spaces.catalogue.methods import Method, method_named
from search_spaces.errors import NotInSpaceError, SpaceDefinitionError, UnknownNameError
from search_spaces.genome import Choice, Genome, Variable, initial_genome
from search_spaces.recipes.recipe import Recipe
from search_spaces.spaces.parameter_options import ParameterSpaceOptions
from search_spaces.spaces.parameter_space import ParameterSpace
from search_spaces.spaces.space import Infeasible, ParentPool
from search_spaces.spaces.stacking.path_genes import check_length


class MethodChoiceSpace:
    """The parameter space of several merge methods over a pool of parents.

    Raises:
        SpaceDefinitionError: The options contradict each other, a method or the parents.
        UnknownNameError: They name what no method has.
    """

    kind = "parameter"
    Options = ParameterSpaceOptions

    def __init__(self, options: ParameterSpaceOptions, pool: ParentPool) -> None:
        self.options, self.pool = options, pool
        names = options.methods or ()
        _check(options, [method_named(name, "space.methods") for name in names])
        self._spaces = {name: ParameterSpace(_options_for(name, options), pool) for name in names}
        self._variables: list[Variable] = [Choice("method", names, names[0])]
        self._places = {name: self._place(name, space) for name, space in self._spaces.items()}

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The method, then the genes of the first, then what the others have beyond those."""
        return tuple(self._variables)

    def decode(self, genome: Genome) -> Recipe | Infeasible:
        """Returns the recipe of the method that is chosen; the others' genes change nothing."""
        check_length(genome, self._variables)
        method = str(genome[0])
        return self._spaces[method].decode(tuple(genome[place] for place in self._places[method]))

    def encode(self, recipe: Recipe) -> Genome:
        """Returns a genome of the recipe's own method, or of the first that can express it.

        Raises:
            NotInSpaceError: None can.
        """
        reasons = []
        for method in sorted(self._spaces, key=lambda name: name != recipe.method):
            try:
                own = self._spaces[method].encode(recipe)
            except NotInSpaceError as error:
                reasons.append(error)
                continue
            genes = [method, *initial_genome(self._variables)[1:]]
            for place, gene in zip(self._places[method], own, strict=True):
                genes[place] = gene
            return tuple(genes)
        raise reasons[0]

    def _place(self, method: str, space: ParameterSpace) -> tuple[int, ...]:
        """Finds, or makes, the place of each of a method's genes."""
        places = []
        for variable in space.variables:
            named = {v.name: i for i, v in enumerate(self._variables)}
            place = named.get(variable.name, len(self._variables))
            if variable.name not in named:
                self._variables.append(variable)
            elif not _same_range(self._variables[place], variable):
                place = len(self._variables)
                self._variables.append(replace(variable, name=f"{variable.name} by {method}"))
            places.append(place)
        return tuple(places)


def _same_range(one: Variable, other: Variable) -> bool:
    return (getattr(one, "low", None), getattr(one, "high", None)) == (
        getattr(other, "low", None),
        getattr(other, "high", None),
    )


def _options_for(method: str, options: ParameterSpaceOptions) -> ParameterSpaceOptions:
    """Returns what the options say of one method."""
    known = {parameter.name for parameter in method_named(method).parameters}
    search = None if options.search is None else tuple(name for name in options.search if name in known)
    return options.model_copy(
        update={
            "method": method,
            "methods": None,
            "search": search,
            "bounds": {name: bounds for name, bounds in options.bounds.items() if name in known},
            "fixed": {name: value for name, value in options.fixed.items() if name in known},
        }
    )


def _check(options: ParameterSpaceOptions, methods: list[Method]) -> None:
    names = [method.name for method in methods]
    if len(names) < 2 or len(set(names)) < len(names):
        detail = f"{names} is no choice"
        raise SpaceDefinitionError("space.methods", detail, "name at least two different methods")
    if options.method != ParameterSpaceOptions.model_fields["method"].default:
        detail = f"{options.method} is named beside {', '.join(names)}"
        raise SpaceDefinitionError("space.method", detail, "leave method or methods out")
    known = {parameter.name for method in methods for parameter in method.parameters}
    told: dict[str, Iterable[str]] = {
        "search": options.search or (), "bounds": options.bounds, "fixed": options.fixed
    }  # fmt: skip
    for field, parameters in told.items():
        for name in parameters:
            if name not in known:
                raise UnknownNameError(f"space.{field}.{name}", "parameter of these methods", name, known)
