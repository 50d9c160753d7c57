"""HubServer: a small Hugging Face Hub on this machine, speaking what the real client says to it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

WRITER = "hf_canary-that-may-write"
READER = "hf_canary-that-may-read"
LARGE = (".safetensors", ".bin", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class Commit:
    """A state of a repository: all its files."""

    oid: str
    message: str
    parent: str | None
    files: dict[str, bytes]


@dataclass(slots=True)
class Repository:
    """A repository and its history, oldest commit first; data sets are called `datasets/org/name`.

    Attributes:
        requests: Pull requests, by reference (`refs/pr/1`), and their titles.
        tags: Commits, by the tag's name.
    """

    private: bool
    commits: list[Commit] = field(default_factory=list)
    requests: dict[str, Commit] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the newest commit."""
        return self.commits[-1].files if self.commits else {}

    def commit(self, message: str, changes: Mapping[str, bytes | None]) -> Commit:
        """Adds a commit on top; what is changed to None is deleted."""
        parent = self.commits[-1].oid if self.commits else None
        changed = {**self.files, **changes}
        files = {name: content for name, content in changed.items() if content is not None}
        text = json.dumps([parent, message, {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}])
        self.commits.append(Commit(hashlib.sha1(text.encode()).hexdigest(), message, parent, files))
        return self.commits[-1]


