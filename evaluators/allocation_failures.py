"""Which errors mean that memory ran out, on a GPU or in the machine itself.  Torch-free.

The texts are those of torch 2.4 to 2.13 (CPU, CUDA, cuBLAS, cuDNN), NumPy and safetensors; on a CPU torch
raises a plain RuntimeError.
"""

from __future__ import annotations

import errno

_TEXTS = (
    "out of memory",  # CUDA, HIP, pinned host memory
    "can't allocate memory",  # torch's CPU allocator; "not enough memory" on Windows
    "cannot allocate memory",
    "not enough memory",
    "status_alloc_failed",  # cuBLAS, cuDNN
)


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether an error means that memory could not be had: with less at once, the same may work."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    told = isinstance(error, RuntimeError) or type(error).__name__ == "SafetensorError"
    return told and any(text in str(error).lower() for text in _TEXTS)
