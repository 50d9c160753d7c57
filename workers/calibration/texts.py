"""The texts that a model is looked at through: read, drawn with a seed, and made into tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.errors import PreparationError
from workers.protocol.calibration_orders import TextsToUse

LARGEST_FILE = 4 * 2**30
_FEWEST_TOKENS = 2  # one to read and one to predict


def read_texts(path: Path) -> list[str]:
    """Returns a file's texts: its lines, or the `text` of each line's JSON object (`.jsonl`).

    Raises:
        PreparationError: It cannot be read, a line is no text, or there is none.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise PreparationError(
                str(path), f"has {path.stat().st_size} bytes, more than {LARGEST_FILE}", "use a part of it"
            )
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise PreparationError(str(path), f"cannot be read: {cause}", "give a file of texts") from error
    as_json = path.suffix in (".jsonl", ".ndjson")
    texts = [
        _text_of(line, f"{path}:{number}") if as_json else line
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not texts:
        raise PreparationError(str(path), "holds no text", "write one text per line")
    return texts


def _text_of(line: str, place: str) -> str:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PreparationError(
            place, f"is no JSON ({error})", 'write {"text": "..."} on each line'
        ) from error
    text = found.get("text") if isinstance(found, dict) else None
    if not isinstance(text, str):
        raise PreparationError(place, "has no `text`", 'write {"text": "..."} on each line')
    return text


def draw_tokens(wanted: TextsToUse, tokenizer: Any, longest: int | None) -> list[Tensor]:  # noqa: ANN401
    """Returns the tokens of the texts to use, each [tokens], in the order drawn.

    Texts of fewer than two tokens are passed over; special tokens are added as the tokenizer does.

    Args:
        wanted: Which texts, and how much of each.
        tokenizer: The model's own.
        longest: How many tokens the model can read at most, where that is known.

    Raises:
        PreparationError: The file has no text that can be used.
    """
    texts = read_texts(Path(wanted.file))
    length = wanted.length if longest is None else min(wanted.length, longest)
    order = np.random.default_rng(wanted.seed).permutation(len(texts))
    found: list[Tensor] = []
    for number in order:
        if len(found) == wanted.count:
            break
        ids = tokenizer(texts[int(number)])["input_ids"][:length]
        if len(ids) >= _FEWEST_TOKENS:
            found.append(torch.tensor(ids, dtype=torch.long))
    if not found:
        detail = f"none of its {len(texts)} texts has {_FEWEST_TOKENS} tokens (length is {length})"
        raise PreparationError(wanted.file, detail, "use longer texts")
    return found


def batches_of_one_length(texts: Sequence[Tensor], most: int) -> Iterator[Tensor]:
    """Yields batches [texts, tokens] of equally long texts, longest first: nothing is padded."""
    by_length: dict[int, list[Tensor]] = {}
    for text in texts:
        by_length.setdefault(len(text), []).append(text)
    for length in sorted(by_length, reverse=True):
        same = by_length[length]
        for start in range(0, len(same), most):
            yield torch.stack(same[start : start + most])
