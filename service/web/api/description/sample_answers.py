"""Examples of answers, made of their schemas: what a property holds goes by its name, else by its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_RECIPE = "merge_method: linear\nmodels:\n- model: /models/math\n  parameters: {weight: 0.6}\n"
_NAMED: Mapping[str, Any] = {
    "name": "skills",
    "experiment": "skills",
    "id": "0199c0de-7c3e-7a51-9d3f-2b6f0c4a8e11",
    "number": 17,
    "candidate": 17,
    "generation": 3,
    "label": "parent: math",
    "benchmark": "gsm8k",
    "task": "gsm8k",
    "metric": "exact_match,none",
    "value": 0.62,
    "stderr": 0.03,
    "items": 264,
    "seconds": 12.5,
    "recipe": _RECIPE,
    "prompt": "Kim has 3 apples and eats one. How many are left?",
    "text": "Two apples are left.",
    "parents": ["/models/math", "/models/japanese"],
    "base": "/models/base",
    "model": "/models/math",
    "ancestors": [4, 11],
    "digest": "9f2c7d1e5b0a4c3d8e6f7a1b2c3d4e5f60718293a4b5c6d7e8f9012345678abc",
    "operator": "crossover",
    "worker": "worker 1",
    "algorithm": "item_surrogate",
    "reason": None,
    "failure": None,
    "deleted_at": None,
    "next_page_token": None,
    "version": "0.1.0",
    "home": "/srv/evomerge",
    "status": None,  # the first of those that there are
    "code": "not_found",
    "title": "Not Found",
    "detail": "there is no experiment 'skills'",
    "hint": "list the experiments to see what there is",
    "instance": "/api/v1/experiments/skills",
    "type": "urn:evomerge:problem:not_found",
    "request_id": "4c1d4f0e9a5b4b6c8d7e6f5a4b3c2d1e",
    "tags": ["paper"],
    "notes": "",
}
_BY_FORMAT = {
    "uuid": "0199c0de-7c3e-7a51-9d3f-2b6f0c4a8e11",
    "date-time": "2026-11-29T12:00:00Z",
    "binary": "PAR1",
}
_BY_TYPE: Mapping[str, Any] = {"integer": 1, "number": 0.5, "string": "text", "boolean": False, "null": None}
PARAMETERS: Mapping[str, Any] = {
    "key": "skills",
    "number": 17,
    "export": "0199c0de-7c3e-7a51-9d3f-2b6f0c4a8e11",
    "name": "gsm8k",
    "ref": "org/math@main",
    "filter": "status = failed",
    "order_by": "created_at desc",
    "fields": "status",
}
MOST_DEPTH = 12


def sample(schema: Schema, components: Mapping[str, Schema], *, name: str = "", depth: int = 0) -> Any:  # noqa: ANN401
    """Returns a value that fits a schema.

    Args:
        schema: Of JSON.
        components: What its references name.
        name: Of the property whose value it is.
        depth: How deep it lies in the whole.
    """
    if "$ref" in schema:
        target = components[schema["$ref"].rpartition("/")[2]]
        return sample(target, components, name=name, depth=depth)
    if isinstance(examples := schema.get("examples"), list) and examples:
        return examples[0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return _of_options(options, components, name=name, depth=depth)
    if _fits(_NAMED.get(name), schema):
        return _NAMED[name]
    return _of_type(schema, components, depth=depth)


def _of_options(options: list[Schema], components: Mapping[str, Schema], *, name: str, depth: int) -> Any:  # noqa: ANN401
    """Returns a value of the first alternative; null where that is known, or the whole lies too deep."""
    nullable = any(option.get("type") == "null" for option in options)
    if nullable and (depth >= MOST_DEPTH or (name in _NAMED and _NAMED[name] is None)):
        return None
    first = next(option for option in options if option.get("type") != "null")
    return sample(first, components, name=name, depth=depth + 1)


def _of_type(schema: Schema, components: Mapping[str, Schema], *, depth: int) -> Any:  # noqa: ANN401
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        wanted = {
            n: s for n, s in properties.items() if n in schema.get("required", ()) or depth < MOST_DEPTH
        }
        return {n: sample(s, components, name=n, depth=depth + 1) for n, s in wanted.items()}
    if kind == "array":
        if "prefixItems" in schema:
            return [sample(each, components, depth=depth + 1) for each in schema["prefixItems"]]
        inner = schema.get("items", {})
        return [] if depth >= MOST_DEPTH or not inner else [sample(inner, components, depth=depth + 1)]
    if "format" in schema and schema["format"] in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    if kind in ("integer", "number") and "minimum" in schema:
        return max(_BY_TYPE[kind], schema["minimum"])
    return _BY_TYPE.get(str(kind))


def _fits(value: object, schema: Schema) -> bool:
    kinds: dict[str, Any] = {
        "integer": int,
        "number": (int, float),
        "string": str,
        "boolean": bool,
        "array": list,
    }
    kind = kinds.get(str(schema.get("type")))
    if value is None or kind is None or not isinstance(value, kind) or "format" in schema:
        return False
    if isinstance(value, list):
        inner = {"integer": int, "string": str}.get(str(schema.get("items", {}).get("type")))
        return inner is not None and all(isinstance(each, inner) for each in value)
    return True
