"""Reads what a repository says of the model that it holds: its small files, and its tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

from workers.checkpoints.hub.client import hub_api, translated
from workers.checkpoints.hub.patience import READING
from workers.errors import ExportError
from workers.protocol.publications import Publication, PublicationInquiry

SCORES_FILE = "evomerge.json"
LOCK_FILE = "evomerge.lock.json"


def published(inquiry: PublicationInquiry) -> Publication:
    """Returns what a repository says of its model; of one that is not there, nothing.

    Raises:
        ExportError: The Hub cannot be reached.
    """
    name, api = inquiry.repository, hub_api()
    with translated(ExportError, name):
        try:
            commit = str(READING.call(lambda: api.repo_info(name)).sha)
        except RepositoryNotFoundError:
            return Publication(name)
        tags = READING.call(lambda: api.list_repo_refs(name)).tags
        lock = _content(api, name, commit, LOCK_FILE) or {}
        recipe = lock.get("recipe")
        return Publication(
            name,
            _content(api, name, commit, SCORES_FILE),
            recipe if isinstance(recipe, dict) else None,
            tuple(tag.name for tag in tags),
        )


def _content(api: HfApi, name: str, commit: str, file: str) -> dict[str, Any] | None:
    """Returns what a JSON file of a repository holds; None where there is none, or something else."""
    try:
        path = READING.call(lambda: api.hf_hub_download(name, file, revision=commit))
    except EntryNotFoundError:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
