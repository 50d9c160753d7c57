"""The grammar of filters: a subset of Google's AIP-160.

`state = failed AND (objectives.gsm8k >= 0.5 OR kind = "parent") AND NOT on_front = true`

AND and OR may stand beside each other only in parentheses, so that no order of precedence has to be known.
Pure: knows no fields and no database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from service.errors import InvalidSpecError, Mistake

Operator = Literal["=", "!=", "<", "<=", ">", ">=", ":"]
LONGEST = 2000  # characters
MOST_DEPTH = 20
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<operator><=|>=|!=|[=<>:])|(?P<bracket>[()])"""
    r"""|(?P<word>[^\s"()=<>!:]+))"""
)
_VALUE = re.compile(r"""\s*(?P<word>[^\s"()=<>!:][^\s"()]*)""")  # after an operator: times hold colons


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field held against a value, which is the text that was written."""

    field: str
    operator: Operator
    value: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Negation:
    """What must not hold."""

    part: Filter


@dataclass(frozen=True, slots=True)
class Junction:
    """What must hold together, or one of what must hold."""

    kind: Literal["AND", "OR"]
    parts: tuple[Filter, ...]


Filter = Comparison | Negation | Junction


def invalid(detail: str, hint: str = "", *, pointer: str = "/query/filter") -> InvalidSpecError:
    """Returns the refusal of a filter, or of what belongs to one."""
    error = InvalidSpecError([Mistake(pointer, "invalid_filter", detail, hint)])
    error.detail, error.remedy = detail, hint
    return error


def parse(text: str) -> Filter:
    """Returns what a filter's text says.

    Raises:
        InvalidSpecError: It says nothing that this grammar knows.
    """
    if len(text) > LONGEST:
        raise invalid(f"the filter has {len(text)} characters", f"use {LONGEST} at most")
    reader = _Reader([*_tokens(text)])
    found = reader.junction(0)
    if reader.here is not None:
        raise invalid(f"{reader.here[1]!r} stands where AND, OR or the end was expected", _EXAMPLE)
    return found


_EXAMPLE = 'write it as `status = failed AND objectives.gsm8k >= 0.5`; texts with blanks as "dare ties"'
Token = tuple[str, str]


def _tokens(text: str) -> Iterator[Token]:
    place, kind = 0, ""
    while text[place:].strip():
        match = (_VALUE.match(text, place) if kind == "operator" else None) or _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise invalid(f"{text[place:].strip()[:40]!r} cannot be read", _EXAMPLE)
        kind, place = match.lastgroup, match.end()
        yield kind, match[kind]


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._place = 0

    @property
    def here(self) -> Token | None:
        """The next token; None at the end."""
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def junction(self, depth: int) -> Filter:
        """Reads parts that AND, or OR, joins."""
        if depth > MOST_DEPTH:
            raise invalid(f"brackets nest deeper than {MOST_DEPTH}", "write it with fewer")
        parts, kind = [self._part(depth)], ""
        while self.here in (("word", "AND"), ("word", "OR")):
            word = self._next("a word")[1]
            if kind and word != kind:
                raise invalid(
                    "AND and OR stand beside each other", "say with parentheses what belongs together"
                )
            kind = word
            parts.append(self._part(depth))
        return Junction(cast("Literal['AND', 'OR']", kind), tuple(parts)) if kind else parts[0]

    def _part(self, depth: int) -> Filter:
        kind, word = self._next("a field")
        if (kind, word) == ("word", "NOT"):
            return Negation(self._part(depth + 1) if depth < MOST_DEPTH else self.junction(depth + 1))
        if (kind, word) == ("bracket", "("):
            found = self.junction(depth + 1)
            if self._next("a closing bracket") != ("bracket", ")"):
                raise invalid("a bracket is not closed", _EXAMPLE)
            return found
        if kind != "word":
            raise invalid(f"{word!r} stands where a field was expected", _EXAMPLE)
        kind, operator = self._next("an operator")
        if kind != "operator":
            raise invalid(f"after {word!r}, {operator!r} is no operator", "use = != < <= > >= or :")
        kind, value = self._next("a value")
        if kind not in ("word", "text"):
            raise invalid(f"{value!r} is no value", _EXAMPLE)
        quoted = kind == "text"
        said = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
        return Comparison(word, cast("Operator", operator), said, quoted)

    def _next(self, wanted: str) -> Token:
        token = self.here
        if token is None:
            raise invalid(f"the filter ends where {wanted} was expected", _EXAMPLE)
        self._place += 1
        return token
