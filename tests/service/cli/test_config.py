"""`evomerge config show`: settings, and specs that are files again."""

from __future__ import annotations

import json

import yaml

from tests.service.command import Command


def test_settings_are_told_with_where_they_come_from(finished: Command) -> None:
    told = json.loads(finished("config", "show", "--json"))
    assert told["EVOMERGE_LEASE_SECONDS"] == {"value": "10.0", "from": "default"}
    assert told["EVOMERGE_API_KEY"]["value"] in ("set", "not set")


def test_a_spec_is_a_file_again(finished: Command) -> None:
    spec = yaml.safe_load(finished("config", "show", "small"))
    assert (spec["name"], spec["budget"]["candidates"]) == ("small", 8)
    assert "workers" not in spec
    assert "workers" in yaml.safe_load(finished("config", "show", "small", "--form", "resolved"))
