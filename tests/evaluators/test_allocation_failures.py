"""Memory that cannot be had is told from other errors, by what torch and NumPy really raise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from evaluators.allocation_failures import is_out_of_memory

ABSURD = 10**15  # entries, more than any machine has room for


@pytest.mark.parametrize(
    "take",
    [
        lambda: torch.empty(ABSURD),
        lambda: torch.ones(1).expand(ABSURD).clone(),
        lambda: np.empty(ABSURD),
        lambda: bytearray(ABSURD),
    ],
)
def test_what_is_too_large_is_out_of_memory(take: Callable[[], object]) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        take()
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_devices_and_platforms_say_so_in_their_own_words(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), OSError(28, "No space left"), ValueError("out of memory")]
)
def test_other_errors_are_not(error: Exception) -> None:
    assert not is_out_of_memory(error)
