"""Checks deploy/: that the Kubernetes manifests fit each other, this program and its Dockerfile.

No schema of Kubernetes is at hand without a network.  What it would find most (unknown fields of pods and
containers) is checked here, and what no schema knows: selectors, ports, volumes, secrets and settings that
do not exist.  Run by `make check`; exit status 1 and one line per finding when something is wrong.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from service.settings import Settings

ROOT = Path(__file__).parent.parent
FOLDERS = ("deploy/kubernetes", "deploy/kuberay")
Document = Mapping[str, Any]

KINDS = {
    "Namespace": "v1", "Secret": "v1", "Service": "v1", "PersistentVolumeClaim": "v1",
    "NetworkPolicy": "networking.k8s.io/v1", "PodDisruptionBudget": "policy/v1", "Deployment": "apps/v1",
    "StatefulSet": "apps/v1", "RayCluster": "ray.io/v1",
}  # fmt: skip
POD_FIELDS = {
    "automountServiceAccountToken", "terminationGracePeriodSeconds", "securityContext", "containers",
    "volumes",
}  # fmt: skip
CONTAINER_FIELDS = {
    "name", "image", "command", "args", "ports", "env", "startupProbe", "livenessProbe", "readinessProbe",
    "resources", "securityContext", "volumeMounts",
}  # fmt: skip
GIVEN_BY_KUBERAY = {"ray.io/cluster": "evomerge", "ray.io/node-type": "head"}
_REFERENCE = re.compile(r"\$\((\w+)\)")


def documents(root: Path = ROOT) -> list[Document]:
    """Returns all documents of all manifests."""
    paths = [path for folder in FOLDERS for path in sorted((root / folder).glob("*.yaml"))]
    return [found for path in paths for found in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def findings(found: Sequence[Document], *, ray: str, targets: set[str]) -> Iterator[str]:
    """Yields what is wrong with manifests.

    Args:
        found: All documents.
        ray: The version of Ray that images have.
        targets: The images that the Dockerfile builds.
    """
    for document in found:
        yield from _head(document)
        if document["kind"] == "RayCluster" and document["spec"].get("rayVersion") != ray:
            yield f"RayCluster: rayVersion is {document['spec'].get('rayVersion')}, the images have {ray}"
    pods = [pod for document in found for pod in _pods(document)]
    for name, _, spec, claimed in pods:
        yield from (
            f"{name}: {finding}" for finding in _pod(spec, claimed, _secret(found), _claims(found), targets)
        )
    yield from _selections(found, pods)


def _head(document: Document) -> Iterator[str]:
    kind, metadata = document.get("kind"), document.get("metadata", {})
    name = f"{kind} {metadata.get('name')}"
    if KINDS.get(str(kind)) != document.get("apiVersion"):
        yield f"{name}: there is no {kind} of {document.get('apiVersion')}"
    if kind != "Namespace" and metadata.get("namespace") != "evomerge":
        yield f"{name}: its namespace is {metadata.get('namespace')}, not evomerge"


Pod = tuple[str, Mapping[str, str], Document, set[str]]


def _pods(document: Document) -> Iterator[Pod]:
    """Yields, of each template of pods: a name, its labels, its spec and the claims it makes itself."""
    spec, name = document.get("spec", {}), f"{document['kind']} {document['metadata']['name']}"
    made = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
    groups = [
        *([spec["headGroupSpec"]] if "headGroupSpec" in spec else ()),
        *spec.get("workerGroupSpecs", ()),
    ]
    for place, group in enumerate([spec] if "template" in spec else groups):
        labels = dict(group["template"]["metadata"]["labels"])
        if groups and place == 0:
            labels |= GIVEN_BY_KUBERAY
        yield f"{name} ({place})" if groups else name, labels, group["template"]["spec"], made


def _pod(
    spec: Document, made: set[str], secret: set[str], claims: set[str], targets: set[str]
) -> Iterator[str]:
    if unknown := set(spec) - POD_FIELDS:
        yield f"pods have no {sorted(unknown)}"
    if spec.get("securityContext", {}).get("runAsNonRoot") is not True:
        yield "it may run as root"
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim is not None and claim not in claims:
            yield f"nothing claims {claim}"
    for container in spec.get("containers", ()):
        yield from _container(container, set(volumes) | made, secret, targets)


def _container(container: Document, volumes: set[str], secret: set[str], targets: set[str]) -> Iterator[str]:
    if unknown := set(container) - CONTAINER_FIELDS:
        yield f"containers have no {sorted(unknown)}"
    image, _, _ = str(container.get("image")).partition(":")
    if image.startswith("evomerge-") and image.removeprefix("evomerge-") not in targets:
        yield f"the Dockerfile builds no {image}"
    if container.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
        yield "privileges may be escalated"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "its memory has no limit"
    for mount in container.get("volumeMounts", ()):
        if mount["name"] not in volumes:
            yield f"{mount['mountPath']} mounts {mount['name']}, which is no volume"
    ports = {port["containerPort"] for port in container.get("ports", ())}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container.get(probe, {}).get("httpGet")
        if asked is not None and asked["port"] not in ports:
            yield f"{probe} asks port {asked['port']}, which is not open"
        if asked is not None and asked["path"] != "/healthz":
            yield f"{probe} asks {asked['path']}, for which a key is needed"
    yield from _environment(container.get("env", ()), secret)


def _environment(variables: Sequence[Document], secret: set[str]) -> Iterator[str]:
    known: set[str] = set()
    for variable in variables:
        name = variable["name"]
        if (
            name.startswith("EVOMERGE_")
            and name.removeprefix("EVOMERGE_").lower() not in Settings.model_fields
        ):
            yield f"there is no setting {name}"
        key = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
        if key is not None and key not in secret:
            yield f"{name} comes from {key}, which secrets.example.yaml lacks"
        for used in _REFERENCE.findall(str(variable.get("value", ""))):
            if used not in known:
                yield f"{name} uses {used}, which is not set before it"
        known.add(name)


def _selections(found: Sequence[Document], pods: Sequence[Pod]) -> Iterator[str]:
    for document in found:
        kind, spec = document["kind"], document.get("spec", {})
        name = f"{kind} {document['metadata']['name']}"
        for wanted in _selectors(kind, spec):
            chosen = [pod for pod in pods if wanted.items() <= pod[1].items()]
            if not chosen:
                yield f"{name}: no pods have the labels {dict(wanted)}"
            if (
                kind in ("Deployment", "StatefulSet")
                and not wanted.items() <= spec["template"]["metadata"]["labels"].items()
            ):
                yield f"{name}: its own pods do not have the labels {dict(wanted)}"
            open_ports = {
                port["containerPort"]
                for _, _, pod, _ in chosen
                for container in pod["containers"]
                for port in container.get("ports", ())
            }
            for port in _targets(kind, spec):
                if port not in open_ports:
                    yield f"{name}: port {port} is open in none of its pods"


def _selectors(kind: str, spec: Document) -> Iterator[Mapping[str, str]]:
    if kind == "Service":
        yield spec["selector"]
    elif kind in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
        yield spec["selector"]["matchLabels"]
    elif kind == "NetworkPolicy":
        yield spec["podSelector"].get("matchLabels", {})
        for rule in spec.get("ingress", ()):
            yield from (source["podSelector"]["matchLabels"] for source in rule.get("from", ()))


def _targets(kind: str, spec: Document) -> Iterator[int]:
    if kind == "Service":
        yield from (port.get("targetPort", port["port"]) for port in spec["ports"])


def _secret(found: Sequence[Document]) -> set[str]:
    return {key for one in found if one["kind"] == "Secret" for key in one["stringData"]}


def _claims(found: Sequence[Document]) -> set[str]:
    return {one["metadata"]["name"] for one in found if one["kind"] == "PersistentVolumeClaim"}


def ray_version(root: Path = ROOT) -> str:
    """Returns the version of Ray in constraints.txt."""
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ray==(\S+)", text, re.MULTILINE)
    return str(version)


def image_targets(root: Path = ROOT) -> set[str]:
    """Returns the images that the Dockerfile builds."""
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    return set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))


def main() -> int:
    """Prints every finding."""
    wrong = list(findings(documents(), ray=ray_version(), targets=image_targets()))
    for finding in wrong:
        sys.stderr.write(finding + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
