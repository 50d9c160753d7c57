from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient


@pytest.fixture
def schema(finished: TestClient) -> dict[str, Any]:
    content: dict[str, Any] = finished.get("/openapi.json").json()
    return content


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in schema["paths"].items():
        for verb, operation in verbs.items():
            yield f"{verb} {path}", operation


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(schema)]
    assert len(names) == len(set(names)) >= 17
    for where, operation in operations(schema):
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"]), where
        assert 0 < len(operation["summary"]) <= 60, where
        assert operation["description"], where


def test_every_error_is_a_problem(schema: dict[str, Any]) -> None:
    for where, operation in operations(schema):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], where


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    references = set(re.findall(r"#/components/schemas/([^\"']+)[\"']", repr(schema)))
    assert references <= schema["components"]["schemas"].keys()
    assert "ExperimentSpec" in references


def test_the_page_about_the_interface_needs_nothing_from_elsewhere(finished: TestClient) -> None:
    page = finished.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "/api/v1/experiments/{key}/front" in page.text
    assert "http" not in page.text.replace("http-equiv", "")
    scripts = re.findall(r'<script[^>]* src="([^"]+)"></script>', page.text)
    assert len(scripts) == page.text.count("<script")
    assert all(script.startswith("/static/") for script in scripts)


def test_what_every_address_may_answer_is_said_of_each(schema: dict[str, Any]) -> None:
    for where, operation in operations(schema):
        assert {"400", "401", "421", "429", "503"} <= operation["responses"].keys(), where


def test_an_address_says_all_that_it_answers_to(finished: TestClient) -> None:
    refused = finished.put("/api/v1/experiments", json={})
    assert refused.status_code == 405
    assert {"GET", "POST"} <= set(refused.headers["Allow"].split(", "))


def test_every_operation_has_examples_that_fit_their_schemas(schema: dict[str, Any]) -> None:
    for where, operation in operations(schema):
        bodies = list(operation.get("requestBody", {}).get("content", {}).values())
        answers = [
            content
            for status, response in operation["responses"].items()
            for media_type, content in response.get("content", {}).items()
            if status < "400" and media_type == "application/json"
        ]
        for content in (*bodies, *answers):
            found = examples_of(content, schema)
            assert found, where
            for example in found:
                whole = content["schema"] | {"components": schema["components"]}
                jsonschema.validate(example, whole, jsonschema.Draft202012Validator)


def examples_of(content: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    """Returns what is shown of a body: its own examples, or those of its schema."""
    if "example" in content:
        return [content["example"]]
    if "examples" in content:
        return [each["value"] for each in content["examples"].values()]
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    return list(schema["components"]["schemas"].get(name, {}).get("examples", []))
