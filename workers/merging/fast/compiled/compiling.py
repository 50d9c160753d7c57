"""How loops become machine code: compiled on first use, kept on disk, run without Python's lock.

Machine code lies in a folder that is named by the digest of all sources it may follow from, so that no
change leaves a stale one behind.  The folder is beside this package, or where that cannot be written in
the user's cache folder, or in `NUMBA_CACHE_DIR`.  Where nothing can be written every process compiles
anew, and says so.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ParamSpec, TypeVar, cast

from numba import config, njit
from numba.core import event
from numba.extending import overload

from workers.merging.thinning import counter_random

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_PACKAGE = Path(__file__).parent.parent
_OPTIONS = {"nogil": True, "error_model": "numpy"}  # division by zero gives infinity or NaN, as on a GPU
_KEPT_VERSIONS = 4

_log = logging.getLogger(__name__)


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Returns the function as machine code, which is kept for later processes."""
    loop = njit(**_OPTIONS)(function)
    folder = _cache_folder()
    if folder is not None:
        with _kept_in(folder):
            loop.enable_caching()
    return cast("Callable[_Arguments, _Result]", loop)


def inlined(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Returns a function for compiled ones alone, written out wherever it is called."""
    return cast("Callable[_Arguments, _Result]", njit(forceinline=True, **_OPTIONS)(function))


def chosen_by_type(stub: Callable[..., Any], forms: Mapping[type, Callable[..., Any]]) -> None:
    """Has compiled code carry out calls of `stub` by the form that the first argument's class has.

    Args:
        stub: Names the operation; its parameters are those of all forms.
        forms: A class, made by `typing.NamedTuple`, -> what is done for it.
    """

    def choose(first: Any, *_others: Any) -> Callable[..., Any]:  # noqa: ANN401 - numba's types
        return forms[first.instance_class]

    names = [p.replace(annotation=p.empty) for p in inspect.signature(stub).parameters.values()]
    choose.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
    overload(stub, jit_options={"forceinline": True, **_OPTIONS})(choose)


def source_digest() -> str:
    """Returns the digest of all sources that machine code of this package follows from."""
    sources = [*sorted(_PACKAGE.rglob("*.py")), Path(counter_random.__file__)]
    whole = hashlib.sha256()
    for source in sources:
        whole.update(f"{source.name}\0".encode() + source.read_bytes() + b"\0")
    return whole.hexdigest()[:16]


@cache
def _cache_folder() -> Path | None:
    """Returns the folder of this version's machine code; None where none can be written."""
    name = f"machine-code-{source_digest()}"
    given = [Path(config.CACHE_DIR)] if config.CACHE_DIR else []
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evomerge"
    for parent in (*given, _PACKAGE / "__pycache__", users):
        folder = parent / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        _remove_old(parent, folder)
        return folder
    _log.warning(
        "compiled merge loops cannot be kept, because neither the package's folder nor the user's cache "
        "can be written: every process compiles them anew; set NUMBA_CACHE_DIR to a folder that can"
    )
    return None


def _remove_old(parent: Path, current: Path) -> None:
    """Removes the machine code of all but the last few versions."""
    with suppress(OSError):  # another process may do the same
        others = [folder for folder in parent.glob("machine-code-*") if folder != current]
        others.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in others[_KEPT_VERSIONS - 1 :]:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Has numba look up and keep machine code in a folder."""
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        config.CACHE_DIR = before


@cache
def _say_compiling() -> None:
    _log.warning(
        "compiling merge loops for this processor: a method's first merge takes some seconds longer, later "
        "ones and other processes take them from the cache"
    )


class _Announcement(event.Listener):  # type: ignore[misc]  # numba has no types
    """Is told when a loop of this package is in no cache."""

    def on_start(self, event: Any) -> None:  # noqa: ANN401 - numba's
        """Says, once per process, that time goes into compiling and not into merging."""
        function = getattr((event.data or {}).get("dispatcher"), "py_func", None)
        if getattr(function, "__module__", "").startswith("workers.merging.fast."):
            _say_compiling()

    def on_end(self, event: Any) -> None:  # noqa: ANN401 - numba's
        """Has nothing to say."""


event.register("numba:compile", _Announcement())
