"""A spec as programs give it: an ExperimentSpec, a mapping, or the path of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import yaml

from service.cli.exits import Exit
from service.cli.spec_file import SpecFile, read_spec_file, with_absolute_paths
from service.cli.terminal.output import CommandError
from service.errors import Mistake
from service.experiment.spec import ExperimentSpec

GivenSpec = ExperimentSpec | Mapping[str, Any] | str | PathLike[str]

NO_FILE = Path("the spec")


@dataclass(frozen=True, slots=True)
class SpecMapping(SpecFile):
    """An experiment that a program gives; mistakes have no lines, but places."""

    def explain(self, mistakes: Sequence[Mistake]) -> str:
        """Returns the mistakes, each with its place."""
        lines = [f"{self.path} has {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}:"]
        for mistake in mistakes:
            lines.append(f"  {mistake.pointer or '/'}: {mistake.detail}")
            if mistake.remedy:
                lines.append(f"      {mistake.remedy}")
        return "\n".join(lines)


def spec_from(given: GivenSpec, name: str | None) -> SpecFile:
    """Returns a spec with absolute paths: relative ones are taken from a file's folder, or from here.

    Raises:
        CommandError: The file cannot be read, or a mapping has no name.
    """
    if isinstance(given, str | PathLike):
        return read_spec_file(Path(fspath(given)).expanduser(), name=name)
    if isinstance(given, ExperimentSpec):
        content: dict[str, Any] = given.model_dump(mode="json", exclude_unset=True)
    elif isinstance(given, Mapping):
        content = dict(given)
    else:
        kind = type(given).__name__
        hint = "give an ExperimentSpec, a mapping, or the path of a file"
        raise CommandError(f"{kind} is no experiment", hint, code=Exit.INVALID)
    if name is not None:
        content["name"] = name
    if "name" not in content:
        raise CommandError("the spec has no name", 'add a `name`, or call optimize(..., name="...")')
    return SpecMapping(NO_FILE, with_absolute_paths(content, Path.cwd()), yaml.ScalarNode("", ""))
