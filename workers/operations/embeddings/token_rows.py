"""Which token stands in which row, and which old tokens a new token's text is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from workers.checkpoints.tensor_table import read_json
from workers.errors import CheckpointError

FILE = "tokenizer.json"
WORD_START = "▁"  # how SentencePiece writes a space
UNDECODABLE = "\N{REPLACEMENT CHARACTER}"  # a token that is a part of a character's bytes


@dataclass(frozen=True)
class TokenRows:
    """A checkpoint's tokens.

    Attributes:
        folder: Of the checkpoint.
        rows: Token -> id, added tokens included.
    """

    folder: Path
    rows: Mapping[str, int]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself.

        Raises:
            CheckpointError: It cannot be built from its file.
        """
        path = self.folder / FILE
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:
            raise CheckpointError(
                str(path), f"is no tokenizer ({error})", "save the tokenizer again"
            ) from error

    def text_of(self, token: str) -> str:
        """Returns the text that a token stands for, empty for a part of a character."""
        text: str = self.tokenizer.decode([self.rows[token]], skip_special_tokens=False)
        if UNDECODABLE in text:
            return ""
        # Decoding alone drops the space before the first word.
        return " " + text if token.startswith(WORD_START) and not text.startswith(" ") else text

    def pieces_of(self, text: str) -> list[int]:
        """Returns the ids of the tokens that a text is made of."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found


def read_token_rows(folder: Path) -> TokenRows:
    """Returns the vocabulary of the tokenizer in a folder.

    Raises:
        CheckpointError: There is no tokenizer.json, or it has no vocabulary.
    """
    content = read_json(folder / FILE)
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, list):  # unigram: pairs of token and log-probability
        vocabulary = {pair[0]: row for row, pair in enumerate(vocabulary) if isinstance(pair, list) and pair}
    if not isinstance(vocabulary, dict) or not vocabulary:
        raise CheckpointError(str(folder / FILE), "has no vocabulary", "save the tokenizer again")
    rows = dict(vocabulary)
    for added in content.get("added_tokens") or []:
        if isinstance(added, dict) and isinstance(added.get("content"), str):
            rows[added["content"]] = added.get("id")
    wrong = next((token for token, row in rows.items() if not isinstance(row, int) or row < 0), None)
    if wrong is not None:
        detail = f"gives token {wrong!r} the id {rows[wrong]!r}"
        raise CheckpointError(str(folder / FILE), detail, "save the tokenizer again")
    return TokenRows(folder, rows)
