"""Exports that go to the Hugging Face Hub: in one commit, or as one pull request.

Large files go up first, and what is there already is not sent again.  Nothing is visible until the one
commit that names all of them; its files' hashes are then listed and compared.  So the main branch holds
the old model or the new one, and a push that was killed anywhere is taken up by pushing again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from workers.checkpoints.hub.client import hub_api, translated
from workers.checkpoints.hub.early_upload import with_sent
from workers.checkpoints.hub.patience import EXPORTING, Patience, may_pass
from workers.checkpoints.hub.push_plan import LocalFile, PushPlan, RemoteFile, plan_push
from workers.checkpoints.writing.staging import files_in
from workers.errors import ExportError
from workers.protocol.messages import HubTarget

LONGEST_TITLE = 59  # characters, of a collection


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where a folder now is on the Hub, what that changed there, and the collection that it joined."""

    url: str
    commit: str
    plan: PushPlan = field(default_factory=PushPlan)
    collection: str | None = None


def push_folder(
    folder: Path,
    target: HubTarget,
    patience: Patience = EXPORTING,
    *,
    sent: Mapping[str, CommitOperationAdd] | None = None,
) -> Pushed:
    """Makes a repository hold a folder's model, in one commit; it is made when there is none.

    What is there already is not uploaded again.  A call that fails for a reason that may pass is tried
    again; after every attempt the repository is looked at anew, for a commit may have been made though
    its answer was lost.

    Args:
        folder: Holds the files.
        target: The repository.
        patience: With the Hub.
        sent: Files of the folder that the Hub has been sent already (`EarlyUpload`).

    Raises:
        ExportError: The Hub refused or could not be reached, has other bytes than were sent, or the
            repository holds another model and `target.replace` is not set; the message lists what would
            be changed and deleted.
    """
    if not os.environ.get("HF_TOKEN"):
        raise ExportError(target.repository, "there is no Hub token", "put one into HF_TOKEN")
    with translated(ExportError, target.repository):
        api = hub_api()
        url = patience.call(lambda: api.create_repo(target.repository, private=target.private, exist_ok=True))
        additions = with_sent(files_in(folder), sent or {})  # hashes every other file, once
        push = _Push(api, target, additions, patience)
        pushed = push.open_request() if target.create_pr else push.carry_out(str(url))
        if target.tag is not None:
            patience.call(partial(_tag, api, target, target.tag, pushed.commit))
        if target.collection is None:
            return pushed
        return replace(pushed, collection=_collect(api, target, target.collection, patience))


def _tag(api: HfApi, target: HubTarget, tag: str, commit: str) -> None:
    """Names a commit; a tag that is there already stays where it is."""
    api.create_tag(target.repository, tag=tag, revision=commit, exist_ok=True)


def _collect(api: HfApi, target: HubTarget, title: str, patience: Patience) -> str:
    """Puts a repository into its owner's collection of this title; returns the collection's address."""
    owner = target.repository.partition("/")[0]
    title = title[:LONGEST_TITLE]
    made = patience.call(
        lambda: api.create_collection(title, namespace=owner, private=target.private, exists_ok=True)
    )
    patience.call(lambda: api.add_collection_item(made.slug, target.repository, "model", exists_ok=True))
    return str(made.url)


