"""What the tensors of an adapter's file are, by their names.  Torch-free.

peft stores the names that modules have inside its model, without the adapter's own name:

    X.lora_A.weight, X.lora_B.weight            factors of a linear layer; X.lora_B.bias with `lora_bias`
    X.lora_embedding_A, X.lora_embedding_B      factors of an embedding
    X.lora_magnitude_vector                     DoRA's lengths of rows
    X.token_adapter.trainable_tokens_delta      rows of an embedding that were trained alone
    X.base_layer.weight, X.base_layer.bias      the adapted layer itself (`save_embedding_layers`, `bias`)
    X.weight, X.modules_to_save.weight          trained whole
    X.original_module.weight                    what X.modules_to_save stands for; of no use
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PREFIX = "base_model.model."
_FACTOR = re.compile(
    r"(?P<module>.+)\.lora_(?P<kind>embedding_)?(?P<which>[AB])(\.default)?(\.(?P<part>weight|bias))?"
)
_MAGNITUDE = re.compile(r"(?P<module>.+)\.lora_magnitude_vector(\.default)?(\.weight)?")
_ROWS = re.compile(r"(?P<module>.+)\.token_adapter\.trainable_tokens_delta(\.default)?")
_UNUSED = re.compile(r".+\.(original_module\..+|token_adapter\.trainable_tokens_original(\.default)?)")
_WRAPPER = re.compile(r"\.(base_layer|token_adapter|modules_to_save(\.default)?)(?=\.)")


@dataclass(slots=True)
class ModuleKeys:
    """The keys of one module's factors.

    Attributes:
        factors: `A` and `B` -> key.
        bias: The key of B's own bias.
        magnitude: The key of DoRA's lengths.
        embedding: The module is an embedding.
    """

    factors: dict[str, str] = field(default_factory=dict)
    bias: str | None = None
    magnitude: str | None = None
    embedding: bool = False


@dataclass(frozen=True, slots=True)
class AdapterKeys:
    """The keys of an adapter's file, sorted.

    Attributes:
        modules: Module -> its factors.
        rows: Module -> key of rows trained alone.
        bases: Tensor's name -> key of what takes the model's own place, under all adapters.
        wholes: Tensor's name -> key of what was trained whole, a copy of its own.
        unknown: Keys that are none of these.
    """

    modules: Mapping[str, ModuleKeys]
    rows: Mapping[str, str]
    bases: Mapping[str, str]
    wholes: Mapping[str, str]
    unknown: tuple[str, ...]


def sorted_keys(keys: Iterable[str], config: Mapping[str, Any]) -> AdapterKeys:
    """Sorts the keys of an adapter's file by what they are."""
    modules: dict[str, ModuleKeys] = {}
    rows: dict[str, str] = {}
    bases: dict[str, str] = {}
    wholes: dict[str, str] = {}
    unknown: list[str] = []
    for key in sorted(keys):
        name = key.removeprefix(PREFIX)
        if _UNUSED.fullmatch(name):
            continue
        if found := _FACTOR.fullmatch(name):
            _take_factor(modules.setdefault(found["module"], ModuleKeys()), found, key)
        elif found := _MAGNITUDE.fullmatch(name):
            modules.setdefault(found["module"], ModuleKeys()).magnitude = key
        elif found := _ROWS.fullmatch(name):
            rows[found["module"]] = key
        elif ".lora_" in name:
            unknown.append(key)
        else:
            tensor = _WRAPPER.sub("", name)
            saved = _is_saved(tensor, config) and ".base_layer." not in name
            (wholes if saved else bases)[tensor] = key
    return AdapterKeys(modules, rows, bases, wholes, tuple(unknown))


def _take_factor(module: ModuleKeys, found: re.Match[str], key: str) -> None:
    if found["part"] == "bias":
        module.bias = key
        return
    module.factors[found["which"]] = key
    module.embedding |= found["kind"] is not None


def _is_saved(tensor: str, config: Mapping[str, Any]) -> bool:
    """Says whether a tensor lies in a module that `modules_to_save` names by the end of its name."""
    parts = tensor.split(".")
    paths = [".".join(parts[:end]) for end in range(1, len(parts))]
    named = config.get("modules_to_save")
    targets = [named] if isinstance(named, str) else named or []
    return any(path.endswith(str(target)) for path in paths for target in targets)
