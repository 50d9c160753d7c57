"""Has a finished checkpoint loaded by transformers in a fresh process before it gets its name."""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import workers
from workers.checkpoints.verification import loading_server
from workers.errors import ExportError

LONGEST = 3600.0  # seconds that one checkpoint may take
_WITHOUT = "or leave the check out (--no-verify, `verify: false`)"


def check_loads(folder: Path, name: str, *, owner: Path | None = None, free: int | None = None) -> str:
    """Loads a checkpoint in a fresh process; returns what was found right, in a sentence.

    Nothing may be missing, unexpected or of another shape, the format must be the promised one, and
    the logits of a short input finite.  Weights that take more than half of the free memory are not
    loaded: names and shapes are compared on the meta device, and the sentence says so.

    Args:
        folder: Where the checkpoint is.
        name: What it will be called, for messages.
        owner: The parent whose configuration and tokenizer it has; what transformers finds odd there
            already is no fault of the checkpoint.
        free: Bytes of memory that may be counted on; None takes what the machine has.

    Raises:
        ExportError: It is not what it promises, or could not be loaded.
    """
    request = {
        "folder": str(folder),
        "owner": None if owner is None else str(owner),
        "free": free,
        "whole": True,
    }
    answer = _server.ask(request)
    if "died" in answer:  # most likely for lack of memory
        answer = _server.ask(request | {"whole": False})
    if "said" in answer:
        return str(answer["said"])
    problem = answer.get("problem") or f"the process that loaded it ended with {answer.get('died')}"
    raise ExportError(
        name,
        f"is not written: {problem}",
        f"use parents that load; where they do, report this with the recipe, {_WITHOUT}",
    )


def get_ready() -> None:
    """Starts the process that loads checkpoints, so that it is ready when one is finished."""
    _server.start()


class _Server:
    """The process that checkpoints are loaded by; one for this process, started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts it where it does not run."""
        with self._lock:
            self._started()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer to a request.

        Raises:
            ExportError: There is none, after an hour or at all.
        """
        with self._lock:
            try:
                return self._asked(request) or self._asked(request) or {"died": "its helper"}
            except BaseException:
                self._end()  # an answer may be under way, which would be taken for the next one's
                raise

    def _asked(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the answer, None where the process had ended, for it was idle."""
        process = self._started()
        assert process.stdin is not None  # noqa: S101 - pipes, see below
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._end()
            return None
        if not select.select([process.stdout], [], [], LONGEST)[0]:
            raise ExportError(
                request["folder"], f"did not load within {LONGEST:.0f} s", f"use a faster machine, {_WITHOUT}"
            )
        line = process.stdout.readline()
        if not line:
            self._end()
            return None
        return dict(json.loads(line))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():  # a fork's: the process belongs to another one
            self._process, self._owner = None, os.getpid()
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our module
                [sys.executable, "-P", "-m", loading_server.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the merge
            )
        return self._process

    def end(self) -> None:
        """Ends it."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


def _environment() -> dict[str, str]:
    """Returns this process's environment, without a network and without GPUs."""
    home = str(Path(workers.__file__).resolve().parents[1])
    path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH")) if part)
    closed = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **closed, "PYTHONPATH": path}


_server = _Server()
atexit.register(_server.end)
