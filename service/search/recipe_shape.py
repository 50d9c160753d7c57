"""What can be read off a recipe without building its model: depth, parameters, parents' shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces import Parent, Recipe, Slice
from search_spaces.catalogue.methods import method_named

_PARTS = ("self_attn.q_proj.weight", "mlp.down_proj.weight")  # stand for the two halves of a layer


@dataclass(frozen=True, slots=True)
class ParentShape:
    """The shape that all parents share.

    Attributes:
        layers: How many layers each parent has.
        parameters: Of one whole parent.
        layer_parameters: Of one of its layers.
    """

    layers: int
    layer_prefix: str = "model.layers."
    parameters: int = 0
    layer_parameters: int = 0

    def depth(self, recipe: Recipe) -> int:
        """Returns how many layers the merged model has."""
        return sum(self._length(part) for part in recipe.slices)

    def parameters_of(self, recipe: Recipe) -> int:
        """Returns how many parameters the merged model has; vocabularies are taken as equal."""
        return self.parameters + (self.depth(recipe) - self.layers) * self.layer_parameters

    def shares(self, recipe: Recipe) -> Mapping[Parent, float]:
        """Returns what part of the layers' mixture each parent makes up; the parts add up to 1.

        A parent's part of a layer is its weight's size among those of all parents in that layer.  Of
        the methods that interpolate with `t` the second parent has t.  Where a method says neither,
        all parents have the same.
        """
        found: dict[Parent, float] = {}
        total = max(self.depth(recipe), 1)
        for part in recipe.slices:
            length = self._length(part)
            for place in range(length):
                depth = place / (length - 1) if length > 1 else 0.0
                for parent, share in self._mixture(recipe, part, depth, place).items():
                    found[parent] = found.get(parent, 0.0) + share / total
        return found

    def _length(self, part: Slice) -> int:
        span = part.sources[0].layers
        return self.layers if span is None else span[1] - span[0]

    def _mixture(self, recipe: Recipe, part: Slice, depth: float, place: int) -> dict[Parent, float]:
        parents = [source.parent for source in part.sources]
        base = part.base or recipe.base
        mixed = [source for source in part.sources if source.parent != base] or list(part.sources)
        declared = {p.name for p in method_named(part.method or recipe.method).parameters}
        names = [f"{self.layer_prefix}{place}.{kind}" for kind in _PARTS]
        if "weight" in declared:
            sizes = {
                s.parent: sum(
                    abs(recipe.parent_value("weight", part, s, name, depth) or 0.0) for name in names
                )
                for s in mixed
            }
            total = sum(sizes.values())
            return {parent: size / total for parent, size in sizes.items()} if total else {}
        if "t" in declared and len(parents) == 2:
            t = sum(recipe.shared_value("t", part, name, depth) or 0.0 for name in names) / len(names)
            other = next((parent for parent in parents if parent != base), parents[1])
            first = next(parent for parent in parents if parent != other)
            return {first: 1.0 - t, other: t}
        return {source.parent: 1.0 / len(mixed) for source in mixed}
