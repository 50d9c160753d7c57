"""Reads what a recipe says of its vocabulary, embeddings and chat template.

`tokenizer_source`, `tokenizer` and `chat_template` are mergekit's keys; `untie_embeddings` is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.errors import did_you_mean
from search_spaces.recipes.chat_templates import BUILT_IN, LONGEST_NAME, SHORTEST_TEXT
from search_spaces.recipes.mergekit.problems import Problems, kind_of
from search_spaces.recipes.mergekit.token_reader import TokenReader
from search_spaces.recipes.parent import Parent

UNION, BASE, AUTO = "union", "base", "auto"
TOKENIZER_KEYS = ("tokenizer_source", "tokenizer", "chat_template", "untie_embeddings")
_LARGEST_MULTIPLE = 65_536
_OLD_PREFIX = "model:"  # of mergekit before 0.0.4, in front of a tokenizer's model
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
            **self._chat_template(content),
            "untie_embeddings": self._switch(content, "untie_embeddings"),
        }

    def _vocabulary(self, content: Mapping[str, Any]) -> dict[str, Any]:
        source, block = content.get("tokenizer_source"), content.get("tokenizer")
        if block is not None and source is not None:
            detail = "tokenizer and tokenizer_source are both there"
            self._problems.refuse("tokenizer", detail, "keep one of them")
        if block is None:
            return self._owned(source, "tokenizer_source", content)
        if not isinstance(block, Mapping):
            self._problems.refuse("tokenizer", f"{kind_of(block)} is no mapping", "write source: in it")
            return {}
        self._problems.check_keys(block, ("source", "pad_to_multiple_of", "tokens"), "tokenizer.")
        return {
            **self._owned(block.get("source", UNION), "tokenizer.source", content),
            "pad_to_multiple_of": self._multiple(block),
            "tokens": TokenReader(self._problems, self._model).read(block.get("tokens"), "tokenizer.tokens"),
        }

    def _owned(self, source: object, field: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Returns whose vocabulary the model gets, and whether the others' tokens join it."""
        if source is None and field != "tokenizer_source":
            self._problems.refuse(field, "it is empty", _NAME_ONE)
        union = source == UNION
        owner = None if union or source is None else self._owner(source, field, content)
        return {"tokenizer": owner, "vocabulary": UNION if union else None}

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
        if isinstance(value, str) and value.startswith(_OLD_PREFIX):
            value = value.removeprefix(_OLD_PREFIX)
        if value == BASE:
            if content.get("base_model") is None:
                return self._instead_of_the_base(field, content)
            return self._base
        return self._model(value, field)

    def _instead_of_the_base(self, field: str, content: Mapping[str, Any]) -> Parent | None:
        """Returns the first model, where base is asked for and there is none; mergekit takes any of them."""
        remedy = "name a model"
        if self._problems.notices is None:
            self._problems.refuse(field, "base is asked for and there is no base_model", remedy)
            return None
        entries = content.get("models") or content.get("slices")
        while isinstance(entries, list) and entries and isinstance(entries[0], Mapping):
            if "model" in entries[0]:
                detail = "there is no base_model: the first model's is taken, where mergekit takes any"
                self._problems.remark(field, detail, remedy)
                return self._model(entries[0]["model"], field)
            entries = entries[0].get("sources")
        self._problems.refuse(field, "base is asked for and there is no base_model", remedy)
        return None

    def _chat_template(self, content: Mapping[str, Any]) -> dict[str, Any]:
        value, field = content.get("chat_template"), "chat_template"
        if value is None or value in ("", AUTO):
            return {field: value or None}
        if isinstance(value, str) and value in BUILT_IN:
            return {"chat_template_text": BUILT_IN[value]}
        if isinstance(value, str) and ("{" in value or "\n" in value or len(value) >= LONGEST_NAME):
            return {"chat_template_text": self._template(value, field)}
        if isinstance(value, str) and value != BASE and "/" not in value:
            near = did_you_mean(value, (AUTO, BASE, *BUILT_IN))
            if near.startswith("did you mean"):
                self._problems.refuse(field, f"there is no chat template {value!r:.60}", near)
                return {}
        return {field: self._owner(value, field, content)}

    def _template(self, text: str, field: str) -> str | None:
        """Returns a template's own text, if transformers can read it."""
        from search_spaces.recipes.template_check import mistake_in  # Jinja: few recipes need it

        names = ", ".join(sorted(BUILT_IN))
        if len(text) < SHORTEST_TEXT or "{" not in text:
            detail = f"{text!r:.60} is no template"
            self._problems.refuse(field, detail, f"write {AUTO}, {names}, a model, or a Jinja text")
            return None
        mistake = mistake_in(text)
        if mistake is not None:
            self._problems.refuse(field, f"its text is no Jinja template: {mistake}", "mend it")
            return None
        return text

    def _switch(self, content: Mapping[str, Any], key: str) -> bool:
        value = content.get(key, False)
        if not isinstance(value, bool):
            self._problems.refuse(key, f"{kind_of(value)} is neither on nor off", "write true or false")
            return False
        return value
