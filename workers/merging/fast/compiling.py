"""How loops become machine code: compiled on first use, kept on disk, run without Python's lock.

The compiler's cache looks at a function's own file alone.  After a change to a function that others
call (`storage.py`, `blocks.py`) remove the folder `__pycache__` beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Returns the function as machine code; division by zero gives infinity or NaN, as on a GPU."""
    compile_it = njit(nogil=True, cache=True, error_model="numpy")
    return cast("Callable[_Arguments, _Result]", compile_it(function))
