"""Rescoring: a finished checkpoint answers stored items again in a fresh process, before it gets its name."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import workers
from evaluators import Score
from workers.errors import ExportError
from workers.export.rescoring import examiner_process
from workers.export.rescoring.answer_comparison import compare_answers, text_of
from workers.protocol.stored_answers import StoredAnswers

LONGEST = 3600.0  # seconds that it may take
_WITHOUT = "or leave the check out (--no-verify, `verify: false`), and the card says so"


class Rescoring:
    """The process that asks a checkpoint what its candidate was asked.

    It is started with the context, and builds its tasks beside the merge.  Without stored answers nothing
    is started, and `check` says nothing.
    """

    def __init__(self, asked: StoredAnswers | None, name: str) -> None:
        """Takes what was stored.

        Args:
            asked: Items and answers; None, or no items, asks nothing.
            name: What the checkpoint will be called, for messages.
        """
        self._asked = asked if asked is not None and asked.items else None
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._asked is not None:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, our module
                [sys.executable, "-P", "-m", examiner_process.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the merge
            )
            self._tell(examiner_process.ANSWERS.dump_json(self._asked))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def check(self, folder: Path) -> str:
        """Returns, in a sentence, that the answers are the stored ones, or why it could not be asked.

        Raises:
            ExportError: The answers differ, or the checkpoint could not be asked.
        """
        if self._asked is None or self._process is None:
            return ""
        self._tell(json.dumps({"folder": str(folder)}).encode())
        answer = self._read_reply(self._process)
        if "skipped" in answer:
            return f"not scored again: {answer['skipped']}"
        if "scores" not in answer:
            problem = answer.get("problem") or f"the process that asked it ended with {answer.get('died')}"
            raise self._refusal(f"it could not be scored again ({problem})")
        return self._judged(self._asked, answer)

    def _judged(self, asked: StoredAnswers, answer: Mapping[str, Any]) -> str:
        now = {name: tuple(values) for name, values in answer["scores"]}
        compared = [
            compare_answers(score, _with(score, now[score.benchmark]), str(answer["dtype"]))
            for score in asked.scores
            if score.benchmark in now
        ]
        if not all(each.agrees for each in compared):
            raise self._refusal(f"scored again, it answers other than the candidate did: {text_of(compared)}")
        count = sum(each.items for each in compared)
        return f"scored again from disk, {count} items of the {asked.split} split: {text_of(compared)}"

    def _refusal(self, problem: str) -> ExportError:
        remedy = f"search again where parents or tasks changed; else report this with the recipe, {_WITHOUT}"
        return ExportError(self._name, f"is not written: {problem}", remedy)

    def _tell(self, line: bytes) -> None:
        assert self._process is not None  # noqa: S101 - both callers have started it
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended; its output is read by `result`
            return

    def _read_reply(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 - a pipe, see above
        if not select.select([process.stdout], [], [], LONGEST)[0]:
            raise self._refusal(f"it was not scored again within {LONGEST:.0f} s")
        line = process.stdout.readline()
        return dict(json.loads(line)) if line else {"died": process.wait()}


def _with(score: Score, values: tuple[float, ...]) -> Score:
    return replace(score, per_item=values)


def _environment() -> dict[str, str]:
    home = str(Path(workers.__file__).resolve().parents[1])
    path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH")) if part)
    return {**os.environ, "PYTHONPATH": path}
