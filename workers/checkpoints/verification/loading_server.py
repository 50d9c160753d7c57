"""Loads finished checkpoints as their users will, each in a process of its own.  Run with `python -m`.

Importing transformers takes seconds, so one process imports it and nothing else, and forks for every
checkpoint that it is asked about: the fork has seen no weights and no merge.  A request is a line of
JSON on standard input, the answer a line on standard output.  It ends with its input, or unasked.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import Any

IDLE = 120.0  # seconds without a request, then it ends


def main() -> None:
    """Answers requests until there are no more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())  # what libraries print is no answer
    from workers.checkpoints.verification.load_checkpoint import import_architecture, load_checkpoint, preload

    preload()
    buffered = b""
    while select.select([0], [], [], IDLE)[0]:
        read = os.read(0, 65536)
        if not read:
            return
        buffered += read
        while b"\n" in buffered:
            line, buffered = buffered.split(b"\n", 1)
            request = json.loads(line)
            import_architecture(request)
            answers.write(json.dumps(_in_a_fork(load_checkpoint, request)) + "\n")
            answers.flush()


def _in_a_fork(load: Any, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a function
    """Returns what a process that is forked for it answers, or which signal ended it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            os.write(write, json.dumps(load(request)).encode())
        finally:
            os._exit(0)  # what the parent would tidy up is the parent's
    os.close(write)
    try:
        with os.fdopen(read, "rb") as pipe:
            answer = pipe.read()
    finally:
        _, status = os.waitpid(child, 0)
    if answer:
        return dict(json.loads(answer))
    if os.WIFSIGNALED(status):
        return {"died": signal.Signals(os.WTERMSIG(status)).name}
    return {"died": "without a word"}


if __name__ == "__main__":
    main()
