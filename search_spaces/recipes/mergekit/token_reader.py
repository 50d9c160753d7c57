"""Reads mergekit's `tokenizer.tokens`: where the embeddings of single tokens come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.recipes.mergekit.problems import Problems, kind_of
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.token_rule import TokenRule

_WRITE = "write a model, {kind: zero}, or {kind: model_token, model: ..., token: ...}"


class TokenReader:
    """Reads the rules of one file; mistakes go to `problems`, references are read by `model`."""

    def __init__(self, problems: Problems, model: Callable[[object, str], Parent | None]) -> None:
        self._problems, self._model = problems, model

    def read(self, value: object, field: str) -> tuple[TokenRule, ...]:
        """Returns the rules that have no mistake, in the file's order."""
        if not value:
            return ()
        if not isinstance(value, Mapping):
            self._problems.refuse(
                field, f"{kind_of(value)} is no mapping", "write a token, and source: in it"
            )
            return ()
        rules = [self._rule(str(token), rule, f"{field}.{token}") for token, rule in value.items()]
        return tuple(rule for rule in rules if rule is not None)

    def _rule(self, token: str, content: object, field: str) -> TokenRule | None:
        if not isinstance(content, Mapping):
            self._problems.refuse(field, f"{kind_of(content)} is no rule for a token", "write source: in it")
            return None
        self._problems.check_keys(content, ("source", "force"), f"{field}.")
        force = content.get("force", False)
        if not isinstance(force, bool):
            self._problems.refuse(
                f"{field}.force", f"{kind_of(force)} is not on or off", "write true or false"
            )
            return None
        before, source = len(self._problems), content.get("source")
        if source is None and force:
            self._problems.refuse(f"{field}.source", "it is missing, and its row is forced on all", _WRITE)
        given = {} if source is None else self._source(source, f"{field}.source")
        return TokenRule(token=token, force=force, **given) if len(self._problems) == before else None

    def _source(self, content: object, field: str) -> dict[str, Any]:
        """Reads `zero`, `model_token`, or a model."""
        kind = content.get("kind") if isinstance(content, Mapping) else None
        if kind is None:
            return {"source": self._model(content, field)}
        if kind == "zero":
            return {"zero": True}
        if kind != "model_token" or not isinstance(content, Mapping):
            self._problems.unknown(f"{field}.kind", "kind of embedding", kind, ("zero", "model_token"))
            return {}
        self._problems.check_keys(content, ("kind", "model", "token", "token_id"), f"{field}.")
        token, number = content.get("token"), content.get("token_id")
        if (token is None) == (number is None):
            detail = "token and token_id are both there" if token is not None else "there is no token"
            self._problems.refuse(field, detail, "write one of token and token_id")
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
            self._problems.refuse(f"{field}.token_id", f"{kind_of(number)} is no row", "write a whole number")
            number = None
        source = self._model(content.get("model"), f"{field}.model")
        return {"source": source, "source_id": number, "source_token": None if token is None else str(token)}
