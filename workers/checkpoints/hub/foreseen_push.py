"""What a push to the Hub would change there, before its files exist; nothing is sent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from workers.checkpoints.hub.client import hub_api, translated
from workers.checkpoints.hub.patience import READING
from workers.checkpoints.hub.push_plan import LocalFile, RemoteFile, plan_push
from workers.errors import ExportError
from workers.protocol.messages import HubTarget

_UNKNOWN = -1  # bytes: equal to nothing that a repository holds


def foreseen_push(
    names: Iterable[str], known: Mapping[str, LocalFile], target: HubTarget
) -> tuple[str, tuple[str, ...]]:
    """Returns what a push would change, in a sentence, and why it would be refused.

    Args:
        names: Of all files.
        known: Those whose content is known; others count as changed where the repository has one.
        target: The repository.

    Raises:
        ExportError: The Hub cannot be reached.
    """
    with translated(ExportError, target.repository):
        found = _repository(target.repository)
    refusals = _refusals(target, found)
    if found is None:
        kind = "private" if target.private else "public"
        return f"makes the {kind} repository {target.repository} and fills it", refusals
    unknown = LocalFile(Path(), _UNKNOWN, "")
    plan = plan_push({name: known.get(name, unknown) for name in names}, found[1])
    if plan.replaces and not target.replace:
        refusals = (*refusals, f"{target.repository} holds another model: --replace replaces it")
    where = "in a pull request " if target.create_pr else ""
    return f"{where}{plan.text()}", refusals


def refusals_of(target: HubTarget) -> tuple[str, ...]:
    """Returns why a repository would refuse any model, whatever its files are.

    Raises:
        ExportError: The Hub cannot be reached.
    """
    with translated(ExportError, target.repository):
        found = _repository(target.repository)
    return _refusals(target, found)


def _refusals(target: HubTarget, found: tuple[bool, list[RemoteFile]] | None) -> tuple[str, ...]:
    refusals = [] if os.environ.get("HF_TOKEN") else ["there is no Hub token: put one into HF_TOKEN"]
    if found is not None and target.private and not found[0]:
        refusals.append(f"{target.repository} exists and is public: choose another name, or push publicly")
    return tuple(refusals)


def _repository(name: str) -> tuple[bool, list[RemoteFile]] | None:
    """Returns whether a repository is private, and its files; None where there is none to be seen."""
    api = hub_api()
    try:
        found = READING.call(lambda: api.repo_info(name))
    except RepositoryNotFoundError:
        return None
    entries = READING.call(lambda: list(api.list_repo_tree(name, recursive=True, revision=str(found.sha))))
    files = [
        RemoteFile(entry.path, entry.size, entry.blob_id, None if entry.lfs is None else entry.lfs.sha256)
        for entry in entries
        if isinstance(entry, RepoFile)
    ]
    return bool(found.private), files
