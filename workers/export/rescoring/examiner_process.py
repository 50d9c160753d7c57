"""Answers stored items with a finished checkpoint, as its users will load it.  Run with `python -m`.

Standard input brings two lines of JSON: the stored answers, and, once it is written, the checkpoint's
folder.  Tasks are built in between, beside the merge.  Standard output gets one line: `{"scores": ...}`,
`{"skipped": why}` or `{"problem": what is wrong}`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pydantic import TypeAdapter

from workers.protocol.stored_answers import StoredAnswers

ANSWERS: TypeAdapter[StoredAnswers] = TypeAdapter(StoredAnswers)


def main() -> None:
    """Answers one request."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())  # what libraries print is no answer
    asked = ANSWERS.validate_json(sys.stdin.readline())
    try:
        from workers.export.rescoring.examiner import Examiner  # imports torch and the evaluators

        examiner = Examiner(asked)
        line = sys.stdin.readline()
        if not line:  # the merge came to nothing
            return
        told: dict[str, object] = examiner.answer(Path(json.loads(line)["folder"]))
    except Exception as error:  # noqa: BLE001 - the border of a process: tasks and networks raise anything
        told = {"problem": f"{type(error).__name__}: {str(error).strip()[:500] or 'no message'}"}
    answers.write(json.dumps(told) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
