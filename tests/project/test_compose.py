"""docker-compose.yml and the Dockerfile say what they should; no Docker engine is needed to see it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    return loaded


def stages() -> dict[str, str]:
    text = (REPOSITORY / "Dockerfile").read_text()
    parts = re.split(r"^FROM (\S+) AS (\S+)$", text, flags=re.MULTILINE)[1:]
    return {parts[i + 1]: parts[i + 2] for i in range(0, len(parts), 3)}


def test_every_part_of_an_installation_is_there(compose: dict[str, Any]) -> None:
    wanted = {"postgres", "controller", "ray-head", "worker-cpu", "worker-gpu"}
    assert set(compose["services"]) == wanted


def test_every_build_target_exists(compose: dict[str, Any]) -> None:
    targets = {s["build"]["target"] for s in compose["services"].values() if "build" in s}
    assert targets <= set(stages())


def test_every_dependency_and_volume_and_network_is_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        assert set(service.get("networks", [])) <= set(compose["networks"])
        named = {v.split(":")[0] for v in service.get("volumes", []) if not v.startswith(("./", "/"))}
        assert named <= set(compose["volumes"])


def test_the_controller_has_no_torch(compose: dict[str, Any]) -> None:
    assert compose["services"]["controller"]["build"]["target"] == "controller"
    assert "[worker]" not in stages()["controller"]
    assert "torch" not in stages()["controller"]


def test_only_the_controller_is_published_and_only_on_loopback(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"controller": ["127.0.0.1:8000:8000"]}


def test_what_waits_for_the_database_waits_until_it_answers(compose: dict[str, Any]) -> None:
    assert compose["services"]["controller"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert [s for s in compose["services"].values() if "alembic" in s.get("command", ())] == []


def test_gpus_are_asked_for_in_their_profile_alone(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["worker-gpu"]["profiles"] == ["gpu"]
    assert services["worker-cpu"]["profiles"] == ["cpu"]
    assert "deploy" not in services["worker-cpu"]


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    for secret in ("POSTGRES_PASSWORD", "RAY_AUTH_TOKEN", "EVOMERGE_API_KEY"):
        assert re.search(rf"\$\{{{secret}:\?", text)
        assert not re.search(rf"\$\{{{secret}:-", text)


def test_every_ray_process_uses_the_token(compose: dict[str, Any]) -> None:
    for name in ("ray-head", "controller", "worker-cpu", "worker-gpu"):
        assert compose["services"][name]["environment"]["RAY_AUTH_MODE"] == "token"
