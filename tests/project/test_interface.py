"""The REST interface as it is committed, and that everything it can do is a command and a method."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.write_openapi import FILE, described
from service.cli.program import COMMANDS
from service.client.client import Client

PARITY = {
    "getHealth": ("version", "doctor"),
    "getReadiness": ("version", "doctor"),
    "getVersion": ("version", "doctor"),
    "getMetrics": (None, None),  # for Prometheus
    "validateExperiment": ("validate", "check"),
    "createExperiment": ("create", "run"),
    "listExperiments": ("experiments", "list"),
    "getExperiment": ("experiment", "status"),
    "getProgress": ("progress", "status"),
    "getImportances": ("importances", "importances"),
    "getConfig": ("config", "config"),
    "describeExperiment": ("describe", "edit"),
    "cloneExperiment": ("clone", "clone"),
    "pauseExperiment": ("pause", "pause"),
    "resumeExperiment": ("resume", "resume"),
    "stopExperiment": ("stop", "stop"),
    "undeleteExperiment": ("undelete", "undelete"),
    "cancelExperiment": ("cancel", "cancel"),
    "extendExperiment": ("extend", "extend"),
    "widenExperiment": ("widen", "extend"),
    "deleteExperiment": ("delete", "delete"),
    "listCandidates": ("candidates", "candidates"),
    "getCandidate": ("candidate", "show"),
    "getRecipe": ("recipe", "recipe"),
    "tryCandidate": ("try_candidate", "try"),
    "listSamples": ("samples", "samples"),
    "askSamples": ("ask_samples", "samples"),
    "enqueueRecipe": ("enqueue", "enqueue"),
    "retryCandidate": ("retry", "retry"),
    "reevaluateCandidate": ("reevaluate", "reevaluate"),
    "listQueue": ("queue", "queue"),
    "getLineage": ("lineage", "lineage"),
    "getArchive": ("archive", "archive"),
    "getFront": ("front", "front"),
    "listEvents": ("events", "events"),
    "streamEvents": ("follow", "watch"),
    "createExport": ("export", "export"),
    "previewExport": ("preview_export", "export"),
    "listExports": ("exports", "exports"),
    "getExport": ("export_state", "exports"),
    "cancelExport": ("cancel_export", "exports"),
    "listMethods": ("methods", "methods"),
    "inspectModel": ("inspect_model", "inspect"),
    "listWorkers": ("workers", "workers"),
    "listTasks": ("tasks", "tasks"),
    "getTask": ("task", "tasks"),
    "getMe": ("me", "key"),
    "createKey": ("create_key", "key"),
    "listKeys": ("keys", "key"),
    "revokeKey": ("revoke_key", "key"),
    "listAudit": ("audit", "key"),
}
"""By operation: the client's method, and the command that calls it."""


@pytest.fixture(scope="module")
def interface() -> dict[str, Any]:
    return described()


def test_the_committed_description_is_that_of_the_service(interface: dict[str, Any]) -> None:
    committed = json.loads(FILE.read_text(encoding="utf-8"))
    changed = [
        path
        for path in {**committed["paths"], **interface["paths"]}
        if committed["paths"].get(path) != interface["paths"].get(path)
    ]
    assert committed == interface, (
        f"the interface has changed at {changed}: run `make openapi`, and look at the diff"
    )


def test_everything_the_interface_can_do_is_a_method_and_a_command(interface: dict[str, Any]) -> None:
    names = {
        operation["operationId"] for verbs in interface["paths"].values() for operation in verbs.values()
    }
    assert names == PARITY.keys()
    for method, command in PARITY.values():
        assert method is None or hasattr(Client, method)
        assert command is None or command in COMMANDS
