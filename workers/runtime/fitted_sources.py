"""The resident parents as each recipe's plan sees them: of one kind, with heads alike and one vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from search_spaces import Parent, Recipe
from workers.checkpoints.vocabulary import TOKENIZER_FILE
from workers.compatibility.fitted_reader import FittedReader
from workers.compatibility.fitting import FittedParents, ParentFitter
from workers.errors import MismatchError
from workers.merging.stream import ReadRecord, Sources
from workers.runtime.resident_parents import ResidentParents


class FittedSources:
    """Fits the parents of an experiment's recipes; recipes that differ in numbers alone share the work."""

    def __init__(self, parents: ResidentParents) -> None:
        self._parents = parents
        self._fitter = ParentFitter(parents.layouts)
        self._sources: dict[int, tuple[FittedParents, Sources]] = {}

    def of(self, recipe: Recipe) -> tuple[FittedParents, Sources]:
        """Returns a recipe's parents as they are merged, and how to read them.

        Raises:
            MismatchError: They differ in a way that the recipe has no answer to, or the merged model has
                a tokenizer that no parent has.
        """
        fitted = self._fitter.fit(recipe)
        if TOKENIZER_FILE in fitted.tokenizer.texts:
            detail = "the recipe makes a tokenizer of its own, which is written with a checkpoint only"
            raise MismatchError("tokenizer_source", detail, "name one of the models, or evomerge merge it")
        if id(fitted) not in self._sources:
            self._sources[id(fitted)] = fitted, self._fitted(fitted)
        return self._sources[id(fitted)]

    def close(self) -> None:
        """Lets rebuilt embeddings go."""
        self._sources.clear()

    def _fitted(self, fitted: FittedParents) -> Sources:
        plain = self._parents.sources
        if not fitted.names and fitted.alignment is None:
            return plain
        reader = FittedReader(self._parents, fitted, keep=True)
        return replace(plain, read=reader.read, record=_renamed(plain.record, fitted.names))


def _renamed(record: ReadRecord, names: Mapping[Parent, Mapping[str, str]]) -> ReadRecord:
    def read(parent: Parent, kind: str, tensor: str) -> Tensor | None:
        return record(parent, kind, names.get(parent, {}).get(tensor, tensor))

    return read
