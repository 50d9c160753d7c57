"""Keys on the command line."""

from __future__ import annotations

import json

from service.cli.exits import Exit
from service.client.client import Client
from tests.service.command import Command


def test_keys_are_made_listed_and_revoked(evomerge: Command, client: Client) -> None:
    key = evomerge("key", "create", "grafana", "--role", "viewer", "--days", 90).strip()
    assert [one.name for one in client.keys().items] == ["grafana"]
    with Client(client.url, key) as viewer:
        viewer.experiments()
    listed = evomerge("key", "list")
    assert "grafana" in listed
    assert key not in listed
    assert "a key named 'grafana'" in evomerge("key", "create", "grafana", code=Exit.CONFLICT)
    assert "opens nothing any more" in evomerge.notes("key", "revoke", "grafana")
    assert "revoked" in evomerge("key", "list")
    assert "there is no key 'none'" in evomerge("key", "revoke", "none", code=Exit.NOT_FOUND)
    entries = json.loads(evomerge("key", "audit", "--json"))["items"]
    assert [(one["method"], one["path"]) for one in entries][-1] == ("POST", "/api/v1/keys")
    assert "DELETE /api/v1/keys/grafana" in evomerge("key", "audit")
