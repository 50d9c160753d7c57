"""Peers live in environments of their own, so that their dependencies never touch ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

ENVIRONMENTS = Path(__file__).parents[2] / ".bench"
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


class PeerUnavailableError(RuntimeError):
    """The peer could not be installed here; the message says what was tried."""


def peer_python(name: str, packages: Sequence[str], *, torch: bool = True) -> Path:
    """Returns the interpreter of an environment that holds the peer, made on first use.

    Args:
        name: Of the environment's folder.
        packages: What is installed.
        torch: Install our build of torch first, so that nothing pulls another.

    Raises:
        PeerUnavailableError: The packages cannot be installed.
    """
    folder = ENVIRONMENTS / name
    python, mark = folder / "bin" / "python", folder / ".installed"
    wanted = " ".join(packages)
    if mark.exists() and mark.read_text() == wanted:
        return python
    print(f"installing the peer: {wanted}", file=sys.stderr)
    pinned = [line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch==")]
    install = [str(python), "-m", "pip", "install", "--quiet"]
    steps = [[sys.executable, "-m", "venv", str(folder)]]
    steps += [[*install, *pinned]] if torch else []
    for command in (*steps, [*install, *packages]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeerUnavailableError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    mark.write_text(wanted)
    return python


class PeerProcess:
    """A peer that stays running and answers one JSON line per JSON line, so that imports are not timed."""

    def __init__(self, python: Path, *command: str | Path) -> None:
        """Starts it in the repository's folder: a script, or `-m` and a module that needs none of ours."""
        self._process = subprocess.Popen(
            [str(python), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CONSTRAINTS.parent,
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Sends a request and waits for its answer.

        Raises:
            PeerUnavailableError: The peer ended instead of answering.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise PeerUnavailableError("the peer has no pipes")
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        for line in stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise PeerUnavailableError("the peer ended; its error stands above")

    def __enter__(self) -> Self:
        """Returns the running peer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the peer."""
        self._process.kill()
        self._process.wait()
