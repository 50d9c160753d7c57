"""What a candidate's exception becomes: a failure with a code, a cause and a remedy."""

from __future__ import annotations

import traceback

import torch

from evaluators import EvaluationError
from evaluators.allocation_failures import is_out_of_memory
from search_spaces.errors import SpaceError
from workers.errors import WorkerError
from workers.protocol.failure import LONGEST_EXCERPT, Failure


def failure_of(error: Exception) -> Failure:
    """Returns what went wrong; what a GPU still keeps after it ran out of memory is given back."""
    excerpt = "".join(traceback.format_exception(error))[-LONGEST_EXCERPT:]
    if is_out_of_memory(error):
        torch.cuda.empty_cache()
        cause, remedy = f"out of memory: {_first_line(error)}", "use a smaller batch_size, fewer workers, or"
        return Failure("oom", cause, f"{remedy} smaller parents", retryable=True, excerpt=excerpt)
    if isinstance(error, WorkerError | EvaluationError | SpaceError):
        return Failure.of(error, excerpt)
    cause = f"{type(error).__name__}: {_first_line(error)}"
    remedy = "read the excerpt; if the recipe is sound, report it"
    return Failure("exception", cause, remedy, excerpt=excerpt)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else "no message"