class _Push:
    """One folder on its way into a repository."""

    def __init__(
        self,
        api: HfApi,
        target: HubTarget,
        additions: Mapping[str, CommitOperationAdd],
        patience: Patience,
    ) -> None:
        self._api, self._target, self._additions, self._patience = api, target, additions, patience
        self._local = {
            name: LocalFile(
                Path(str(addition.path_or_fileobj)),
                addition.upload_info.size,
                addition.upload_info.sha256.hex(),
            )
            for name, addition in additions.items()
        }
        self._done = PushPlan()

    def carry_out(self, url: str) -> Pushed:
        """Looks, plans and commits until the repository is as it shall be."""
        for tried in range(1, self._patience.tries + 1):
            commit, plan = self._patience.call(self._plan)
            if plan.is_done:
                return Pushed(url, commit, self._done)
            self._check(plan)
            self._done = plan
            try:
                made = self._commit(plan, commit, self._target.message)
            except Exception as error:
                if tried == self._patience.tries or not (may_pass(error) or _has_moved(error)):
                    raise
                self._patience.wait(error, tried)
            else:
                self._compare(made.oid)
                return Pushed(url, made.oid, plan)
        raise ExportError(self._target.repository, "kept changing meanwhile", "export again later")

    def open_request(self) -> Pushed:
        """Opens a pull request, unless one with these very files is open already, and compares its files."""
        for tried in range(1, self._patience.tries + 1):
            commit, plan = self._patience.call(self._plan)
            self._check(plan)
            title = f"{self._target.message} ({self._digest()})"
            found = self._patience.call(partial(self._request_called, title))
            if found is not None:
                reference, url = found
                return Pushed(url, self._compare(reference), plan)
            try:
                made = self._commit(plan, commit, title)
            except Exception as error:
                if tried == self._patience.tries or not (may_pass(error) or _has_moved(error)):
                    raise
                self._patience.wait(error, tried)
            else:
                return Pushed(str(made.pr_url), self._compare(str(made.pr_revision)), plan)
        raise ExportError(self._target.repository, "kept changing meanwhile", "export again later")

    def _plan(self) -> tuple[str, PushPlan]:
        """Returns the newest commit, and what is to be done on top of it."""
        name = self._target.repository
        found = self._api.repo_info(name)
        if self._target.private and not found.private:
            raise ExportError(name, "exists and is public", "choose another name, or push publicly")
        return str(found.sha), self._plan_at(str(found.sha))

    def _plan_at(self, revision: str) -> PushPlan:
        entries = self._api.list_repo_tree(self._target.repository, recursive=True, revision=revision)
        remote = [
            RemoteFile(entry.path, entry.size, entry.blob_id, None if entry.lfs is None else entry.lfs.sha256)
            for entry in entries
            if isinstance(entry, RepoFile)
        ]
        return plan_push(self._local, remote)

    def _check(self, plan: PushPlan) -> None:
        if plan.replaces and not self._target.replace:
            raise ExportError(
                self._target.repository,
                f"holds another model; this export {plan.text()}",
                "choose another name, or say that it may be replaced (--replace, `replace: true`)",
            )

    def _commit(self, plan: PushPlan, parent: str, message: str) -> CommitInfo:
        additions = [self._additions[path] for path in (*plan.added, *plan.changed)]
        # Large files go up first; nothing is visible until the one commit that names them all.
        self._api.preupload_lfs_files(self._target.repository, additions)
        return self._api.create_commit(
            self._target.repository,
            [*additions, *(CommitOperationDelete(path) for path in plan.deleted)],
            commit_message=message,
            parent_commit=parent,
            create_pr=self._target.create_pr,
        )

    def _compare(self, revision: str) -> str:
        """Lists the hashes of a revision's files and compares them; returns the revision.

        Raises:
            ExportError: They are not those of the folder's files.
        """
        left = self._patience.call(lambda: self._plan_at(revision))
        if left.added or left.changed:
            wrong = ", ".join((*left.added, *left.changed)[:3])
            detail = f"has other bytes than were sent in {wrong} at {revision}"
            raise ExportError(self._target.repository, detail, "export again with --replace, and report it")
        return revision

    def _request_called(self, title: str) -> tuple[str, str] | None:
        """Returns the reference and the address of an open pull request, None without one."""
        for found in self._api.get_repo_discussions(
            self._target.repository, discussion_type="pull_request", discussion_status="open"
        ):
            if found.title == title and found.git_reference is not None:
                return found.git_reference, found.url
        return None

    def _digest(self) -> str:
        told = json.dumps({name: file.sha256 for name, file in sorted(self._local.items())})
        return hashlib.sha256(told.encode()).hexdigest()[:12]


def _has_moved(error: BaseException) -> bool:
    """Says whether another commit came in between."""
    return isinstance(error, HfHubHTTPError) and error.response.status_code in (409, 412)
