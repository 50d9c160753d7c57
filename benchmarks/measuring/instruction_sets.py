"""Which vector instructions a benchmark ran with, and how to run as on a processor that has fewer."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence

import torch

_AVX2: Mapping[str, str] = {
    "NUMBA_CPU_NAME": "x86-64-v3",
    "NUMBA_CPU_FEATURES": "",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {"native": {}, "avx2": _AVX2}
"""What tells numba, torch and the libraries that torch brings to use no more than a set.

numpy's sorting and the C library's copying of memory still use all that the processor has.
"""


def run_again_with(name: str, module: str, arguments: Sequence[str]) -> None:
    """Replaces this process by one that uses an instruction set, unless it does so already.

    Libraries choose their instructions when they are loaded, so that this process cannot change them.

    Args:
        name: A key of `ENVIRONMENTS`.
        module: To run, as `python -m` wants it.
        arguments: Of the command line.
    """
    wanted = ENVIRONMENTS[name]
    if any(os.environ.get(variable) != value for variable, value in wanted.items()):
        environment = {**os.environ, **wanted}
        command = [sys.executable, "-m", module, *arguments]
        os.execve(sys.executable, command, environment)  # noqa: S606 - of this program itself


def instruction_set() -> str:
    """Names the vector instructions in use: of compiled passes, and where they differ, of torch."""
    from numba import config
    from numba.core.registry import cpu_target

    features = cpu_target.target_context.codegen().magic_tuple()[2]  # the processor's
    known = (("avx512f", "AVX512"), ("avx2", "AVX2"), ("neon", "NEON"))
    loops = next((name for word, name in known if f"+{word}" in features), platform.machine())
    if str(config.CPU_NAME) in _AVX2.values():
        loops = "AVX2"
    own = torch.backends.cpu.get_cpu_capability()
    return loops if own in (loops, "DEFAULT") else f"{loops} (torch: {own})"
