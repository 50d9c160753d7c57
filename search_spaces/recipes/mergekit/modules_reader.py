"""Reads mergekit's `modules`: recipes that say of which module of a model they speak.

mergekit divides models with several networks (vision, projector, text) into modules.  A recipe here
merges the language model, whatever the module is called: what stands under its name is laid open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.recipes.mergekit.problems import Problems, kind_of

MODULES = "modules"
_MODULE_KEYS = ("models", "slices", "parameters")


def with_module_laid_open(content: Mapping[str, Any], problems: Problems) -> Mapping[str, Any]:
    """Returns a file's content as it would be written without `modules`.

    A module's parameters come before the file's, as in mergekit: where none of its filters fits a
    tensor, the file's are looked at.  Mistakes go to `problems`; then what is returned has no module.
    """
    if MODULES not in content:
        return content
    modules, rest = content[MODULES], {key: value for key, value in content.items() if key != MODULES}
    if not isinstance(modules, Mapping) or len(modules) != 1:
        what = f"{len(modules)} modules" if isinstance(modules, Mapping) else kind_of(modules)
        remedy = "keep the language model's alone; all other weights are taken as they are"
        problems.refuse(MODULES, f"{what} instead of one module", remedy)
        return rest
    ((name, module),) = modules.items()
    if not isinstance(module, Mapping):
        problems.refuse(
            f"{MODULES}.{name}", f"{kind_of(module)} is no module", "write models or slices in it"
        )
        return rest
    problems.check_keys(module, _MODULE_KEYS, f"{MODULES}.{name}.")
    problems.within = f"{MODULES}.{name}."
    for key in ("models", "slices"):
        if key in module and key in content:
            problems.refuse(
                f"{MODULES}.{name}.{key}", f"{key} stands outside {MODULES} too", "keep one of them"
            )
    own, shared = module.get("parameters"), content.get("parameters")
    parameters = (
        _joined(own, shared) if isinstance(own, Mapping) and isinstance(shared, Mapping) else own or shared
    )
    laid_open = {key: value for key, value in module.items() if key in _MODULE_KEYS}
    return rest | laid_open | ({"parameters": parameters} if parameters is not None else {})


def _joined(own: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Returns parameters of two levels as one, the inner level's settings first."""
    return {
        **shared,
        **{
            name: [*_settings(value), *_settings(shared[name])] if name in shared else value
            for name, value in own.items()
        },
    }


def _settings(value: object) -> list[object]:
    """Returns what stands for one parameter as a list of conditions."""
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
        return value
    return [{"value": value}]
