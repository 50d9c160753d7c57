"""The JSON Schema of an experiment's file, by which editors complete keys and mark mistakes."""

from __future__ import annotations

import re
from typing import Any

from service.experiment.spec import ExperimentSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SECTION = "\nAttributes:\n"
_ATTRIBUTE = re.compile(r"^ {4}(?P<names>[a-z_]+(?:, [a-z_]+)*): (?P<text>.*(?:\n {8}.*)*)", re.MULTILINE)


def spec_schema() -> dict[str, Any]:
    """Returns the JSON Schema of an experiment as a file says it.

    A file's name stands in for a missing `name`, and a model may be written as text.
    """
    schema = ExperimentSpec.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    for part in (schema, *definitions.values()):
        _describe(part)
    schema["required"].remove("name")
    definitions["Parent"] = {"anyOf": [{"type": "string", "minLength": 1}, definitions["Parent"]]}
    for kind in schema["properties"]["space"]["oneOf"]:
        options = definitions[kind["$ref"].rpartition("/")[2]]
        said = options["properties"]["kind"]
        if said["const"] != "parameter":  # which is meant where no kind is said
            options["required"] = sorted({*options.get("required", ()), "kind"})
    return {"$schema": DIALECT, **schema, "title": "An experiment of evomerge"}


def _describe(part: dict[str, Any]) -> None:
    """Gives the fields what the class says of them, and the class the rest of its text."""
    text, section, attributes = part.get("description", "").partition(_SECTION)
    if not section:
        return
    part["description"] = text.strip()
    for found in _ATTRIBUTE.finditer(attributes):
        for name in found["names"].split(", "):
            if name in part.get("properties", {}):
                part["properties"][name]["description"] = " ".join(found["text"].split())
