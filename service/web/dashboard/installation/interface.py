"""The REST interface, to be read and tried: every operation with its fields, an example and its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.web.dashboard.rendering import render

router = APIRouter()

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OperationField:
    """A parameter of an operation; `where` is path, query or header."""

    name: str
    where: str
    required: bool
    description: str
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the interface can do.

    Attributes:
        body: An example of its body as JSON; None where it takes none.
        answers: What it may answer, by status.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    fields: Sequence[OperationField]
    body: str | None
    answers: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class InterfaceContext:
    """The page of the interface."""

    groups: Mapping[str, Sequence[Operation]]
    twin: str = "/openapi.json"


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """Shows every operation on a page that needs nothing from anywhere else."""
    schema: Json = request.app.openapi()
    groups: dict[str, list[Operation]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["service"])[0]
            groups.setdefault(tag, []).append(_operation(method, path, operation, schema))
    return render("interface.html", InterfaceContext(groups))


def _operation(method: str, path: str, operation: Json, schema: Json) -> Operation:
    fields = [
        OperationField(
            each["name"],
            each["in"],
            bool(each.get("required")),
            each.get("description", "") or each.get("schema", {}).get("description", ""),
            str(each.get("example", "")) if each["in"] == "path" else "",
        )
        for each in operation.get("parameters", ())
        if each["name"].lower() not in ("accept", "last-event-id")
    ]
    return Operation(
        operation["operationId"],
        method.upper(),
        path,
        operation.get("summary", ""),
        operation.get("description", ""),
        fields,
        _body(operation, schema),
        [
            (status, answer.get("description", ""))
            for status, answer in sorted(operation["responses"].items())
        ],
    )


def _body(operation: Json, schema: Json) -> str | None:
    """Returns an example of an operation's body."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    given = [each["value"] for each in content.get("examples", {}).values()]
    given += [content["example"]] if "example" in content else []
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    given += schema["components"]["schemas"].get(name, {}).get("examples", [])
    return json.dumps(given[0] if given else {}, indent=2)
