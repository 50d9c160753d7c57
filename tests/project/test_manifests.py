"""The manifests of deploy/ fit together, and mistakes in them are found."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from scripts.check_manifests import documents, findings, image_targets, ray_version


def wrong(found: Any) -> list[str]:
    return list(findings(found, ray=ray_version(), targets=image_targets()))


def the(found: Any, kind: str, name: str) -> Any:
    return next(one for one in found if one["kind"] == kind and one["metadata"]["name"] == name)


def pod(found: Any, kind: str = "Deployment", name: str = "controller") -> Any:
    return the(found, kind, name)["spec"]["template"]["spec"]


def spec(found: Any, kind: str, name: str = "controller") -> Any:
    return the(found, kind, name)["spec"]


def container(found: Any, **of: str) -> Any:
    return pod(found, **of)["containers"][0]


def variable(found: Any, name: str) -> Any:
    return next(one for one in container(found)["env"] if one["name"] == name)


def test_the_manifests_fit_each_other_the_settings_and_the_images() -> None:
    assert wrong(documents()) == []


MISTAKES: dict[str, Callable[[Any], Any]] = {
    "there is no Deployment of v1": lambda f: the(f, "Deployment", "controller").update(apiVersion="v1"),
    "its namespace is None": lambda f: the(f, "Service", "postgres")["metadata"].pop("namespace"),
    "pods have no ['container']": lambda f: pod(f).update(container=[]),
    "containers have no ['enviroment']": lambda f: container(f).update(enviroment=[]),
    "it may run as root": lambda f: pod(f)["securityContext"].update(runAsNonRoot=False),
    "privileges may be escalated": lambda f: container(f).pop("securityContext"),
    "its memory has no limit": lambda f: container(f)["resources"].pop("limits"),
    "nothing claims modells": lambda f: pod(f)["volumes"][0]["persistentVolumeClaim"].update(
        claimName="modells"
    ),
    "which is no volume": lambda f: container(f)["volumeMounts"][0].update(name="other"),
    "asks port 8001": lambda f: container(f)["livenessProbe"]["httpGet"].update(port=8001),
    "for which a key is needed": lambda f: container(f)["readinessProbe"]["httpGet"].update(path="/readyz"),
    "there is no setting EVOMERGE_HOSTS": lambda f: variable(f, "EVOMERGE_HOST").update(
        name="EVOMERGE_HOSTS"
    ),
    "secrets.example.yaml lacks": lambda f: the(f, "Secret", "evomerge")["stringData"].pop("ray-token"),
    "which is not set before it": lambda f: container(f)["env"].reverse(),
    "the Dockerfile builds no": lambda f: container(f).update(image="evomerge-control:latest"),
    "its own pods do not have the labels": lambda f: spec(f, "Deployment")["selector"]["matchLabels"].update(
        {"app.kubernetes.io/name": "postgres"}
    ),
    "no pods have the labels": lambda f: spec(f, "Service").update(selector={"app": "it"}),
    "is open in none of its pods": lambda f: the(f, "Service", "ray-head")["spec"]["ports"][0].update(port=1),
    "rayVersion is 2.0.0": lambda f: the(f, "RayCluster", "evomerge")["spec"].update(rayVersion="2.0.0"),
}  # fmt: skip


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_in_a_manifest_is_found(said: str) -> None:
    found = deepcopy(documents())
    MISTAKES[said](found)
    assert any(said in finding for finding in wrong(found)), wrong(found)
