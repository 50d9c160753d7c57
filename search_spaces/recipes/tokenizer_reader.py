"""Reads what a recipe says of its vocabulary, embeddings and chat template.

`tokenizer_source`, `tokenizer` and `chat_template` are mergekit's keys; `untie_embeddings` is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.recipes.parent import Parent
from search_spaces.recipes.problems import Problems, kind_of

UNION, BASE, AUTO = "union", "base", "auto"
TOKENIZER_KEYS = ("tokenizer_source", "tokenizer", "chat_template", "untie_embeddings")
_LARGEST_MULTIPLE = 65_536
_NAME_ONE = f"write {BASE}, {UNION}, or the model whose tokenizer to take"


class TokenizerReader:
    """Reads the keys of one file; mistakes go to `problems`, references are read by `model`."""

    def __init__(
        self, problems: Problems, model: Callable[[object, str], Parent | None], base: Parent | None
    ) -> None:
        self._problems, self._model, self._base = problems, model, base

    def read(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the recipe's fields."""
        return {
            **self._vocabulary(content),
            "chat_template": self._chat_template(content),
            "untie_embeddings": self._switch(content, "untie_embeddings"),
        }

    def _vocabulary(self, content: Mapping[str, Any]) -> dict[str, Any]:
        source, multiple = content.get("tokenizer_source"), None
        block = content.get("tokenizer")
        if block is not None and source is not None:
            detail = "tokenizer and tokenizer_source are both there"
            self._problems.refuse("tokenizer", detail, "keep one of them")
        if block is not None:
            if not isinstance(block, Mapping):
                self._problems.refuse("tokenizer", f"{kind_of(block)} is no mapping", "write source: in it")
                return {}
            self._check_block(block)
            source, multiple = block.get("source"), self._multiple(block)
        field = "tokenizer_source" if block is None else "tokenizer.source"
        union = source == UNION
        owner = None if union or source is None else self._owner(source, field, content)
        return {
            "tokenizer": owner,
            "vocabulary": UNION if union else None,
            "pad_to_multiple_of": multiple,
        }

    def _check_block(self, block: Mapping[Any, Any]) -> None:
        if block.get("tokens"):
            detail = "rules for single tokens are not read"
            self._problems.refuse("tokenizer.tokens", detail, "leave them out")
        self._problems.check_keys(block, ("source", "pad_to_multiple_of", "tokens"), "tokenizer.")
        if block.get("source") is None:
            self._problems.refuse("tokenizer.source", "it is missing", _NAME_ONE)

    def _multiple(self, block: Mapping[str, Any]) -> int | None:
        value = block.get("pad_to_multiple_of")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_MULTIPLE:
            remedy = f"use a whole number from 1 to {_LARGEST_MULTIPLE}"
            self._problems.refuse(
                "tokenizer.pad_to_multiple_of", f"{kind_of(value)} is no number of rows", remedy
            )
            return None
        return value

    def _owner(self, value: object, field: str, content: Mapping[str, Any]) -> Parent | None:
        """Reads a model's name, or `base`."""
        if value == BASE:
            if content.get("base_model") is None:
                self._problems.refuse(field, "base is asked for and there is no base_model", "name a model")
            return self._base
        return self._model(value, field)

    def _chat_template(self, content: Mapping[str, Any]) -> str | Parent | None:
        value = content.get("chat_template")
        if value is None or value == AUTO:
            return value
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            remedy = f"write {AUTO}, {BASE}, or the model whose template to take"
            self._problems.refuse("chat_template", "a template's own text is not read", remedy)
            return None
        return self._owner(value, "chat_template", content)

    def _switch(self, content: Mapping[str, Any], key: str) -> bool:
        value = content.get(key, False)
        if not isinstance(value, bool):
            self._problems.refuse(key, f"{kind_of(value)} is neither on nor off", "write true or false")
            return False
        return value
