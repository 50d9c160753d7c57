"""Structured stacking: contiguous spans of layers, each with its member, first layer, length and scale.

An alternative to one indicator per slot: far fewer genes, and neighbouring layers stay together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.errors import NotInSpaceError
from search_spaces.genome import Choice, Gene, Genome, Integer, Real, Variable
from search_spaces.spaces.space import ParentPool
from search_spaces.spaces.stacking.layer_path import Hop, Path, runs_of
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


class StructuredStackingOptions(StackingOptions):
    """What a user says of a structured-stacking space.

    Attributes:
        spans: How many runs of layers stand on each other at most; a run of length 0 is none.
    """

    kind: Literal["structured_stacking"] = "structured_stacking"
    spans: Annotated[int, Field(ge=1, le=100)] = 4


class SpanGenes:
    """The genes of spans: per span the member, the first layer, the length and the log-scale."""

    def __init__(self, options: StructuredStackingOptions, members: Sequence[tuple[str, int]]) -> None:
        """Names the genes.

        Args:
            options: Of the space.
            members: The name and the depth of each of those that layers are taken from.
        """
        self.options, self._depths = options, [depth for _, depth in members]
        self._names = names_apart([name for name, _ in members])
        self._bounds = options.log_bounds
        spans = [tuple(self._span(number)) for number in range(options.spans)]
        self._each = len(spans[0])
        last = self._bounds is not None and options.fixed_ends
        end = (Real("log scale of the last layer", *self._bounds, 0.0),) if last and self._bounds else ()
        self._variables: tuple[Variable, ...] = (*(gene for span in spans for gene in span), *end)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Span by span; the scale of the fixed last layer comes last."""
        return self._variables

    def path(self, genome: Genome) -> Path:
        """Returns the spans' layers, between the fixed ends; what reaches beyond a member is cut off."""
        check_length(genome, self._variables)
        hops: list[Hop] = []
        for number in range(self.options.spans):
            hops += self._hops(genome[number * self._each : (number + 1) * self._each])
        scaled_end = self._bounds is not None and self.options.fixed_ends
        last = scale_of(genome[-1]) if scaled_end else 1.0
        return fixed_path(hops, self._depths[0], last, fixed_ends=self.options.fixed_ends)

    def genome(self, path: Path) -> Genome:
        """Returns the genome whose spans are the path's runs.

        Raises:
            NotInSpaceError: The path has more runs than there are spans, or scales out of bounds.
        """
        hops, last = free_part(path, self._depths[0], fixed_ends=self.options.fixed_ends)
        runs = [*runs_of(hops)] if hops else []
        if len(runs) > self.options.spans:
            detail = f"it stacks {len(runs)} runs of layers, the space {self.options.spans}"
            raise NotInSpaceError("recipe", detail, "raise space.spans")
        genes: list[Gene] = []
        for hop, length in runs:
            genes += self._genes_of(hop, length)
        for number in range(len(runs), self.options.spans):
            genes += self._genes_of(Hop(number % len(self._names), 0), 0)
        if self._bounds is not None and self.options.fixed_ends:
            genes.append(scale_gene(last, self._bounds))
        return tuple(genes)

    def _hops(self, span: Sequence[Gene]) -> Iterator[Hop]:
        member = self._names.index(str(span[0])) if len(self._names) > 1 else 0
        start, length = (int(gene) for gene in span[-3:-1]) if self._bounds else map(int, span[-2:])
        scale = scale_of(span[-1]) if self._bounds is not None else 1.0
        for layer in range(start, min(start + length, self._depths[member])):
            yield Hop(member, layer, scale if layer == start else 1.0)

    def _genes_of(self, hop: Hop, length: int) -> Iterator[Gene]:
        if len(self._names) > 1:
            yield self._names[hop.member]
        yield hop.layer
        yield length
        scale = scale_gene(hop.scale, self._bounds)
        if self._bounds is not None:
            yield scale

    def _span(self, number: int) -> Iterator[Variable]:
        deepest, inner = max(self._depths), int(self.options.fixed_ends)
        own = number == 0  # the first span begins as the first member between its ends
        if len(self._names) > 1:
            member = self._names[number % len(self._names)]
            yield Choice(f"member of span {number + 1}", tuple(self._names), member)
        yield Integer(f"first layer of span {number + 1}", 0, max(deepest - 1, 1), inner if own else 0)
        yield Integer(f"length of span {number + 1}", 0, deepest, self._depths[0] - 2 * inner if own else 0)
        if self._bounds is not None:
            yield Real(f"log scale of span {number + 1}", *self._bounds, 0.0)


class StructuredStackingSpace(StackedSpace):
    """Stacks of the members' layers, by spans."""

    kind = "structured_stacking"
    Options = StructuredStackingOptions

    def __init__(self, options: StructuredStackingOptions, pool: ParentPool) -> None:
        super().__init__(options, pool, lambda members: SpanGenes(options, members))
