r"""Numbers that an adapter's configuration has for single modules, found as peft finds them.  Torch-free.

`rank_pattern` and `alpha_pattern` map expressions to numbers.  The first one, in the file's order, that
matches the end of a module's name after a dot or from its start, counts: `(.*\.)?(EXPRESSION)$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_LONGEST = 500  # characters of an expression
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
_MOST_REPEATS = 3  # in one expression: matching may take (length of a name)^(repeats + 1) steps


class UnsafeExpressionError(ValueError):
    """An expression is broken, or could take for ever on a name."""


def number_of(config: Mapping[str, Any], patterns: str, module: str, usual: object) -> object:
    """Returns what a configuration has for a module: a pattern's own, else what is usual.

    Args:
        config: An adapter's.
        patterns: `rank_pattern` or `alpha_pattern`.
        module: The module's name in the model.
        usual: For modules that no pattern matches.

    Raises:
        UnsafeExpressionError: An expression cannot be matched.
    """
    table = config.get(patterns)
    for expression, own in table.items() if isinstance(table, Mapping) else ():
        if _compiled(expression).match(module):
            return own
    return usual


def _compiled(expression: str) -> re.Pattern[str]:
    """Compiles an expression from a file that anybody may have written."""
    if len(expression) > _LONGEST:
        raise UnsafeExpressionError(f"the expression {expression[:80]!r}..., which is too long")
    try:
        repeats = list(_repeats(parser.parse(expression)))
        found = re.compile(rf"(.*\.)?({expression})$")
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsafeExpressionError(f"the expression {expression!r}, which is none ({error})") from error
    if len(repeats) > _MOST_REPEATS or any(repeats):
        raise UnsafeExpressionError(
            f"the expression {expression!r}, which repeats what repeats, or too often"
        )
    return found


def _repeats(parsed: parser.SubPattern) -> Iterator[bool]:
    """Yields for every part that repeats whether that could be done in more than one way."""
    for code, argument in list(parsed):
        if code in _REPEATS and argument[1] > 1:
            yield _varies(argument[2])
        elif code in (codes.GROUPREF, codes.GROUPREF_EXISTS):
            yield True
        for part in _bodies(argument):
            yield from _repeats(part)


def _varies(parsed: parser.SubPattern) -> bool:
    """Says whether an expression can match texts of several lengths or kinds."""
    return any(
        code in _REPEATS or code is codes.BRANCH or any(_varies(part) for part in _bodies(argument))
        for code, argument in list(parsed)
    )


def _bodies(argument: object) -> Iterator[parser.SubPattern]:
    """Yields the expressions inside an argument of the parser."""
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from _bodies(part)
