"""The description of the interface: what the framework writes, corrected where it does not know."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.experiment.spec import ExperimentSpec
from service.web.api.description.sample_answers import PARAMETERS, sample
from service.web.problems import MEDIA_TYPE

_REFERENCE = "#/components/schemas/{model}"
_COMMON = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WITH_SPEC = frozenset({"createExperiment", "validateExperiment"})


def describe(app: FastAPI) -> dict[str, Any]:
    """Returns the interface as OpenAPI."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        _add_spec(schema)
        for operations in schema["paths"].values():
            for verb, operation in operations.items():
                _add_common_problems(verb, operation)
                _correct_problems(operation)
                if operation["operationId"] in _WITH_SPEC:
                    content = operation["requestBody"]["content"]["application/json"]
                    content["schema"] = {"$ref": _REFERENCE.format(model="ExperimentSpec")}
        _add_examples(schema)
        for unused in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema


def _add_examples(schema: dict[str, Any]) -> None:
    """Gives every parameter that needs one, every body and every answer an example."""
    components = schema["components"]["schemas"]
    for operations in schema["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in PARAMETERS:
                    parameter["example"] = PARAMETERS[parameter["name"]]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "examples" not in content and "$ref" not in content["schema"]:  # else it has its own
                    content["example"] = sample(content["schema"], components)
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    if media_type == "application/json" and status < "400":
                        content["example"] = sample(content["schema"], components)


def _add_spec(schema: dict[str, Any]) -> None:
    """Describes bodies that hold a spec: `service.specification.spec_check` checks these."""
    spec = ExperimentSpec.model_json_schema(ref_template=_REFERENCE)
    schema["components"]["schemas"] |= spec.pop("$defs", {})
    components = schema["components"]["schemas"]
    components["ExperimentSpec"] = spec
    components["Parent"] = {"anyOf": [{"type": "string", "minLength": 1}, components["Parent"]]}


def _add_common_problems(verb: str, operation: dict[str, Any]) -> None:
    """Adds what the gatekeeper and the database may answer, whatever the address."""
    for status in _COMMON if verb == "get" else (*_COMMON, HTTPStatus.FORBIDDEN):
        operation["responses"].setdefault(str(status.value), {"description": status.phrase})


def _correct_problems(operation: dict[str, Any]) -> None:
    """Every error is a problem, and has no other form."""
    for status, response in operation["responses"].items():
        if status.startswith(("4", "5")):
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="ProblemView")}}}
