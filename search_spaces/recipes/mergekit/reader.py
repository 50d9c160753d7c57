"""Turns mergekit YAML into a recipe, and finds all mistakes on the way."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from search_spaces.catalogue.methods import METHODS, Method
from search_spaces.errors import RecipeFileError, UnknownNameError
from search_spaces.recipes.mergekit.modules_reader import with_module_laid_open
from search_spaces.recipes.mergekit.parameter_reader import ParameterReader, ReadParameters
from search_spaces.recipes.mergekit.problems import Notice, Problems, kind_of, unwrap
from search_spaces.recipes.mergekit.reference_reader import reference_in
from search_spaces.recipes.mergekit.tokenizer_reader import TOKENIZER_KEYS, TokenizerReader
from search_spaces.recipes.parent import Parent
from search_spaces.recipes.recipe import (
    NO_LAYERS,
    DType,
    Recipe,
    Slice,
    Source,
    missing_base,
    parent_problems,
)
from search_spaces.recipes.settings import canonical_number
from search_spaces.recipes.strict_yaml import Document, load_document

SEED_COMMENT = "# evomerge seed:"
OWN_METHODS = "evomerge:"  # before a method's name where mergekit would make another model of the text

_KEYS = (
    "merge_method",
    "base_model",
    "models",
    "slices",
    "parameters",
    "dtype",
    "out_dtype",
    "vision",
    *TOKENIZER_KEYS,
)
_SLICE_KEYS = ("sources", "base_model", "parameters", "merge_method", "input_scale")
_BASE_IS_ONE_MORE_MODEL = ("karcher", "linear")  # where they are given a base_model that is not listed
_SEED = re.compile(r"#\s*evomerge seed:\s*(?P<seed>\S+)\s*")


class RecipeReader:
    """Reads one text, or one document of it.  Mistakes are collected, and told together.

    Args:
        notices: Gets what mergekit ignores; without it that is a mistake too.
        document: What the text says, where it is read already.
    """

    def __init__(
        self, text: str, notices: list[Notice] | None = None, *, document: Document | None = None
    ) -> None:
        self._text = text
        self._document = document or load_document(text)
        self._problems = Problems(self._document.lines, notices)
        self._method: Method | None = None
        self._in_slices = False
        self._base: Parent | None = None

    def read(self) -> Recipe:
        """Returns the recipe.

        Raises:
            RecipeFileError: There is none; holds one problem per mistake.
        """
        content = self._document.content
        for twice in self._document.repeated:
            self._problems.idle(twice.field, f"{twice.detail}, and the last one counts", twice.remedy)
        if not isinstance(content, Mapping):
            self._problems.refuse(
                "file", f"it holds {kind_of(content)}", "write a mapping that begins with merge_method"
            )
            raise RecipeFileError(self._problems.found)
        content = with_module_laid_open(self._without_empty_lists(content), self._problems)
        self._problems.check_keys(content, _KEYS, "")
        self._method = self._read_method(content)
        self._parameters = ParameterReader(self._method, self._problems)
        self._base = self._optional_model(content, "")
        parameters = self._parameters.read(content, "")
        slices = self._slices(content, parameters)
        rest = {
            "parameters": parameters,
            "dtype": self._dtype(content, "dtype"),
            "out_dtype": self._dtype(content, "out_dtype"),
            **TokenizerReader(self._problems, self._model, self._base).read(content),
            "vision": self._optional_model(content, "", "vision"),
            "seed": self._seed(),
        }
        self._check_base(slices, given=content.get("base_model") is not None)
        if self._problems:
            raise RecipeFileError(self._problems.found)
        try:
            method = content["merge_method"].removeprefix(OWN_METHODS)
            return Recipe(method=method, slices=tuple(slices), base=self._base, **rest)
        except ValidationError as error:
            raise RecipeFileError(unwrap(error, "recipe")) from error

    def _without_empty_lists(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Leaves out empty lists of models where another list is there; to mergekit they are not there."""
        places = ("models", "slices", "modules")
        content = {key: value for key, value in content.items() if key not in places or value is not None}
        empty = [key for key in places if key in content and not content[key]]
        if self._problems.notices is None or not any(content.get(key) for key in places):
            return content
        for key in empty:
            self._problems.remark(key, "it is empty, and not looked at", "take it out")
        return {key: value for key, value in content.items() if key not in empty}

    def _read_method(self, content: Mapping[str, Any]) -> Method | None:
        name = content.get("merge_method")
        if name is None:
            self._problems.refuse(
                "merge_method", "it is missing", f"write one of: {', '.join(sorted(METHODS))}"
            )
        elif not isinstance(name, str) or name.removeprefix(OWN_METHODS) not in METHODS:
            self._problems.unknown("merge_method", "merge method", name, METHODS)
        else:
            return METHODS[name.removeprefix(OWN_METHODS)]
        return None

    def _model(self, value: object, field: str) -> Parent | None:
        return reference_in(value, field, self._problems)

    def _optional_model(
        self, content: Mapping[str, Any], path: str, key: str = "base_model"
    ) -> Parent | None:
        value = content.get(key)
        return None if value is None else self._model(value, f"{path}{key}")

    def _dtype(self, content: Mapping[str, Any], key: str) -> str | None:
        value = content.get(key)
        if isinstance(value, str):
            value = value.removeprefix("torch.") or None
        known = get_args(DType)
        if value is not None and value not in known:
            self._problems.unknown(key, "number format", value, known)
            return None
        return value

    def _seed(self) -> int:
        """Reads the seed from the comments above the recipe."""
        for line in self._document.comments:
            if match := _SEED.fullmatch(line):
                digits = match["seed"]
                if digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) < 2**63:
                    return int(digits)
                self._problems.refuse(
                    "seed", f"{digits[:40]!r} is no seed", "use a whole number from 0 to 2^63 - 1"
                )
        return 0

    def _slices(self, content: Mapping[str, Any], shared: ReadParameters) -> list[Slice]:
        if ("models" in content) == ("slices" in content):
            both = "models" in content
            detail = "models and slices are both there" if both else "there are no models"
            self._problems.refuse(
                "models", detail, "keep one of them" if both else "list the models to merge"
            )
            return []
        self._in_slices = "slices" in content
        if "models" in content:
            whole = self._slice(content, path="", sources_key="models", levels=(shared,))
            return [whole] if whole else []
        found = []
        for i, part in enumerate(self._list(content["slices"], "slices")):
            path = f"slices.{i}."
            if not isinstance(part, Mapping):
                self._problems.refuse(
                    f"slices.{i}", f"{kind_of(part)} is no slice", "write a mapping with sources"
                )
                continue
            self._problems.check_keys(part, _SLICE_KEYS, path)
            copied = part.get("merge_method") is not None
            one = (
                self._copied_slice(part, path)
                if copied
                else self._slice(part, path=path, sources_key="sources", levels=(shared,))
            )
            scale = self._input_scale(part.get("input_scale", 1.0), f"{path}input_scale")
            found += [one.model_copy(update={"input_scale": scale})] if one else []
        return found

    def _copied_slice(self, content: Mapping[str, Any], path: str) -> Slice | None:
        """Reads a slice that is taken as it is, whatever the file's method."""
        name = content["merge_method"]
        if name != "passthrough":
            self._problems.unknown(f"{path}merge_method", "method of a single slice", name, ["passthrough"])
            return None
        entries = self._list(content.get("sources"), f"{path}sources")
        sources = [self._source(one, f"{path}sources.{i}.", layered=True) for i, one in enumerate(entries)]
        read = tuple(source for source in sources if source is not None)
        if not read or len(read) < len(sources):
            return None
        base, own = self._optional_model(content, path), self._parameters.read(content, path)
        return Slice(sources=read, method="passthrough", base=base, parameters=own)

    def _input_scale(self, value: object, field: str) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
            return canonical_number(float(value))
        self._problems.refuse(field, f"{kind_of(value)} is no scale", "write a number above 0")
        return 1.0

    def _slice(
        self, content: Mapping[str, Any], *, path: str, sources_key: str, levels: tuple[ReadParameters, ...]
    ) -> Slice | None:
        """Reads a slice, or, in the short form with `models`, the whole file's only one."""
        short = sources_key == "models"
        base = None if short else self._optional_model(content, path)
        own = {} if short else self._parameters.read(content, path)
        if sources_key not in content:
            self._problems.refuse(f"{path}{sources_key}", "it is missing", "list the models to merge")
            return None
        entries = self._list(content[sources_key], f"{path}{sources_key}")
        read = [
            self._source(entry, f"{path}{sources_key}.{i}.", layered=not short)
            for i, entry in enumerate(entries)
        ]
        sources = [source for source in read if source is not None]
        if self._method is None or not sources or len(sources) < len(entries):
            return None
        if short and self._base_joins(sources, levels[0]):
            sources.append(Source(parent=self._base))
        effective = base or self._base
        self._remark_on_the_base(sources, effective, f"{path}{sources_key}")
        fields = (f"{path}{sources_key}", "base_model" if base is None else f"{path}base_model")
        self._problems.add(
            parent_problems(self._method, [s.parent for s in sources], effective, fields=fields)
        )
        self._check_required(sources, effective, (own, *levels), f"{path}{sources_key}")
        return Slice(sources=tuple(sources), base=base, parameters=own)

    def _remark_on_the_base(self, sources: Sequence[Source], base: Parent | None, field: str) -> None:
        """Tells parameters of the base, where the others are merged as differences from it."""
        method = self._method
        if method is None or method.base_is_a_parent or not (method.needs_base or method.takes_base):
            return
        for i, source in enumerate(sources):
            if source.parent == base and source.parameters:
                names = ", ".join(source.parameters)
                place = f"{field}.{i}.parameters"
                detail = f"{names}: {source.parent} is the base, and only differences from it are merged"
                self._problems.remark(place, detail, "it changes nothing")

    def _base_joins(self, sources: Sequence[Source], shared: ReadParameters) -> bool:
        """Says whether a base_model that is not listed is one more model, as mergekit has it."""
        if self._method is None or self._base is None:
            return False
        most = self._method.most_parents if self._method.base_is_a_parent else None
        if self._method.name not in _BASE_IS_ONE_MORE_MODEL and (most is None or len(sources) >= most):
            return False
        required = [p.name for p in self._method.parameters if p.scope == "parent" and p.default is None]
        unlisted = all(source.parent != self._base for source in sources)
        return unlisted and all(name in shared for name in required)

    def _source(self, content: object, path: str, *, layered: bool) -> Source | None:
        if not isinstance(content, Mapping):
            self._problems.refuse(path[:-1], f"{kind_of(content)} is no entry", "write a mapping with model")
            return None
        known = ("model", "layer_range", "parameters") if layered else ("model", "parameters")
        if "revision" in content and isinstance(content.get("model"), str):
            detail = "it is not read here: the model's main branch is taken"
            self._problems.idle(f"{path}revision", detail, f"write {content['model']}@{content['revision']}")
            content = {key: value for key, value in content.items() if key != "revision"}
        self._problems.check_keys(content, known, path)
        if "model" not in content:
            self._problems.refuse(f"{path}model", "it is missing", "name a folder or a repository")
        parent = self._model(content["model"], f"{path}model") if "model" in content else None
        layers = self._layers(content.get("layer_range"), f"{path}layer_range") if layered else None
        parameters = self._parameters.read(content, path, of_a_model=True)
        if "weight" in parameters and self._method is METHODS["karcher"]:
            detail = "the models pull by their weights here, where mergekit has all pull alike"
            self._problems.remark(f"{path}parameters.weight", detail, "take it out for mergekit's mean")
        if parent is None:
            return None
        try:
            return Source(parent=parent, layers=layers, parameters=parameters)
        except ValidationError as error:
            self._problems.add(unwrap(error, f"{path}layer_range"))
            return None

    def _layers(self, value: object, field: str) -> tuple[int, int] | None:
        if value is None:
            return None
        match value:
            case [int() as start, int() as end] if not isinstance(start, bool) and not isinstance(end, bool):
                return NO_LAYERS if start == end > 0 and self._problems.notices is not None else (start, end)
        self._problems.refuse(
            field, f"{value!r:.60} is no range of layers", "write [start, end]; end is not included"
        )
        return None

    def _list(self, value: object, field: str) -> Sequence[Any]:
        if isinstance(value, list) and value:
            return value
        self._problems.refuse(
            field, f"{kind_of(value)} instead of a list with entries", "list at least one, with - in front"
        )
        return ()

    def _check_required(
        self, sources: Sequence[Source], base: Parent | None, levels: Sequence[ReadParameters], field: str
    ) -> None:
        """Finds parameters without a default that are not given."""
        if any(isinstance(problem, UnknownNameError) for problem in self._problems.found):
            return  # probably said, and misspelt
        method = self._method
        for parameter in method.parameters if method is not None else ():
            if parameter.default is not None or any(parameter.name in level for level in levels):
                continue
            if parameter.scope == "shared":
                detail = "it is missing"
                if parameter.name in self._parameters.misplaced:
                    detail += "; beside a model it is not read"
                place = f"parameters.{parameter.name}"
                self._problems.refuse(place, detail, f"add it: {parameter.meaning}")
                continue
            for i, source in enumerate(sources):
                apart = method is not None and (method.needs_base or method.takes_base)
                needed = not apart or source.parent != base
                if needed and parameter.name not in source.parameters:
                    place = f"{field}.{i}.parameters.{parameter.name}"
                    self._problems.refuse(place, f"{source.parent} has none", f"add it: {parameter.meaning}")

    def _check_base(self, slices: Sequence[Slice], *, given: bool) -> None:
        if self._method is None:
            return
        if self._method.needs_base and not given:
            self._problems.add([missing_base(self._method, "base_model")])
        listed = all(self._base in [source.parent for source in part.sources] for part in slices)
        used = self._method.needs_base or self._method.takes_base
        # Beside slices it gives mergekit the configuration alone; beside models it would be one of them.
        if self._base is not None and not used and not listed and not self._in_slices:
            detail = f"{self._method.name} has no use for a base, and {self._base} is not among its models"
            self._problems.refuse("base_model", detail, "list it, or write it as tokenizer_source")
