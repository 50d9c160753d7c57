"""Vocabularies: which token stands in which row of a model's embeddings.  Torch-free.

Read from tokenizer.json as the tokenizers library writes it (BPE, Unigram, WordPiece and WordLevel),
or from vocab.json where an older checkpoint has only that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workers.checkpoints.layer_stacks import EMBEDDINGS, HEADS
from workers.checkpoints.layout import Layout, language_config
from workers.checkpoints.tensor_table import read_json
from workers.errors import CheckpointError

TOKENIZER_FILE = "tokenizer.json"
_OLD_FILE, _OLD_ADDED = "vocab.json", "added_tokens.json"
_MOST_TOKENS = 4_000_000
_AGAIN = "save the tokenizer again"
_TABLES = (*EMBEDDINGS, *HEADS, "lm_head.bias", "embed_out.bias")
_PLACES = ("position", "wpe")  # tables with a row per place in a text


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of one tokenizer.

    Attributes:
        ids: Token -> id, added tokens included.
        folder: Where its files are.
    """

    ids: Mapping[str, int]
    folder: Path

    def in_order(self) -> list[str]:
        """Returns the tokens by rising id."""
        return sorted(self.ids, key=lambda token: self.ids[token])

    def differing(self, other: Vocabulary) -> list[str]:
        """Returns the tokens that the two do not have, or have under different ids, in order of text."""
        if self.ids == other.ids:
            return []
        tokens = self.ids.keys() | other.ids.keys()
        return sorted(token for token in tokens if self.ids.get(token) != other.ids.get(token))


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """Returns the vocabulary of the tokenizer in a folder, None where no file lists one.

    Raises:
        CheckpointError: The tokenizer's file is broken.
    """
    for name in (TOKENIZER_FILE, _OLD_FILE):
        path = folder / name
        if path.is_file():
            status = path.stat()
            return _read(path, status.st_size, status.st_mtime_ns)
    return None


def vocabulary_tables(layout: Layout) -> Iterator[str]:
    """Yields the tensors that have one row per token, embeddings and heads, input embeddings first.

    Of a checkpoint as transformers loads it these are all there are; of one whose headers alone were
    looked at, those of the usual names and shapes.
    """
    if layout.tables is not None:
        yield from (name for name in layout.tables if name in layout.tensors)
        return
    rows = vocabulary_rows(layout)
    usual = rows == vocabulary_size(layout.config)
    for name, entry in layout.tensors.items():
        if layout.layer_of(name) is None and name not in layout.copied and entry.shape[:1] == (rows,):
            matrix = usual and len(entry.shape) == 2 and not any(word in name for word in _PLACES)
            if name.endswith(_TABLES) or matrix:
                yield name


def vocabulary_rows(layout: Layout) -> int | None:
    """Returns how many rows the embeddings have; with padding these are more than there are tokens."""
    for name in layout.tables or ():
        if name in layout.tensors:
            return layout.tensors[name].shape[0]
    for name, entry in layout.tensors.items():
        if layout.layer_of(name) is None and name.endswith(_TABLES) and entry.shape:
            return entry.shape[0]
    return vocabulary_size(layout.config)


def vocabulary_size(config: Mapping[str, Any]) -> int | None:
    """Returns the size that a configuration gives."""
    found = language_config(config).get("vocab_size", config.get("vocab_size"))
    return found if isinstance(found, int) else None


@lru_cache(maxsize=64)
def _read(path: Path, size: int, changed: int) -> Vocabulary:  # noqa: ARG001 - they tell a new file from the old
    content = read_json(path)
    if path.name == _OLD_FILE:
        added = path.with_name(_OLD_ADDED)
        ids: dict[Any, Any] = content | (read_json(added) if added.is_file() else {})
    else:
        ids = {token: number for number, token in enumerate(_listed(content))} or _mapped(content)
        ids |= {
            item["content"]: item.get("id")
            for item in content.get("added_tokens") or ()
            if isinstance(item, dict) and isinstance(item.get("content"), str)
        }
    if not ids or len(ids) > _MOST_TOKENS:
        raise CheckpointError(str(path), f"lists {len(ids)} tokens", _AGAIN)
    wrong = next((token for token, number in ids.items() if not _is_id(number)), None)
    if wrong is not None:
        raise CheckpointError(str(path), f"gives token {wrong!r:.80} the id {ids[wrong]!r:.80}", _AGAIN)
    return Vocabulary(ids, path.parent)


def _is_id(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < _MOST_TOKENS


def _model_vocabulary(content: Mapping[str, Any]) -> object:
    model = content.get("model")
    return model.get("vocab") if isinstance(model, dict) else None


def _listed(content: Mapping[str, Any]) -> list[str]:
    """Returns a Unigram model's tokens, whose ids are their places: pairs of token and log-probability."""
    found = _model_vocabulary(content)
    return [str(pair[0]) for pair in found if pair] if isinstance(found, list) else []


def _mapped(content: Mapping[str, Any]) -> dict[Any, Any]:
    found = _model_vocabulary(content)
    return dict(found) if isinstance(found, dict) else {}
