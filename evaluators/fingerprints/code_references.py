"""What a function's code refers to by name: globals, parts of modules, imports; and what it may not do.

A function's results follow from its arguments, its code and these, unless it reads files, clocks, chance
or the network.  That is told by names, on the safe side: a false alarm costs a reuse, a miss would give
a wrong score.
"""

from __future__ import annotations

import builtins
import dis
import importlib
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from evaluators.fingerprints.code_origin import origin_by_name, origin_of_module

_OUTSIDE_MODULES = frozenset({
    "aiohttp", "anthropic", "boto3", "glob", "http", "httpx", "litellm", "openai", "random", "requests",
    "secrets", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "time", "urllib", "urllib3", "uuid",
    "websocket", "websockets",
})  # fmt: skip
_OUTSIDE_BUILTINS = frozenset(("open", "exec", "eval", "compile", "__import__", "input", "globals", "locals"))
_OUTSIDE_NAMES = frozenset({
    "environ", "exists", "from_pretrained", "getenv", "glob", "import_module", "is_dir", "is_file",
    "iterdir", "listdir", "load", "load_dataset", "loadtxt", "now", "open", "popen", "random", "rglob",
    "read_bytes", "read_csv", "read_json", "read_parquet", "read_text", "scandir", "system", "today",
    "urlopen", "utcnow",
})  # fmt: skip
_GLOBAL_READS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_CLASSDEREF")
_GLOBAL_WRITES = ("STORE_GLOBAL", "DELETE_GLOBAL")
_ATTRIBUTE_READS = ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM")
_BY_ANY_NAME = ("getattr", "vars")  # functions that take attributes whose names the code does not show

Space = Mapping[str, Any]  # a module's globals
Reference = tuple[str, object]


class UnrepeatableError(ValueError):
    """A value whose effects cannot be told from those of others like it: it has no fingerprint."""


def references_of(code: types.CodeType, space: Space) -> Iterator[Reference]:
    """Yields what code that somebody wrote refers to, in the code's order: names and what they stand for.

    Code that is defined inside it is looked at, too.

    Raises:
        UnrepeatableError: The code reads or changes what lies outside of its arguments and references.
    """
    steps = list(dis.get_instructions(code))
    for number, step in enumerate(steps):
        kind, name = step.opname, step.argval
        if kind in _GLOBAL_WRITES:
            raise UnrepeatableError(f"{code.co_name} changes the global {name}")
        if kind in _ATTRIBUTE_READS and name in _OUTSIDE_NAMES:
            raise UnrepeatableError(
                f"{code.co_name} uses .{name}, whose results may differ from call to call"
            )
        if kind == "IMPORT_NAME":
            level = int(steps[number - 2].argval or 0)  # before it stand the level and the names wanted
            yield from _imported(code, "." * level + name, space)
        elif kind in _GLOBAL_READS:
            yield from _global(code, name, space)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from references_of(constant, space)


def refuse_outside(module: str) -> None:
    """Refuses modules whose functions read clocks, chance, files or the network.

    Raises:
        UnrepeatableError: It is one of them.
    """
    if module.partition(".")[0] in _OUTSIDE_MODULES:
        raise UnrepeatableError(f"it uses {module}, whose results may differ from call to call")


def _global(code: types.CodeType, name: str, space: Space) -> Iterator[Reference]:
    built_in = space.get("__builtins__", builtins)
    known = built_in if isinstance(built_in, dict) else vars(built_in)
    if name in space:
        yield from _taken(code, name, space[name], ())
    elif name not in known:
        yield f"{name}, which is not defined", None
    elif name in _OUTSIDE_BUILTINS:
        raise UnrepeatableError(f"{code.co_name} uses {name}, whose results may differ from call to call")
    else:
        yield f"the builtin {name}", None


def _taken(code: types.CodeType, name: str, value: Any, above: tuple[int, ...]) -> Iterator[Reference]:  # noqa: ANN401
    """Yields a value; of a module that is somebody's own, the parts that the code may take from it."""
    own = isinstance(value, types.ModuleType) and origin_of_module(value) is None
    if not own or any(taker in code.co_names for taker in _BY_ANY_NAME):
        yield name, value
    elif id(value) not in above:
        for part in code.co_names:
            if part in vars(value):
                yield from _taken(code, f"{name}.{part}", vars(value)[part], (*above, id(value)))


def _imported(code: types.CodeType, name: str, space: Space) -> Iterator[Reference]:
    refuse_outside(name)
    try:
        if not name.startswith(".") and (origin := origin_by_name(name)) is not None:
            yield f"{name} {origin}", None
            return
        module = importlib.import_module(name, str(space.get("__package__") or "") or None)
    except (ImportError, TypeError):  # it would fail the same way when the function is called
        yield f"{name}, which cannot be imported", None
        return
    yield from _taken(code, name, module, ())
    yield from _taken(code, name, sys.modules[module.__name__.partition(".")[0]], ())
