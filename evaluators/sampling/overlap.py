"""Overlap: how much of the test items stands in the search items, word for word.

Items whose contents are equal never lie in two splits; but two items may share long passages, and a
search that climbed one has partly seen the other (Brown et al., arXiv 2005.14165, appendix C, on
n-grams as a sign of contamination).  Pure: texts in, shares out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

LENGTH = 8  # words
_WORD = re.compile(r"\w+")


def shared_passages(
    search: Iterable[Mapping[str, object]], test: Iterable[Mapping[str, object]]
) -> float | None:
    """Returns the share of test items that have a run of eight words in common with a search item.

    Items with fewer words count by the whole of them.  A run that more than one in ten search items
    have is the task's own wording and tells nothing.  None without test items.
    """
    searched = [frozenset(_passages(item)) for item in search]
    counts: dict[str, int] = {}
    for passages in searched:
        for passage in passages:
            counts[passage] = counts.get(passage, 0) + 1
    usual = max(1.0, len(searched) / 10)
    telling = {passage for passage, count in counts.items() if count <= usual}
    tested = [any(passage in telling for passage in _passages(item)) for item in test]
    return sum(tested) / len(tested) if tested else None


def _passages(item: Mapping[str, object]) -> Iterator[str]:
    """Yields every run of eight words of every text in an item; of shorter items all words as one run."""
    texts = [" ".join(_WORD.findall(text.lower())) for text in _texts(item)]
    long = [words for text in texts if len(words := text.split()) >= LENGTH]
    for words in long:
        for start in range(len(words) - LENGTH + 1):
            yield " ".join(words[start : start + LENGTH])
    if not long:
        yield "\n".join(texts)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
