"""Fingerprints of Python values, code included: equal in every process, other when anything differs.

Marks are given by functions, classes and settings that users write.  Whether an earlier experiment's
marks still hold is decided by comparing fingerprints, so there are two rules: no memory address, hash
seed or path may enter one, and what cannot be followed has none, instead of one that says too little.
"""

from __future__ import annotations

import functools
import hashlib
import re
import struct
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from evaluators.fingerprints.code_origin import origin_of, origin_of_module, text_hash
from evaluators.fingerprints.code_references import UnrepeatableError, references_of, refuse_outside

_MOST_VALUES = 200_000  # looked at for one fingerprint; own code that reaches further has none

# Of a class: what is about the class's making, not about what it does.
_CLASS_BOOKKEEPING = frozenset({
    "__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__abstractmethods__",
    "_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__firstlineno__",
    "__static_attributes__", "__parameters__", "__orig_bases__", "__signature__", "__annotate__",
})  # fmt: skip
_C_CALLABLES = (
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


def fingerprint_of(*values: object) -> str:
    """Returns a hash of values, of all they hold, and of all code that they run.

    Raises:
        UnrepeatableError: Something in them cannot be followed, or reads what lies outside of them.
    """
    walk = _Walk()
    try:
        for value in values:
            walk.add(value)
    except RecursionError as error:
        raise UnrepeatableError("values are nested too deeply") from error
    return walk.digest()


def unrepeatable_mark() -> str:
    """Returns a fingerprint that equals none ever made: for what has none of its own."""
    return f"unrepeatable {uuid4().hex}"


class _Walk:
    """One pass over values, each written down in a form that differs wherever they do."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._met: dict[int, tuple[int, object]] = {}  # by id; holds each, so that no id is used twice
        self._above: list[int] = []  # ids of the containers that the walk is in
        self._count = 0

    def digest(self) -> str:
        return self._hash.hexdigest()

    def add(self, value: object) -> None:
        """Writes a value down."""
        self._count += 1
        if self._count > _MOST_VALUES:
            raise UnrepeatableError(f"more than {_MOST_VALUES} values are reached")
        if self._plain(value) or self._container(value):
            return
        if id(value) in self._met:
            self._note("met", self._met[id(value)][0])
            return
        self._met[id(value)] = (len(self._met), value)
        self._thing(value)

    def _note(self, kind: str, content: object = "") -> None:
        text = f"{kind} {content}".encode("utf-8", "surrogatepass")
        self._hash.update(struct.pack("<q", len(text)) + text)

    def _plain(self, value: object) -> bool:
        """Writes values that their text tells apart."""
        if value is None or value is Ellipsis or value is NotImplemented:
            self._note("constant", repr(value))
        elif type(value) in (bool, int, float, complex, str, bytes, bytearray, range):
            self._note(type(value).__name__, repr(value))
        else:
            return False
        return True

    def _container(self, value: object) -> bool:
        """Writes containers, by order and content; one that contains itself, by how far up it lies."""
        if type(value) not in (list, tuple, dict, types.MappingProxyType, set, frozenset):
            return False
        if id(value) in self._above:
            self._note("above", len(self._above) - self._above.index(id(value)))
            return True
        self._above.append(id(value))
        self._note(type(value).__name__, len(value))  # type: ignore[arg-type]
        if isinstance(value, set | frozenset):
            for each in sorted(fingerprint_of(element) for element in value):
                self._note("element", each)
        elif isinstance(value, Mapping):
            for key, held in value.items():
                self.add(key)
                self.add(held)
        elif isinstance(value, list | tuple):
            for held in value:
                self.add(held)
        self._above.pop()
        return True

    def _thing(self, value: Any) -> None:  # noqa: ANN401, C901, PLR0912 - every kind of thing in one table
        """Writes what has an identity: code, classes, modules, and other objects by their state."""
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.CodeType):
            self._code(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.ModuleType):
            self._module(value)
        elif isinstance(value, types.MethodType):
            self._all("method", value.__self__, value.__func__)
        elif isinstance(value, _C_CALLABLES):
            self._c_callable(value)
        elif isinstance(value, staticmethod | classmethod):
            self._all(type(value).__name__, value.__func__)
        elif isinstance(value, property):
            self._all("property", value.fget, value.fset, value.fdel)
        elif isinstance(value, functools.partial):
            self._all("partial", value.func, value.args, value.keywords)
        elif isinstance(value, functools._lru_cache_wrapper):  # noqa: SLF001 - the one name of this type
            self._all("cached", value.__wrapped__)
        elif isinstance(value, re.Pattern):
            self._all("pattern", value.pattern, value.flags)
        elif isinstance(value, types.CellType):
            self._cell(value)
        else:
            self._object(value)

    def _all(self, kind: str, *values: object) -> None:
        self._note(kind, len(values))
        for value in values:
            self.add(value)

    def _function(self, function: types.FunctionType) -> None:
        space = function.__globals__
        origin = origin_of(str(function.__module__), space.get("__file__"))
        self._all(f"function {function.__qualname__}", function.__defaults__, function.__kwdefaults__)
        self._all("closure", *(function.__closure__ or ()))
        self._named({name: held for name, held in vars(function).items() if name != "__wrapped__"})
        self._all("wrapped", getattr(function, "__wrapped__", None))
        if origin is not None:
            refuse_outside(str(function.__module__))
            self._note("installed", origin)
            return
        self.add(function.__code__)
        for name, value in references_of(function.__code__, space):
            self._note("refers to", name)
            self.add(value)

    def _code(self, code: types.CodeType) -> None:
        self._note("code", code.co_name)
        self._all("bytes", code.co_code, code.co_exceptiontable, code.co_flags)
        self._all("arguments", code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        self._all("names", code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self._all("constants", *code.co_consts)

    def _class(self, cls: type) -> None:
        self._note("class", cls.__qualname__)
        origin = _origin_of_class(cls)
        if origin is not None:
            refuse_outside(cls.__module__)
            self._note("installed", f"{cls.__module__} {origin}")
            return
        self._all("bases", type(cls), *cls.__bases__)
        self._named({name: held for name, held in vars(cls).items() if name not in _CLASS_BOOKKEEPING})

    def _module(self, module: types.ModuleType) -> None:
        origin = origin_of_module(module)
        if origin is not None:
            refuse_outside(module.__name__)
            self._note("installed module", f"{module.__name__} {origin}")
            return
        file = getattr(module, "__file__", None)
        if file is None:
            raise UnrepeatableError(f"module {module.__name__} has no file")
        self._note("module", text_hash(file))
        self._named({name: held for name, held in vars(module).items() if not name.startswith("__")})

    def _c_callable(self, value: Any) -> None:  # noqa: ANN401
        self._note("compiled", f"{getattr(value, '__module__', None)} {value.__qualname__}")
        holder = getattr(value, "__self__", None)
        if isinstance(holder, types.ModuleType):
            self._module(holder)
        else:
            self._all("of", holder, getattr(value, "__objclass__", None))

    def _cell(self, cell: types.CellType) -> None:
        try:
            held = cell.cell_contents
        except ValueError:
            self._note("empty cell")
        else:
            self._all("cell", held)

    def _object(self, value: Any) -> None:  # noqa: ANN401
        """Writes an object by its class and by what it would be pickled as."""
        self.add(type(value))
        try:
            state = value.__reduce_ex__(4)
        except RecursionError:
            raise
        except Exception as error:
            raise UnrepeatableError(
                f"a {type(value).__qualname__} has no state to look at: {error}"
            ) from error
        if isinstance(state, str):
            self._note("name", state)
            return
        make, arguments, held, listed, mapped = (*state, *(None,) * 5)[:5]
        self._all("made by", make, tuple(argument for argument in arguments if argument is not type(value)))
        if isinstance(held, dict):
            self._named(held)
        else:
            self.add(held)
        self._all("holds", *_drawn(listed))
        self._all("maps", *_drawn(mapped))

    def _named(self, held: Mapping[Any, object]) -> None:
        """Writes attributes; the order in which they were set does not matter."""
        self._note("named", len(held))
        for name in sorted(held, key=str):
            self._note("name", name)
            self.add(held[name])


def _drawn(values: Iterator[Any] | None) -> list[Any]:
    return [] if values is None else list(values)


def _origin_of_class(cls: type) -> str | None:
    module = str(cls.__module__)
    if module == "builtins":
        return "builtins"
    # A class is what its module says; where the module is not at hand, the class is looked at itself.
    found = sys.modules.get(module)
    return None if found is None else origin_of_module(found)