@dataclass(slots=True)
class Fault:
    """Something that goes wrong some times and then no more.

    Attributes:
        pattern: Regular expression of a request (`POST /api/repos/create`).
        kind: A status to answer with; `cut` ends the connection before the request is carried out,
            `lost` after it.
        times: How often.
        headers: Of the answer.
    """

    pattern: str
    kind: int | Literal["cut", "lost"]
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Kill:
    """The client is killed at its request of a number, which is carried out before, or not."""

    count: int
    answered: bool
    process: subprocess.Popen[bytes] | None = None

    def strike(self) -> None:
        """Ends the client for good."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class HubServer:
    """A Hub for tests: repositories in memory, two tokens, and switches for what goes wrong.

    Attributes:
        faults: What goes wrong at first.
        refusals: Regular expression of a request (`POST /api/repos/create`) -> status to answer with.
        requests: What was asked, as `METHOD path`, in order.
        kills: When the client is killed.
        corrupts: The name of a file that loses its content on the way.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.collections: dict[str, list[str]] = {}
        self.blobs: dict[str, bytes] = {}
        self.refusals: dict[str, int] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.kills: Kill | None = None
        self.corrupts = ""
        hub = self

        class Handler(_Handler):
            server_state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, token: str | None = WRITER) -> dict[str, str]:
        """Returns the variables that point the client at this server."""
        found = {
            "HF_ENDPOINT": self.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
            "no_proxy": "127.0.0.1",
        }
        return found | ({"HF_TOKEN": token} if token else {})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _RefusalError(Exception):
    def __init__(self, status: int, code: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.code, self.headers = status, code, headers or {}


class _CutError(Exception):
    """The connection ends here."""


class _Handler(BaseHTTPRequestHandler):
    server_state: HubServer
    answer_is_lost = False
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        return

    def _answer(self) -> None:
        self.path_only = unquote(urlsplit(self.path).path)
        self.query = parse_qs(urlsplit(self.path).query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = f"{self.command} {self.path_only}"
        self.server_state.requests.append(asked)
        kill = self.server_state.kills
        struck = kill is not None and len(self.server_state.requests) >= kill.count
        if kill is not None and struck and not kill.answered:
            kill.strike()
            self.close_connection = True
            return
        self._carry_out(asked)
        if kill is not None and struck:
            kill.strike()

    def _carry_out(self, asked: str) -> None:
        try:
            for pattern, status in self.server_state.refusals.items():
                if re.search(pattern, asked):
                    raise _RefusalError(status)
            self.answer_is_lost = False
            self._meet_fault(asked)
            self._route()
        except (_CutError, ConnectionError):
            self.close_connection = True
        except _RefusalError as refusal:
            headers = refusal.headers | ({"X-Error-Code": refusal.code} if refusal.code else {})
            self._send(refusal.status, b'{"error": "refused"}', headers=headers)

    def _meet_fault(self, asked: str) -> None:
        for fault in self.server_state.faults:
            if fault.times > 0 and re.search(fault.pattern, asked):
                fault.times -= 1
                if fault.kind == "cut":
                    raise _CutError
                if fault.kind == "lost":
                    self.answer_is_lost = True
                else:
                    raise _RefusalError(fault.kind, headers=fault.headers)
                return

    def _route(self) -> None:
        for command, pattern, method in _ROUTES:
            match = re.fullmatch(pattern, self.path_only)
            if match and self.command in command.split("|"):
                method(self, *match.groups())
                return
        raise _RefusalError(404)

    def _rights(self) -> str | None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return {WRITER: "write", READER: "read"}.get(token)

    def _must_write(self) -> None:
        if self._rights() is None:
            raise _RefusalError(401)
        if self._rights() != "write":
            raise _RefusalError(403)

    def _repository(self, name: str) -> Repository:
        found = self.server_state.repositories.get(name)
        if found is None or (found.private and self._rights() is None):
            raise _RefusalError(404 if self._rights() else 401, "RepoNotFound")
        return found

    def _commit_at(self, name: str, revision: str) -> Commit:
        found = self._repository(name)
        if revision in found.requests:
            return found.requests[revision]
        for commit in reversed(found.commits):
            if revision in ("main", commit.oid):
                return commit
        raise _RefusalError(404, "RevisionNotFound")

    def create(self) -> None:
        self._must_write()
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'writer'}/{asked['name']}"
        if name in self.server_state.repositories:
            self._json({"url": f"{self.server_state.url}/{name}"}, status=409)
            return
        repository = Repository(private=asked.get("visibility") == "private" or asked.get("private") is True)
        repository.commit("initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        self.server_state.repositories[name] = repository
        self._json({"url": f"{self.server_state.url}/{name}"})

    def describe(self, name: str, revision: str | None = None) -> None:
        commit = self._commit_at(name, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        private = self._repository(name).private
        self._json({"_id": "0", "id": name, "sha": commit.oid, "private": private, "siblings": siblings})

    def tree(self, name: str, revision: str) -> None:
        files = self._commit_at(name, revision).files
        self._json([_tree_entry(path, content) for path, content in sorted(files.items())])

    def describe_data(self, name: str, revision: str | None = None) -> None:
        self.describe(f"datasets/{name}", revision)

    def data_tree(self, name: str, revision: str, folder: str | None = None) -> None:
        files = self._commit_at(f"datasets/{name}", revision).files
        within = f"{folder}/" if folder else ""
        self._json([_tree_entry(p, content) for p, content in sorted(files.items()) if p.startswith(within)])

    def data_paths(self, name: str, revision: str) -> None:
        files = self._commit_at(f"datasets/{name}", revision).files
        found = parse_qs(self.body.decode()).get("paths") or json.loads(self.body).get("paths", [])
        self._json([_tree_entry(path, files[path]) for path in found if path in files])

    def resolve_data(self, name: str, revision: str, path: str) -> None:
        self.resolve(f"datasets/{name}", revision, path)

    def validate(self) -> None:
        self._json({"warnings": [], "errors": []})

    def preupload(self, name: str, revision: str) -> None:
        self._must_write()
        self._commit_at(name, revision)
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        self._json({"files": files})

    def batch(self, name: str) -> None:
        self._must_write()
        self._repository(name)
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.server_state.blobs:
                entry["actions"] = {"upload": {"href": f"{self.server_state.url}/blobs/{wanted['oid']}"}}
            objects.append(entry)
        self._json({"transfer": "basic", "objects": objects})

    def put_blob(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _RefusalError(400)
        self.server_state.blobs[oid] = self.body
        self._send(200, b"")

    def commit(self, name: str, revision: str) -> None:
        self._must_write()
        head, *lines = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        parent = head["value"].get("parentCommit")
        if parent not in (None, self._commit_at(name, revision).oid):
            raise _RefusalError(412)
        changes: dict[str, bytes | None] = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "lfsFile":
                changes[value["path"]] = self.server_state.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                changes[value["path"]] = None
            else:
                changes[value["path"]] = base64.b64decode(value["content"])
            if value["path"] == self.server_state.corrupts:
                changes[value["path"]] = b"other bytes"
        repository, title = self._repository(name), head["value"]["summary"]
        made = repository.commit(title, changes)
        told = {"success": True, "commitOid": made.oid, "hookOutput": ""}
        told["commitUrl"] = f"{self.server_state.url}/{name}/commit/{made.oid}"
        if self.query.get("create_pr") == ["1"]:
            repository.commits.pop()
            number = len(repository.requests) + 1
            repository.requests[f"refs/pr/{number}"] = made
            repository.titles[f"refs/pr/{number}"] = title
            told["pullRequestUrl"] = f"{self.server_state.url}/{name}/discussions/{number}"
        self._json(told)

    def create_collection(self) -> None:
        self._must_write()
        asked = json.loads(self.body)
        slug = f"{asked['namespace']}/{asked['title'].lower().replace(' ', '-').replace(':', '')}-0"
        status = 409 if slug in self.server_state.collections else 200
        self.server_state.collections.setdefault(slug, [])
        self._json(self._collection(slug), status=status)

    def describe_collection(self, slug: str) -> None:
        self._json(self._collection(slug))

    def add_to_collection(self, slug: str) -> None:
        self._must_write()
        item, items = json.loads(self.body)["item"]["id"], self.server_state.collections[slug]
        status = 409 if item in items else 200
        items += [item] if status == 200 else []
        self._json(self._collection(slug), status=status)

    def _collection(self, slug: str) -> dict[str, Any]:
        return {
            "slug": slug, "title": slug, "owner": {"name": slug.partition("/")[0]}, "items": [],
            "lastUpdated": "2026-01-01T00:00:00.000Z", "position": 0, "private": True, "theme": "blue",
            "upvotes": 0, "description": None,
        }  # fmt: skip

    def discussions(self, name: str) -> None:
        repository = self._repository(name)
        found = [
            {
                "title": title, "num": int(reference.rpartition("/")[2]), "author": {"name": "writer"},
                "createdAt": "2026-01-01T00:00:00.000Z", "status": "open", "isPullRequest": True,
                "repo": {"name": name, "type": "model"},
            }
            for reference, title in repository.titles.items()
        ]  # fmt: skip
        self._json({"discussions": found, "count": len(found), "start": 0})

    def references(self, name: str) -> None:
        tags = [
            {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": commit}
            for tag, commit in self._repository(name).tags.items()
        ]
        self._json({"branches": [], "converts": [], "tags": tags})

    def tag(self, name: str, revision: str) -> None:
        self._must_write()
        repository, tag = self._repository(name), json.loads(self.body)["tag"]
        status = 409 if tag in repository.tags else 200
        repository.tags.setdefault(tag, self._commit_at(name, revision).oid)
        self._json({}, status=status)

    def resolve(self, name: str, revision: str, path: str) -> None:
        commit = self._commit_at(name, revision)
        if path not in commit.files:
            raise _RefusalError(404, "EntryNotFound")
        content = commit.files[path]
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            self._send(200, content, headers=headers)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        self._send(206, content[start : end + 1], headers=headers)

    def _json(self, value: object, *, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), headers={"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, *, headers: dict[str, str] | None = None) -> None:
        if self.answer_is_lost:
            raise _CutError
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _tree_entry(path: str, content: bytes) -> dict[str, Any]:
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"type": "file", "oid": git, "size": len(content), "path": path}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("POST", r"/api/collections", _Handler.create_collection),
    ("GET", r"/api/collections/([^/]+/[^/]+)", _Handler.describe_collection),
    ("POST", r"/api/collections/([^/]+/[^/]+)/items", _Handler.add_to_collection),
    ("GET", rf"/api/models/{_NAME}", _Handler.describe),
    ("GET", rf"/api/models/{_NAME}/revision/([^/]+)", _Handler.describe),
    ("GET", rf"/api/models/{_NAME}/tree/(refs/pr/\d+|[^/]+)", _Handler.tree),
    ("GET", rf"/api/models/{_NAME}/discussions", _Handler.discussions),
    ("GET", rf"/api/models/{_NAME}/refs", _Handler.references),
    ("POST", rf"/api/models/{_NAME}/tag/([^/]+)", _Handler.tag),
    ("POST", rf"/api/models/{_NAME}/preupload/([^/]+)", _Handler.preupload),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/blobs/([0-9a-f]{64})", _Handler.put_blob),
    ("POST", rf"/api/models/{_NAME}/commit/([^/]+)", _Handler.commit),
    ("GET", rf"/api/datasets/{_NAME}", _Handler.describe_data),
    ("GET", rf"/api/datasets/{_NAME}/revision/([^/]+)", _Handler.describe_data),
    ("GET", rf"/api/datasets/{_NAME}/tree/([^/]+)(?:/(.+))?", _Handler.data_tree),
    ("POST", rf"/api/datasets/{_NAME}/paths-info/([^/]+)", _Handler.data_paths),
    ("GET|HEAD", rf"/datasets/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve_data),
    ("GET|HEAD", rf"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
)
