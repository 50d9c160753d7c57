"""What the operator of a worker allows: which folders are read, which judges are asked.

Set in the worker's environment, never in a spec: permission to submit an experiment must not thereby
be able to read the machine's files or run code on it.
"""

from __future__ import annotations

import os
from pathlib import Path

from evaluators.errors import EvaluationError

TASK_ROOTS = "EVOMERGE_TASK_ROOTS"
"""Folders under which task folders and text files may lie, separated as in PATH.  Unset allows all
places, which is right for a service that only this machine can reach; empty allows none."""
ALLOWED_JUDGES = "EVOMERGE_ALLOWED_JUDGES"
"""Judges that may be asked, separated by commas: `module:function`, or the beginning of an address."""


def check_place(field: str, path: Path) -> None:
    """Refuses a folder or file that does not lie where the operator allows.

    Symbolic links are followed first: a link out of an allowed folder leads to a refused place.

    Raises:
        EvaluationError: Names the place and what to do.
    """
    allowed = os.environ.get(TASK_ROOTS)
    if allowed is None:
        return
    place = path.expanduser().resolve()
    roots = [Path(root).expanduser().resolve() for root in allowed.split(os.pathsep) if root]
    if not any(place == root or root in place.parents for root in roots):
        raise EvaluationError(
            field,
            f"{path} does not lie in a folder that the operator allows",
            f"have it put into one of them, or {TASK_ROOTS} on the service's machine changed",
        )


def check_judge(name: str) -> None:
    """Refuses a callable or an address that the operator does not allow.

    Raises:
        EvaluationError: Names the judge and what to do.
    """
    allowed = [one.strip() for one in os.environ.get(ALLOWED_JUDGES, "").split(",") if one.strip()]
    is_address = name.startswith(("http://", "https://"))
    if any(name == one or (is_address and name.startswith(_whole(one))) for one in allowed):
        return
    raise EvaluationError(
        "judge",
        f"{name} is none of the judges that the operator allows",
        f"have it added to {ALLOWED_JUDGES} in the environment of the workers",
    )


def _whole(address: str) -> str:
    """Ends an allowed address at a slash, so that `http://host` does not allow `http://host.evil`."""
    return address if address.endswith("/") else address + "/"
