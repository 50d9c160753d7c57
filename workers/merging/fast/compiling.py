"""How loops become machine code: compiled on first use, kept on disk, run without Python's lock.

They are kept beside this file, or where that cannot be written in the user's cache folder, or in
`NUMBA_CACHE_DIR`.  Where nothing can be written every process compiles anew, and says so.

The compiler's cache looks at a function's own file alone.  After a change to a function that others
call (`intrinsics.py`, `entries.py`) remove the folder `__pycache__` beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit
from numba.core import event

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Returns the function as machine code; division by zero gives infinity or NaN, as on a GPU."""
    loop = njit(nogil=True, error_model="numpy")(function)
    try:
        loop.enable_caching()
    except RuntimeError:  # numba found no folder to write to
        _say_nothing_is_kept()
    return cast("Callable[_Arguments, _Result]", loop)


@cache
def _say_nothing_is_kept() -> None:
    _log.warning(
        "compiled merge loops cannot be kept, because neither the package's folder nor the user's cache "
        "can be written: every process compiles them anew; set NUMBA_CACHE_DIR to a folder that can"
    )


@cache
def _say_compiling() -> None:
    _log.warning(
        "compiling merge loops for this processor: a method's first merge takes some seconds longer, later "
        "ones and other processes take them from the cache"
    )


class _Announcement(event.Listener):  # type: ignore[misc]  # numba has no types
    """Takes note that a loop of this package was in no cache."""

    def on_start(self, event: Any) -> None:  # noqa: ANN401 - numba's
        """Says, once per process, that time goes into compiling and not into merging."""
        function = getattr((event.data or {}).get("dispatcher"), "py_func", None)
        if getattr(function, "__module__", "").startswith(__name__.rpartition(".")[0]):
            _say_compiling()

    def on_end(self, event: Any) -> None:  # noqa: ANN401 - numba's
        """Has nothing to say."""


event.register("numba:compile", _Announcement())
