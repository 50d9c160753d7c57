"""Options that take several values after one name, or one that may be left out, as argparse's do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import typer
from typer.core import TyperArgument, TyperCommand

from service.cli.exits import Exit
from service.cli.terminal.output import CommandError

Follows = Callable[[str], bool]


def anything(_: str) -> bool:
    """Says that every word is a value."""
    return True


class WordsCommand(TyperCommand):
    """A command whose options may be followed by several words: `--models A B --tasks T`.

    Attributes:
        several: Per option, which of the words after its first value are values, too.
        optional: Per option, which word after it is its value; without one its value is empty.
    """

    several: ClassVar[Mapping[str, Follows]] = {}
    optional: ClassVar[Mapping[str, Follows]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - the framework's
        """Names an option again before each value that follows its first."""
        try:
            return super().parse_args(ctx, list(self._spread(args)))
        except typer.BadParameter as error:
            name = next((word for word in args if word in self.several), None)
            if name is not None and isinstance(error.param, TyperArgument):
                detail = f"{error.param.metavar or error.param.name} is missing"
                hint = f"name it before {name}, which takes all words that follow"
                raise CommandError(detail, hint, code=Exit.USAGE) from error
            raise

    def _spread(self, words: Sequence[str]) -> Iterator[str]:
        name, values = "", 0
        for place, word in enumerate(words):
            if word in self.optional:
                name = ""
                after = words[place + 1 : place + 2]
                yield word
                if not (after and not after[0].startswith("-") and self.optional[word](after[0])):
                    yield ""
                continue
            if word.startswith("-"):
                name, values = word if word in self.several else "", 0
            elif name:
                values += 1
                if values > 1 and self.several[name](word):
                    yield name
                elif values > 1:
                    name = ""
            yield word
