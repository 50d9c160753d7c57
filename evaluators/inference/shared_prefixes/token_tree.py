"""Texts that begin alike, arranged so that what they share is read once.  Torch-free.

All rows together form a prefix tree of tokens.  It is cut in two ways: a long beginning shared by many
rows (the few-shot header of a task) becomes a *section*, read once, whose keys and values its rows then
see; a short run of branches (the choices of one question) becomes one *tree*, laid out in a single line
where each token sees its ancestors only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

Tokens = tuple[int, ...]

_LONGEST_TREE = 1024  # nodes; a tree's attention costs the square of them


@dataclass(frozen=True, slots=True)
class Exchange:
    """What reading costs, in tokens read alone.

    Attributes:
        attended: So many attended tokens cost as much as one token's matrix products (6 x hidden size:
            24 d^2 operations per token and layer against 4 d per attended token).
        launch: What one more forward pass costs.
    """

    attended: int
    launch: int

    def of_tree(self, nodes: int, before: int) -> float:
        """Returns the cost of a tree of so many nodes that follows so many tokens."""
        return nodes * (1.0 + (nodes + before) / self.attended)


@dataclass(frozen=True, slots=True)
class Tree:
    """Rows of one tree, laid out in a line of nodes.

    Attributes:
        rows: Which rows it holds, by their numbers.
        tokens: One per node.
        depths: Each node's position in the texts that pass through it.
        parents: Each node's predecessor in the line; -1 for those that follow what was read before.
        paths: Per row, its nodes from the first to the last.
    """

    rows: tuple[int, ...]
    tokens: Tokens
    depths: Tokens
    parents: Tokens
    paths: tuple[Tokens, ...]

    @property
    def is_path(self) -> bool:
        """Says whether nothing branches, so that plain causal attention reads it."""
        return all(parent == node - 1 for node, parent in enumerate(self.parents))

    def sees(self) -> np.ndarray:
        """Returns which node sees which, nodes x nodes."""
        seen = np.eye(len(self.tokens), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


@dataclass(slots=True)
class Section:
    """A shared beginning, and what follows it.

    Attributes:
        tokens: What it adds to the beginning that it follows itself.
        before: How many tokens come before it.
        trees: The trees that follow it directly.
        sections: Longer beginnings that start with it.
    """

    tokens: Tokens = ()
    before: int = 0
    trees: list[Tree] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    @property
    def depth(self) -> int:
        """How many tokens its trees follow."""
        return self.before + len(self.tokens)

    def __iter__(self) -> Iterator[Section]:
        """Yields this section and all below it."""
        waiting = [self]
        while waiting:
            section = waiting.pop()
            yield section
            waiting.extend(reversed(section.sections))

    @property
    def nodes(self) -> int:
        """How many tokens are read in all."""
        return sum(len(one.tokens) + sum(len(tree.tokens) for tree in one.trees) for one in self)


def arrange(rows: Sequence[Tokens], starts: Sequence[int], exchange: Exchange, most: int) -> Section:
    """Cuts distinct rows into sections and trees, each time the way that costs least.

    Args:
        rows: What is to be read, each once.
        starts: Per row the first position whose output matters: it stays out of the sections.
        exchange: The prices.
        most: Nodes of one tree; a single row may be longer.

    Returns:
        The section without tokens, which holds everything.
    """
    forest = _Forest(rows, starts)
    root = Section()
    waiting = [(0, len(rows), root)] if rows else []
    while waiting:
        first, end, section = waiting.pop()
        depth = section.depth
        parts, shared = forest.parts(first, end)
        whole = exchange.of_tree(forest.nodes(first, end, depth), depth)
        apart = sum(exchange.of_tree(forest.nodes(*part, depth), depth) for part in parts)
        header = exchange.launch + exchange.of_tree(max(shared - depth, 0), depth)
        after = header + sum(exchange.of_tree(forest.nodes(*part, shared), shared) for part in parts)
        if len(parts) == 1 or (
            whole <= min(apart, after) and forest.nodes(first, end, depth) <= min(most, _LONGEST_TREE)
        ):
            section.trees.append(forest.tree(first, end, depth))
            continue
        if shared > depth and after < apart:
            below = Section(forest.row(first)[depth:shared], depth)
            section.sections.append(below)
            section = below
        waiting.extend((*part, section) for part in reversed(parts))
    return root


def lone_rows(rows: Sequence[Tokens]) -> Section:
    """Returns each row as a tree of its own."""
    paths = [tuple(range(len(row))) for row in rows]
    trees = [
        Tree((number,), row, path, tuple(node - 1 for node in path), (path,))
        for number, (row, path) in enumerate(zip(rows, paths, strict=True))
    ]
    return Section(trees=trees)


class _Forest:
    """Rows in lexicographic order, so that those which begin alike lie together."""

    def __init__(self, rows: Sequence[Tokens], starts: Sequence[int]) -> None:
        self._order = sorted(range(len(rows)), key=lambda number: rows[number])
        self._rows = [rows[number] for number in self._order]
        self._starts = np.array([starts[number] for number in self._order], dtype=np.int64)
        self._lengths = np.array([len(row) for row in self._rows], dtype=np.int64)
        alike = [_shared(one, other) for one, other in pairwise(self._rows)]
        self._alike = np.array([0, *alike], dtype=np.int64)  # with the row before

    def row(self, index: int) -> Tokens:
        return self._rows[index]

    def parts(self, first: int, end: int) -> tuple[list[tuple[int, int]], int]:
        """Returns the branches of a run of rows, and how long a beginning they may share."""
        if end - first == 1:
            return [(first, end)], 0
        inner = self._alike[first + 1 : end]
        branching = int(inner.min())
        cuts = [first, *(first + 1 + np.flatnonzero(inner == branching)).tolist(), end]
        shared = min(branching, int(self._starts[first:end].min()))
        return list(pairwise(cuts)), shared

    def nodes(self, first: int, end: int, depth: int) -> int:
        """Returns how many nodes a run of rows has below a depth."""
        known = np.maximum(self._alike[first + 1 : end], depth)
        return int(self._lengths[first:end].sum() - known.sum()) - depth

    def tree(self, first: int, end: int, depth: int) -> Tree:
        tokens: list[int] = []
        depths: list[int] = []
        parents: list[int] = []
        path: list[int] = []
        paths = []
        for index in range(first, end):
            row = self._rows[index]
            path = path[: max(int(self._alike[index]), depth) - depth] if index > first else []
            for position in range(depth + len(path), len(row)):
                parents.append(path[-1] if path else -1)
                path.append(len(tokens))
                tokens.append(row[position])
                depths.append(position)
            paths.append(tuple(path))
        rows = tuple(self._order[first:end])
        return Tree(rows, tuple(tokens), tuple(depths), tuple(parents), tuple(paths))


def _shared(one: Tokens, other: Tokens) -> int:
    """Returns how many tokens both begin with."""
    most = min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    return next(index for index in range(most) if one[index] != other[index])
