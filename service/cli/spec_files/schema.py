"""`evomerge schema`: what editors need to know of experiments' files."""

from __future__ import annotations

import json
from pathlib import Path

from service.cli.terminal.output import say
from service.specification.json_schema import spec_schema

SCHEMA_FILE = "evomerge.schema.json"


def schema() -> None:
    """Print the JSON Schema of an experiment's file.

    Editors with a YAML language server read it where a file's first line names it, as in those that
    `evomerge init` writes: `# yaml-language-server: $schema=evomerge.schema.json`.
    """
    say(schema_text())


def schema_text() -> str:
    """Returns the schema as a file holds it."""
    return json.dumps(spec_schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema_beside(file: Path) -> str:
    """Writes the schema into the file's folder, where it is not there already; returns its name."""
    place, text = file.parent / SCHEMA_FILE, schema_text()
    if not place.is_file() or place.read_text(encoding="utf-8") != text:
        place.write_text(text, encoding="utf-8")
    return SCHEMA_FILE
