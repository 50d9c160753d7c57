"""Layer stacking: which layer comes next, and how its input is scaled.

The layers of all members are laid out in order, repeated r times: T = M r slots.  A slot is taken when
its indicator is positive; every layer's input is scaled by a gene of its own (Akiba et al., arXiv
2403.13187, section 3.2, where one scale per hop stands for the matrix W).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.errors import NotInSpaceError
from search_spaces.genome import Genome, Real, Variable
from search_spaces.recipes.recipe import MOST_LAYERS
from search_spaces.spaces.space import ParentPool
from search_spaces.spaces.stacking.layer_path import Hop, Path
from search_spaces.spaces.stacking.path_genes import (
    check_length,
    fixed_path,
    free_part,
    names_apart,
    scale_gene,
    scale_of,
)
from search_spaces.spaces.stacking.stack import StackingOptions
from search_spaces.spaces.stacking.stacked_space import StackedSpace

_TAKEN = 2 / 3  # where the search begins, in [-1, 1]: two standard deviations of 1/6 of the range from 0


class LayerStackingOptions(StackingOptions):
    """What a user says of a layer-stacking space.

    Attributes:
        repeats: How often the layers are laid out (r): how often a layer can be used.
        begin: Where slots begin that the first member does not take.  `parent`: as far below 0 as its
            own are above, so that most candidates are near it.  `published`: at 0, as Akiba et al. did.
    """

    kind: Literal["layer_stacking"] = "layer_stacking"
    repeats: Annotated[int, Field(ge=1, le=16)] = 2
    begin: Literal["parent", "published"] = "parent"

    def deepest(self, first: int) -> int:
        """Sets no limit of its own where half of all slots are taken from the beginning."""
        return self.max_layers or (MOST_LAYERS if self.begin == "published" else super().deepest(first))


class SlotGenes:
    """The genes of slots: an indicator each, then a log-scale each."""

    def __init__(self, options: LayerStackingOptions, members: Sequence[tuple[str, int]]) -> None:
        """Lays out the slots.

        Args:
            options: Of the space.
            members: The name and the depth of each of those that layers are taken from.
        """
        self.options, self._depth = options, members[0][1]
        self._names = names_apart([name for name, _ in members])
        self._bounds = options.log_bounds
        every = [(m, layer) for m, (_, depth) in enumerate(members) for layer in range(depth)]
        slots = [(round_, *place) for round_ in range(options.repeats) for place in every]
        self._slots = slots[1:] if options.fixed_ends else slots  # the first is always taken
        self._variables = (*self._indicators(), *self._scales())

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Indicators in the slots' order, then the scales in the same order, that of the fixed end last."""
        return self._variables

    def path(self, genome: Genome) -> Path:
        """Returns the layers whose indicators are positive, between the fixed ends."""
        check_length(genome, self._variables)
        count = len(self._slots)
        scales = [scale_of(gene) for gene in genome[count:]] or [1.0] * (count + 1)
        hops = [
            Hop(member, layer, scale)
            for (_, member, layer), taken, scale in zip(self._slots, genome[:count], scales, strict=False)
            if float(taken) > 0.0
        ]
        return fixed_path(hops, self._depth, scales[-1], fixed_ends=self.options.fixed_ends)

    def genome(self, path: Path) -> Genome:
        """Returns the genome that takes the path's layers from the first slots that have them.

        Raises:
            NotInSpaceError: The path needs more rounds, or scales that this space does not have.
        """
        hops, last = free_part(path, self._depth, fixed_ends=self.options.fixed_ends)
        count = len(self._slots)
        taken = [-_TAKEN] * count
        scales = [0.0] * (count + 1)
        slot = -1
        for hop in hops:
            places = (i for i in range(slot + 1, count) if self._slots[i][1:] == (hop.member, hop.layer))
            slot = next(places, count)
            if slot == count:
                detail = f"its layers do not come in the order of {self.options.repeats} rounds"
                raise NotInSpaceError("recipe", detail, "raise space.repeats")
            taken[slot] = _TAKEN
            scales[slot] = scale_gene(hop.scale, self._bounds)
        if self._bounds is None:
            return tuple(taken)
        if self.options.fixed_ends:
            scales[-1] = scale_gene(last, self._bounds)
            return (*taken, *scales)
        return (*taken, *scales[:-1])

    def _indicators(self) -> Iterator[Real]:
        others = 0.0 if self.options.begin == "published" else -_TAKEN
        last = self._depth - 1 if self.options.fixed_ends else self._depth
        for round_, member, layer in self._slots:
            own = round_ == 0 and member == 0 and layer < last
            yield Real(f"take {self._name(round_, member, layer)}", -1.0, 1.0, _TAKEN if own else others)

    def _scales(self) -> Iterator[Real]:
        if self._bounds is None:
            return
        for slot in self._slots:
            yield Real(f"log scale of {self._name(*slot)}", *self._bounds, 0.0)
        if self.options.fixed_ends:
            yield Real("log scale of the last layer", *self._bounds, 0.0)

    def _name(self, round_: int, member: int, layer: int) -> str:
        return f"layer {layer} of {self._names[member]} (round {round_ + 1})"


class LayerStackingSpace(StackedSpace):
    """Stacks of the members' layers, by slots."""

    kind = "layer_stacking"
    Options = LayerStackingOptions

    def __init__(self, options: LayerStackingOptions, pool: ParentPool) -> None:
        super().__init__(options, pool, lambda members: SlotGenes(options, members))
