"""What the parents of an experiment changed of their base, and which genes can therefore do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from search_spaces import Parent, ParentPool, SearchSpace
from search_spaces.spaces.idle_genes import Changed, idle_genes
from workers.checkpoints.comparing.weight_changes import WeightChanges, unchanged_in, weight_changes
from workers.checkpoints.layout import Layout

MOST_NAMED = 6  # genes in a sentence
_CHANGES = TypeAdapter(tuple[WeightChanges, ...])


@dataclass(frozen=True, slots=True)
class Idle:
    """What is known of the parents' changes, and what follows for a space.

    Attributes:
        changes: Per parent whose weights are on this machine, in order.
        genes: Names of the genes that do nothing; () where all of them would: there is nothing to search.
        told: What must be said of it.
    """

    changes: tuple[WeightChanges, ...] = ()
    genes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def idle_in(space: SearchSpace, pool: ParentPool, layouts: Mapping[Parent, Layout]) -> Idle:
    """Compares the parents with the base; reads as much of their weights as is equal."""
    kept = unchanged_in(layouts, pool.base, merged=pool.parents)
    if pool.base is None or not kept:
        return Idle()
    base = layouts[pool.base]
    changes = tuple(weight_changes(layouts[parent], base, names) for parent, names in kept.items())
    changed = {parent: _changed(layouts[parent], names) for parent, names in kept.items() if names}
    found = idle_genes(space, pool, changed)
    genes = () if len(found) == len(space.variables) else found
    return Idle(changes, genes, tuple(_told(changes, found, len(space.variables))))


def idle_words(genes: Sequence[str], of: int) -> str:
    """Says which genes are not searched, and why; `of` is how many there were."""
    named = ", ".join(genes[:MOST_NAMED]) + (" ..." if len(genes) > MOST_NAMED else "")
    verbs = ("does", "is") if len(genes) == 1 else ("do", "are")
    return f"{len(genes)} of {of} genes {verbs[0]} nothing there, and {verbs[1]} not searched: {named}"


def changes_in(facts: Mapping[str, Any]) -> tuple[WeightChanges, ...]:
    """Returns what was found out of the parents' changes when an experiment was created."""
    known: Sequence[WeightChanges] = _CHANGES.validate_python(facts.get("changes") or ())
    return tuple(known)


def _changed(layout: Layout, kept: frozenset[str]) -> Changed:
    rest = (name for name in layout.tensors if name not in kept)
    return Changed(tuple((name, layout.layer_of(name)) for name in rest))


def _told(changes: Sequence[WeightChanges], found: Sequence[str], of: int) -> Iterator[str]:
    if not found:
        return
    words = "; ".join(each.words for each in changes if each.kept_tensors)
    if len(found) == of:
        yield f"{words}: no gene does anything, and every merge is the base; name other parents"
    else:
        yield f"{words}: {idle_words(found, of)}"
