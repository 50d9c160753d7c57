"""The settings that a command works with: the environment's, changed by its options."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from service.cli.exits import Exit
from service.cli.terminal.loudness import LOUDNESS
from service.cli.terminal.output import CommandError
from service.settings import Settings


def settings_from(**given: Any) -> Settings:  # noqa: ANN401 - Settings checks them
    """Returns the settings of the environment, changed by what was given.

    Raises:
        CommandError: They contradict each other.
    """
    try:
        given = {"log_level": LOUDNESS.log_level, **given}
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        raise CommandError(place + first["msg"].removeprefix("Value error, "), code=Exit.USAGE) from error
