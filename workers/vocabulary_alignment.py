"""Aligns parents of different vocabularies: row i of every embedding stands for one and the same token.

Torch-free: says which rows to take; `workers/fitted_reader.py` takes them.  A token that a parent
lacks gets the base's row, else the mean of the rows of the parents that have it.  A row for which no
parent has a token is padding: the parent's own at that place, else the base's or the owner's, else the
mean of all the parent's rows.  A recipe may say of single tokens where their rows come from.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search_spaces import Parent, Recipe
from search_spaces.token_rule import TokenRule
from workers.errors import MismatchError
from workers.layout import Layout
from workers.tensor_table import BITS
from workers.vocabulary import Vocabulary, read_vocabulary, vocabulary_rows, vocabulary_tables

ABSENT = -1
_Token = str | int  # a number stands for the padding row of that number


@dataclass(frozen=True, slots=True)
class Donation:
    """Rows that a parent takes from others, because it lacks their tokens.

    Attributes:
        rows: Where they go.
        donors: Parent -> its rows, as many; their mean is taken.
    """

    rows: tuple[int, ...]
    donors: Mapping[Parent, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """How one parent's embeddings are rebuilt.

    Attributes:
        own: For each row of the merged model the parent's own row, or ABSENT.
        donations: What fills the absent ones.
        averaged: Absent rows that nobody has: the mean of all the parent's rows.
        zeros: Rows of zeros.
    """

    own: tuple[int, ...]
    donations: tuple[Donation, ...]
    averaged: tuple[int, ...]
    zeros: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Alignment:
    """The merged vocabulary, and how each parent's rows are brought into its order.

    Attributes:
        ids: Token -> row of the merged model.
        rows: How many rows the merged embeddings have.
        plans: For the parents whose rows change.
        name: Stands for all of this: equal alignments have equal names.
    """

    ids: Mapping[str, int]
    rows: int
    plans: Mapping[Parent, RowPlan]
    name: str

    def applied_to(self, layout: Layout) -> Layout:
        """Returns a layout with embeddings of the merged size."""
        tensors = dict(layout.tensors)
        for name in vocabulary_tables(layout):
            shape = (self.rows, *tensors[name].shape[1:])
            size = math.prod(shape) * BITS[tensors[name].dtype] // 8
            tensors[name] = replace(tensors[name], shape=shape, bytes=size, arrangement=self.name)
        return replace(layout, tensors=tensors, config=_with_size(layout.config, self.rows))


def align_vocabularies(
    recipe: Recipe, layouts: Mapping[Parent, Layout], mixed: Sequence[Parent]
) -> Alignment | None:
    """Returns how the parents' rows are brought into one order; None where they are in one already.

    Args:
        recipe: Says what to do where vocabularies differ.
        layouts: Of all parents.
        mixed: Those whose weights are merged.

    Raises:
        MismatchError: Vocabularies differ, and the recipe does not say what to do, or cannot be followed.
    """
    owner = recipe.tokenizer_owner
    given = recipe.vocabulary or recipe.tokenizer or recipe.pad_to_multiple_of or recipe.tokens
    found = {parent: read_vocabulary(layouts[parent].folder) for parent in dict.fromkeys((owner, *mixed))}
    sizes = {parent: vocabulary_rows(layouts[parent]) for parent in found}
    same = len(set(sizes.values())) == 1 and all(_equal(found[owner], other) for other in found.values())
    if same and recipe.pad_to_multiple_of is None and not recipe.tokens:
        return None
    if not given:
        raise _no_policy(owner, found, sizes)
    known = {parent: _known(parent, vocabulary) for parent, vocabulary in found.items()}
    ids = dict(known[owner].ids)
    if recipe.vocabulary == "union":
        following = max(ids.values()) + 1
        for token in (token for parent in mixed for token in known[parent].in_order()):
            if token not in ids:
                ids[token], following = following, following + 1
    for rule in recipe.tokens:
        ids.setdefault(rule.token, max(ids.values()) + 1)
    rows = _rows(ids, sizes[owner] or 0, recipe.pad_to_multiple_of)
    places = {parent: _places(known[parent], sizes[parent] or 0) for parent in found}
    wanted = _wanted(ids, rows)
    donors = _Donors(places, tuple(mixed), recipe.base, owner)
    ruled = {ids[rule.token]: _ruled(rule, places, sizes) for rule in recipe.tokens}
    plans = {}
    for parent in found:
        plan = _plan(parent, wanted, places, donors, ruled)
        if plan.own != tuple(range(sizes[parent] or 0)):
            plans[parent] = plan
    told = repr((sorted(ids.items()), rows, [(str(parent), plan) for parent, plan in plans.items()]))
    return Alignment(ids, rows, plans, hashlib.sha256(told.encode()).hexdigest()[:16])


def _equal(first: Vocabulary | None, other: Vocabulary | None) -> bool:
    """Says whether two vocabularies are one; what lists no tokens cannot be told apart."""
    return first is None or other is None or first.ids == other.ids


def _no_policy(
    owner: Parent, found: Mapping[Parent, Vocabulary | None], sizes: Mapping[Parent, int | None]
) -> MismatchError:
    first = found[owner]
    other = next(p for p in found if sizes[p] != sizes[owner] or not _equal(first, found[p]))
    second = found[other]
    parts = []
    if first is not None and second is not None and first.ids != second.ids:
        tokens = first.differing(second)
        parts.append(f"{len(tokens)} tokens, such as {tokens[0]!r:.60}, have another id or none")
    if sizes[other] != sizes[owner]:
        parts.append(f"its embeddings have {sizes[other]} rows, not {sizes[owner]}")
    return MismatchError(
        str(other),
        f"its vocabulary differs from {owner}'s: {', and '.join(parts)}",
        "write tokenizer_source: base, union, or a model; rows are then matched by token",
    )


def _known(parent: Parent, vocabulary: Vocabulary | None) -> Vocabulary:
    if vocabulary is None:
        raise MismatchError(
            str(parent),
            "lists no tokens to match rows by: there is no tokenizer.json",
            "load its tokenizer with AutoTokenizer and save it into the folder",
        )
    return vocabulary


def _rows(ids: Mapping[str, int], size: int, multiple: int | None) -> int:
    needed = max(ids.values()) + 1
    return max(size, needed) if multiple is None else math.ceil(needed / multiple) * multiple


def _places(vocabulary: Vocabulary, size: int) -> dict[_Token, int]:
    """Returns each token's row; rows without a token, which are padding, stand under their number."""
    found: dict[_Token, int] = {token: row for token, row in vocabulary.ids.items() if row < size}
    return found | {row: row for row in set(range(size)).difference(found.values())}


