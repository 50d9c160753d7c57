"""Why a task's data cannot be had, in words that help: no network, no permission, no such data."""

from __future__ import annotations

from collections.abc import Iterator

import datasets
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from evaluators.errors import DataUnreachableError

_SCRIPTS = "Dataset scripts are no longer supported"


def data_problem(task: str, error: Exception) -> DataUnreachableError | None:
    """Returns what an error says of a task's data; None where it is about something else."""
    if isinstance(error, DatasetNotFoundError):
        detail = f"the data of {task} cannot be read: {_line(error)}"
        remedy = "ask for access on the Hub and set HF_TOKEN, or correct the task's dataset_path"
        return DataUnreachableError("task", detail, remedy)
    if _SCRIPTS in str(error):
        detail = f"the data of {task} come as a program, which this version of datasets does not run"
        return DataUnreachableError("task", detail, "choose another task, or give its data as files")
    if not isinstance(error, ConnectionError | LocalEntryNotFoundError | OfflineModeIsEnabled):
        return None
    missing = f"the data of {task} are not in {datasets.config.HF_DATASETS_CACHE}"
    if constants.HF_HUB_OFFLINE or datasets.config.HF_HUB_OFFLINE:
        detail = (
            f"{missing}, and HF_HUB_OFFLINE or HF_DATASETS_OFFLINE forbids fetching them ({_line(error)})"
        )
        remedy = f"unset both, and run `evomerge tasks fetch {task}` once"
        return DataUnreachableError("task", detail, remedy)
    detail = f"{missing}, and cannot be fetched from {constants.ENDPOINT} ({_line(error)}{_because(error)})"
    remedy = (
        f"check the network and HF_ENDPOINT; or run `evomerge tasks fetch {task}` where there is a network, "
        "and copy that folder here"
    )
    return DataUnreachableError("task", detail, remedy)


def _because(error: BaseException) -> str:
    """Returns the innermost cause, where it says more than the error."""
    causes = [cause for cause in _causes(error) if str(cause).strip()]
    if not causes or str(causes[-1]) in str(error):
        return ""
    return f"; {_line(causes[-1])}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found = error.__cause__ or error.__context__
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")
