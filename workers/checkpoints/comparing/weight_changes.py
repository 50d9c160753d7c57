"""Which layers a fine-tuned checkpoint changed of the one that it was made from.  Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces import Parent
from workers.checkpoints.comparing.unchanged_tensors import unchanged_tensors
from workers.checkpoints.layout import Layout
from workers.checkpoints.vocabulary import read_vocabulary


@dataclass(frozen=True, slots=True)
class WeightChanges:
    """What a parent changed of its base.

    Attributes:
        parent, base: As they are named.
        layers: How many both have.
        kept_layers: Numbers of the layers all of whose tensors are the base's.
        outside_kept: So is everything outside the layers.
        tensors, kept_tensors: How many the parent has, and how many are the base's.
    """

    parent: str
    base: str
    layers: int
    kept_layers: tuple[int, ...]
    outside_kept: bool
    tensors: int
    kept_tensors: int

    @property
    def words(self) -> str:
        """Says it in a sentence without its end."""
        name = self.parent.rstrip("/").rsplit("/", 1)[-1]
        if self.kept_tensors == self.tensors:
            return f"{name} has the base's weights everywhere"
        if not self.kept_tensors:
            return f"{name} changed every tensor of the base"
        changed = [layer for layer in range(self.layers) if layer not in set(self.kept_layers)]
        said = f"{_runs(changed)} of {self.layers}" if self.kept_layers and changed else "all layers"
        parts = [said if changed else "no layer"]
        parts += [] if self.outside_kept else ["what lies outside the layers"]
        kept = f"{self.kept_tensors} of its {self.tensors} tensors are the base's"
        return f"{name} changed {' and '.join(parts)} ({kept})"


def unchanged_in(
    layouts: Mapping[Parent, Layout], base: Parent | None, *, merged: Sequence[Parent]
) -> dict[Parent, frozenset[str]]:
    """Returns the tensors in which parents equal the base; nothing of parents whose files are not here.

    Where tokens have other numbers, rows are exchanged before they are merged: then nothing outside the
    layers counts as equal.
    """
    if base is None or base not in layouts:
        return {}
    origin, found = layouts[base], {}
    for parent in (each for each in merged if each != base and each in layouts):
        names = unchanged_tensors(layouts[parent], origin)
        if names is not None and not _same_tokens(layouts[parent], origin):
            names = frozenset(name for name in names if origin.layer_of(name) is not None)
        if names is not None:
            found[parent] = names
    return found


def weight_changes(layout: Layout, base: Layout, kept: frozenset[str]) -> WeightChanges:
    """Returns what a parent changed, by the tensors in which it equals the base."""
    changed = {layout.layer_of(name) for name in layout.tensors if name not in kept}
    return WeightChanges(
        parent=str(layout.parent),
        base=str(base.parent),
        layers=layout.layers,
        kept_layers=tuple(layer for layer in range(layout.layers) if layer not in changed),
        outside_kept=None not in changed,
        tensors=len(layout.tensors),
        kept_tensors=len(kept),
    )


def _same_tokens(layout: Layout, base: Layout) -> bool:
    mine, theirs = read_vocabulary(layout.folder), read_vocabulary(base.folder)
    if mine is None or theirs is None:
        return mine is theirs
    return not mine.differing(theirs)


def _runs(numbers: Sequence[int]) -> str:
    """Returns numbers as people write them: `layers 0-3, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"layer{'' if len(numbers) == 1 else 's'} {told}"