def _wanted(ids: Mapping[str, int], rows: int) -> list[_Token]:
    """Returns what each merged row stands for."""
    found: list[_Token] = list(range(rows))
    for token, row in ids.items():
        found[row] = token
    return found


@dataclass(frozen=True, slots=True)
class _Donors:
    """Who may give a row that another parent lacks."""

    places: Mapping[Parent, Mapping[_Token, int]]
    mixed: tuple[Parent, ...]
    base: Parent | None
    owner: Parent

    def of(self, token: _Token) -> tuple[Parent, ...]:
        """Returns those whose rows stand in: the base, else all that are merged, else the owner alone."""
        having = [parent for parent, mine in self.places.items() if token in mine]
        first = (self.base, self.owner) if isinstance(token, int) else (self.base,)
        for parent in first:
            if parent in having:
                return (parent,)
        return tuple(parent for parent in having if parent in self.mixed) or tuple(having)


@dataclass(frozen=True, slots=True)
class _Ruled:
    """What a recipe says of one row; without a donor and without zero it must be every parent's own."""

    rule: TokenRule
    donor: Parent | None
    row: int


def _ruled(
    rule: TokenRule,
    places: Mapping[Parent, Mapping[_Token, int]],
    sizes: Mapping[Parent, int | None],
) -> _Ruled:
    """Finds the row that a rule names.

    Raises:
        MismatchError: The rule's model has no such row.
    """
    if rule.source is None:
        return _Ruled(rule, None, ABSENT)
    token = rule.token if rule.source_token is None else rule.source_token
    row = places[rule.source].get(token, ABSENT) if rule.source_id is None else rule.source_id
    if not 0 <= row < (sizes[rule.source] or 0):
        detail = f"{rule.source} has no row {row}"
        if rule.source_id is None:
            detail = f"{rule.source} does not know the token {token!r:.60}"
        raise MismatchError(f"tokenizer.tokens.{rule.token}", detail, "take the row of a token that it knows")
    return _Ruled(rule, rule.source, row)


def _plan(
    parent: Parent,
    wanted: Sequence[_Token],
    places: Mapping[Parent, Mapping[_Token, int]],
    donors: _Donors,
    ruled: Mapping[int, _Ruled],
) -> RowPlan:
    """Finds where each row comes from."""
    mine = places[parent]
    forced = {row for row, said in ruled.items() if said.rule.force}
    own = tuple(ABSENT if row in forced else mine.get(token, ABSENT) for row, token in enumerate(wanted))
    absent = [row for row, origin in enumerate(own) if origin == ABSENT]
    groups: dict[tuple[Parent, ...], list[int]] = {}
    for row in absent:
        if row not in ruled:
            groups.setdefault(donors.of(wanted[row]), []).append(row)
    averaged = tuple(groups.pop((), ()))
    donations = [
        Donation(tuple(rows), {p: tuple(places[p][wanted[row]] for row in rows) for p in giving})
        for giving, rows in groups.items()
    ]
    zeros = []
    for said, row in ((ruled[row], row) for row in absent if row in ruled):
        if said.donor is not None:
            donations.append(Donation((row,), {said.donor: (said.row,)}))
        elif said.rule.zero:
            zeros.append(row)
        else:
            field, detail = f"tokenizer.tokens.{said.rule.token}", f"{parent} does not know the token"
            raise MismatchError(field, detail, "say where its row comes from: source: a model, or kind: zero")
    return RowPlan(own, tuple(donations), averaged, tuple(zeros))


def _with_size(config: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """Returns the configuration with the vocabulary's size, wherever it stands."""
    found = dict(config)
    if "vocab_size" in found:
        found["vocab_size"] = rows
    text = found.get("text_config")
    if isinstance(text, Mapping):
        found["text_config"] = {**text, "vocab_size": rows}
    return found
