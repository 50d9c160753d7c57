"""The tokenizer.json of several vocabularies in one.  Torch-free.

The owner's tokens keep their ids; what others have beyond them gets the ids that follow, as
`workers/vocabulary_alignment.py` gave them out.  Merges of a BPE model are the owner's, then those of
the others that make new tokens; the owner's text may therefore be cut into fewer tokens than before.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.errors import MismatchError
from workers.tensor_table import read_json
from workers.vocabulary import TOKENIZER_FILE

_KINDS = ("BPE", "Unigram", "WordPiece", "WordLevel")
# As transformers adds a token that it is told by its text alone.
_PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
_NAME_ONE = "write tokenizer_source with the model whose tokenizer to take"


def union_tokenizer(
    owner: Path, others: Sequence[Path], ids: Mapping[str, int], *, added: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns the content of the merged tokenizer.json.

    Args:
        owner: The folder of the tokenizer that is extended.
        others: The folders of the tokenizers that it is extended by.
        ids: Token -> id of the union.
        added: Tokens that are in it beside those of any tokenizer, or in spite of it.

    Raises:
        MismatchError: The tokenizers cut text in different ways, and have no union.
    """
    merged = copy.deepcopy(read_json(owner / TOKENIZER_FILE))
    contents = [read_json(folder / TOKENIZER_FILE) for folder in others]
    for folder, content in zip(others, contents, strict=True):
        _check_alike(owner, merged, folder, content)
    kind = merged["model"]["type"]
    found = _added_tokens(merged, contents, ids, added)
    if kind == "Unigram":
        merged["model"]["vocab"] = _scored(merged, contents, ids)
    else:
        # With the added tokens: those that the model does not know would get ids after all others.
        merged["model"]["vocab"] = dict(ids)
    if kind == "BPE":
        merged["model"]["merges"] = _merges(merged, contents, ids)
    merged["added_tokens"] = found
    return merged


def _check_alike(owner: Path, first: Mapping[str, Any], folder: Path, other: Mapping[str, Any]) -> None:
    mine, theirs = _way_of_cutting(first), _way_of_cutting(other)
    if mine[0] not in _KINDS:
        raise MismatchError(str(owner), f"a {mine[0]} tokenizer has no union with others", _NAME_ONE)
    if mine != theirs:
        detail = f"its tokenizer is {' '.join(theirs)}, that of {owner} is {' '.join(mine)}"
        raise MismatchError(str(folder), detail, _NAME_ONE)


def _way_of_cutting(content: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the model's kind, and whether its tokens are bytes in disguise or text."""
    model = content.get("model")
    kind = str(model.get("type", "BPE")) if isinstance(model, Mapping) else "unknown"
    return kind, "of bytes" if _mentions(content.get("decoder"), "ByteLevel") else "of text"


def _mentions(part: object, word: str) -> bool:
    if isinstance(part, Mapping):
        return any(_mentions(value, word) for value in part.values())
    if isinstance(part, list):
        return any(_mentions(value, word) for value in part)
    return part == word


def _added_tokens(
    first: Mapping[str, Any],
    others: Sequence[Mapping[str, Any]],
    ids: Mapping[str, int],
    more: Sequence[str],
) -> list[dict[str, Any]]:
    """Returns the owner's added tokens, those of the others that it does not know as words, and more."""
    found = {item["content"]: item for item in first.get("added_tokens") or []}
    words = _words(first)
    for content in others:
        for item in content.get("added_tokens") or []:
            if item["content"] not in words:
                found.setdefault(item["content"], item)
    every = words.union(*(_words(content) for content in others))
    for token in more:
        if token not in every:
            found.setdefault(token, {"content": token, **_PLAIN})
    return sorted(
        ({**item, "id": ids[token]} for token, item in found.items()), key=lambda item: int(item["id"])
    )


def _words(content: Mapping[str, Any]) -> set[str]:
    vocabulary = content["model"]["vocab"]
    return set(vocabulary) if isinstance(vocabulary, dict) else {pair[0] for pair in vocabulary}


def _scored(
    first: Mapping[str, Any], others: Sequence[Mapping[str, Any]], ids: Mapping[str, int]
) -> list[list[Any]]:
    """Returns a Unigram model's pairs; ids are places, so added tokens stand among them."""
    scores: dict[str, float] = {}
    for content in (first, *others):
        for token, score in content["model"]["vocab"]:
            scores.setdefault(token, score)
    lowest = min(scores.values(), default=0.0)
    by_id = {number: token for token, number in ids.items()}
    filled = [by_id.get(number, f"<unused {number}>") for number in range(max(by_id) + 1)]
    return [[token, scores.get(token, lowest)] for token in filled]


def _merges(
    first: Mapping[str, Any], others: Sequence[Mapping[str, Any]], ids: Mapping[str, int]
) -> list[list[str]]:
    """Returns the owner's merges, and the others' whose parts and result are all known."""
    found: dict[tuple[str, str], None] = {}
    for content in (first, *others):
        for merge in content["model"].get("merges") or []:
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            if left in ids and right in ids and left + right in ids:
                found.setdefault((left, right))
    return [list(merge) for merge in found]
