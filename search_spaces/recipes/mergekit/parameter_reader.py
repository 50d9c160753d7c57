"""Reads mergekit's parameters: numbers, switches, gradients, and lists of them with filters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from search_spaces.catalogue.methods import Method
from search_spaces.recipes.mergekit.problems import Problems, kind_of
from search_spaces.recipes.recipe import parameter_problems
from search_spaces.recipes.settings import Parameter, Setting
from search_spaces.recipes.strict_yaml import is_number

ReadParameters = dict[str, Parameter]
_ON, _OFF = ("true", "yes", "on", "y", "t", "1"), ("false", "no", "off", "n", "f", "0")  # as pydantic reads


class ParameterReader:
    """Reads the parameters of one recipe.  Without a method, their names are not checked.

    Attributes:
        misplaced: Shared parameters that stand beside a model, where they are not read.
    """

    def __init__(self, method: Method | None, problems: Problems) -> None:
        self._method, self._problems = method, problems
        self._declared = {} if method is None else {p.name: p for p in method.parameters}
        self.misplaced: set[str] = set()

    def read(self, content: Mapping[str, Any], path: str, *, of_a_model: bool = False) -> ReadParameters:
        """Returns the parameters of a mapping that may have them; one with a mistake has no settings.

        Parameters that mean nothing are left out and told, where the problems are told.
        """
        value, field = content.get("parameters"), f"{path}parameters"
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self._problems.refuse(field, f"{kind_of(value)} instead of a mapping", "write name: value")
            return {}
        found: ReadParameters = {}
        for name, setting in value.items():
            if self._is_idle(str(name), f"{field}.{name}", of_a_model=of_a_model):
                continue
            before = len(self._problems)
            settings = self._settings(setting, f"{field}.{name}", str(name))
            found[str(name)] = settings if len(self._problems) == before else ()
        if self._method is not None:
            self._problems.add(parameter_problems(self._method, found, field))
        return found

    def _is_idle(self, name: str, field: str, *, of_a_model: bool) -> bool:
        """Says whether a parameter is not read, and tells it."""
        if self._method is None or self._problems.notices is None:
            return False
        if name not in self._declared:
            self._problems.idle_name(field, f"parameter of {self._method.name}", name, self._declared)
            return True
        if of_a_model and self._declared[name].scope == "shared":
            self.misplaced.add(name)
            detail = f"all models share {name}, so it is not read beside one of them"
            self._problems.remark(field, detail, "write it under the slice's or the file's parameters")
            return True
        return False

    def _settings(self, value: object, field: str, name: str) -> Parameter:
        entries = [value] if isinstance(value, Mapping) else value
        if not (
            isinstance(entries, list) and entries and all(isinstance(entry, Mapping) for entry in entries)
        ):
            return self._setting(value, None, field, name)
        found: Parameter = ()
        for i, entry in enumerate(entries):
            place = f"{field}.{i}" if isinstance(value, list) else field
            self._problems.check_keys(entry, ("filter", "value"), f"{place}.")
            tensors = entry.get("filter")
            if tensors is not None and not isinstance(tensors, str):
                self._problems.refuse(
                    f"{place}.filter", f"{kind_of(tensors)} is no text", "write a part of the tensors' names"
                )
            elif "value" not in entry:
                self._problems.refuse(
                    f"{place}.value", "it is missing", "write a number or a list of numbers"
                )
            else:
                found += self._setting(entry["value"], tensors, f"{place}.value", name)
        return found

    def _setting(self, value: object, tensors: str | None, field: str, name: str) -> Parameter:
        """Reads a number, a switch or a gradient; returns nothing where it is none."""
        if isinstance(value, list) and value:
            numbers = tuple(self._number(item, f"{field}.{i}", name) for i, item in enumerate(value))
            return (Setting(value=numbers, filter=tensors),)
        if isinstance(value, list):
            self._problems.refuse(field, "an empty list", "write a number or a list of numbers")
            return ()
        return (Setting(value=self._number(value, field, name), filter=tensors),)

    def _number(self, value: object, field: str, name: str) -> float:
        """Reads one number; returns 0 where it is none, after saying so."""
        own = self._declared.get(name)
        if own is not None and own.kind == "choice":
            if isinstance(value, str) and value in own.choices:
                return float(own.choices.index(value))
            self._problems.unknown(field, name, value, own.choices)
            return 0.0
        if isinstance(value, bool) and self._declared and (own is None or own.kind != "switch"):
            self._problems.refuse(field, f"{str(value).lower()} is no number", "write a number")
            return 0.0
        if isinstance(value, str):
            value = _read_text(value, switch=own is not None and own.kind == "switch")
        if isinstance(value, (int, float)) and abs(value) < 1e300 and math.isfinite(value):
            return float(value)
        self._problems.refuse(field, f"{value!r:.60} is no number", "write a finite number")
        return 0.0


def _read_text(text: str, *, switch: bool) -> object:
    """Returns the number or switch that a text in quotes holds, as mergekit reads it; else the text."""
    plain = text.strip().lower()
    if switch and plain in (*_ON, *_OFF):
        return plain in _ON
    return float(plain) if is_number(plain) else text
