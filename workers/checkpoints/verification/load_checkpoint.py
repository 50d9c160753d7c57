"""Loads a checkpoint with transformers, and says in what it is not what it promises."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

from workers.checkpoints.architecture.meta_model import AUTO_CLASSES

SHARE = 0.5
"""Of the free memory: a model whose weights take more is loaded without them, on the meta device."""
INPUT_TOKENS = 8
_CGROUP = Path("/sys/fs/cgroup")
_SHOWN = 3  # names in a message
Answer = dict[str, Any]


def preload() -> None:
    """Imports what every check needs, so that processes forked later have it."""
    import accelerate  # noqa: F401
    import transformers.modeling_utils
    from transformers import AutoModelForCausalLM  # noqa: F401

    transformers.utils.logging.set_verbosity(logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()


def import_architecture(request: Mapping[str, Any]) -> None:
    """Imports the code of a checkpoint's architecture, which the next one of it then finds."""
    try:
        config = json.loads(Path(request["folder"], "config.json").read_text(encoding="utf-8"))
        for name in config.get("architectures") or ():
            getattr(transformers, str(name), None)
    except Exception:  # noqa: BLE001 - said by what loads it
        return


def load_checkpoint(request: Mapping[str, Any]) -> Answer:
    """Loads a checkpoint; returns `{"said": sentence}`, or `{"problem": what is wrong}`.

    Args:
        request: `folder`; `owner`, the folder of the parent whose files it has, or None; `free`, bytes of
            memory that may be counted on, or None for what the machine has; `whole` false never loads
            the weights.
    """
    folder, owner = Path(request["folder"]), request["owner"]
    free = free_memory() if request["free"] is None else min(request["free"], free_memory())
    try:
        return _Check(folder, None if owner is None else Path(owner), free, whole=request["whole"]).answer()
    except _ProblemError as problem:
        return {"problem": str(problem)}
    except Exception as error:  # noqa: BLE001 - transformers raises whatever its models raise
        return {"problem": f"transformers {transformers.__version__} cannot load it ({_brief(error)})"}


class _ProblemError(Exception):
    """The checkpoint is not what it promises."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    missing: frozenset[str]
    unexpected: frozenset[str]
    mismatched: frozenset[str]


class _Check:
    """One checkpoint's examination."""

    def __init__(self, folder: Path, owner: Path | None, free: int, *, whole: bool) -> None:
        self._folder, self._owner = folder, owner
        self._bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        self._free = free
        self._whole = whole and self._bytes <= SHARE * free
        self._told_not_to = not whole

    def answer(self) -> Answer:
        """Returns what was found to be right.

        Raises:
            _ProblemError: Something is not.
        """
        loaded = load(self._folder, whole=self._whole)
        remarks = list(self._check_keys(loaded))
        count, dtype = self._check_dtype()
        if self._whole:
            remarks.append(self._check_logits(loaded.model))
        else:
            remarks.append(self._why_not_whole())
        said = f"loaded by transformers {transformers.__version__} in a fresh process: {count} tensors"
        return {"said": ", ".join([said, dtype, *(remark for remark in remarks if remark)])}

    def _check_keys(self, loaded: _Loaded) -> list[str]:
        """Demands that the network and the files have the same tensors."""
        for names, what in (
            (loaded.missing, "the files lack what config.json promises, and it would be random"),
            (loaded.mismatched, "other shapes than config.json promises"),
        ):
            if names:
                raise _ProblemError(f"{what}: {_named(names)}")
        if not loaded.unexpected:
            return []
        own = loaded.unexpected - self._unexpected_of_owner()
        if own:
            raise _ProblemError(f"the network that config.json describes has no place for {_named(own)}")
        return [f"no place in the network, as in the parent, for {_named(loaded.unexpected)}"]

    def _unexpected_of_owner(self) -> frozenset[str]:
        if self._owner is None:
            return frozenset()
        try:
            return load(self._owner, whole=False).unexpected
        except Exception:  # noqa: BLE001 - then nothing is known to be the parent's way
            return frozenset()

    def _check_dtype(self) -> tuple[int, str]:
        """Demands that most of the stored bytes are in the format that config.json promises."""
        count, stored = stored_format(self._folder)
        promised = _promised_format(self._folder)
        if promised in (None, stored) or not stored:
            return count, stored
        if self._owner is None or (_promised_format(self._owner), stored_format(self._owner)[1]) != (
            promised,
            stored,
        ):
            raise _ProblemError(f"config.json promises {promised}, the weights are {stored}")
        return count, f"{stored} (config.json says {promised}, as the parent's)"

    def _check_logits(self, model: Any) -> str:  # noqa: ANN401 - transformers
        """Demands finite logits of a short input, where the owner gives them."""
        problem = _forward(model)
        if problem is None:
            return "logits finite"
        if self._owner is not None and self._bytes * 2 <= SHARE * self._free:
            theirs = _forward(load(self._owner, whole=True).model)
            if theirs is not None:
                return f"logits not judged, for those of the parent {theirs} too"
        raise _ProblemError(f"its logits for {INPUT_TOKENS} tokens {problem}")

    def _why_not_whole(self) -> str:
        why = (
            "loading them took more memory than there is"
            if self._told_not_to
            else f"weights of {self._bytes / 1e9:.2f} GB are more than {SHARE:.0%} of "
            f"{self._free / 1e9:.2f} GB free memory"
        )
        return f"names and shapes compared on the meta device, no logits computed ({why})"


def load(folder: Path, *, whole: bool) -> _Loaded:
    """Loads a checkpoint into memory, or its names and shapes on the meta device."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    options: dict[str, Any] = {} if whole else {"device_map": "meta"}
    model, told = network_class(config).from_pretrained(
        folder,
        config=config,
        output_loading_info=True,
        dtype="auto",
        local_files_only=True,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # told of instead of raised
        **options,
    )
    mismatched = frozenset(
        str(key[0]) if isinstance(key, tuple) else str(key) for key in told["mismatched_keys"]
    )
    if told.get("error_msgs"):
        raise _ProblemError(f"transformers says: {str(told['error_msgs'][0])[:300]}")
    return _Loaded(
        model.eval(), frozenset(told["missing_keys"]), frozenset(told["unexpected_keys"]), mismatched
    )


def network_class(config: Any) -> Any:  # noqa: ANN401 - transformers
    """Returns the class that a configuration names, or the first automatic one that has the architecture.

    Raises:
        _ProblemError: transformers has none.
    """
    for name in config.architectures or ():
        named = getattr(transformers, str(name), None)
        if isinstance(named, type) and issubclass(named, transformers.PreTrainedModel):
            return named
    for name, mapping in AUTO_CLASSES.items():
        if type(config) in getattr(transformers, mapping):
            return getattr(transformers, name)
    raise _ProblemError(
        f"transformers {transformers.__version__} has no language model for {config.model_type!r}"
    )


def stored_format(folder: Path) -> tuple[int, str]:
    """Returns how many tensors a checkpoint's files hold, and the format of most floating-point bytes."""
    count, sizes = 0, dict[str, int]()
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(str(path), framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - no mapping
                    count += 1
                    entry = file.get_slice(name)
                    dtype = _FORMATS.get(entry.get_dtype())
                    if dtype is not None:
                        known = str(dtype).removeprefix("torch.")
                        sizes[known] = sizes.get(known, 0) + math.prod(entry.get_shape()) * dtype.itemsize
        except SafetensorError as error:
            raise _ProblemError(f"{path.name} cannot be read ({error})") from error
    return count, max(sizes, key=sizes.__getitem__, default="")


def _promised_format(folder: Path) -> str | None:
    """Returns the format that a config.json names."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for part in (config, config.get("text_config")):
        for key in ("dtype", "torch_dtype"):
            if isinstance(part, dict) and isinstance(part.get(key), str):
                return str(part[key]).removeprefix("torch.")
    return None


_FORMATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@torch.no_grad()
def _forward(model: Any) -> str | None:  # noqa: ANN401 - transformers
    """Returns what is wrong with the logits of a short input, or None."""
    tokens = model.config.get_text_config().vocab_size
    ids = torch.arange(1, INPUT_TOKENS + 1)[None] % tokens
    asked = {"input_ids": ids}
    if getattr(model.config, "is_encoder_decoder", False):
        asked["decoder_input_ids"] = ids
    try:
        told = model(**asked)
    except Exception as error:  # noqa: BLE001 - models raise anything
        return f"cannot be computed ({_brief(error)})"
    logits = getattr(told, "logits", None)
    logits = told[0] if logits is None else logits
    return None if bool(torch.isfinite(logits).all()) else "are not finite"


def free_memory() -> int:
    """Returns the bytes that can be taken: of the machine, and of the container around this process."""
    return min([int(psutil.virtual_memory().available), *_free_in_container()])


def _free_in_container() -> list[int]:
    found = []
    for limit, used in (
        (_CGROUP / "memory.max", _CGROUP / "memory.current"),
        (_CGROUP / "memory/memory.limit_in_bytes", _CGROUP / "memory/memory.usage_in_bytes"),
    ):
        try:
            most, now = int(limit.read_text()), int(used.read_text())
            stat = dict(line.split() for line in (limit.parent / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such group, or no limit
            continue
        cached = int(stat.get("inactive_file", stat.get("total_inactive_file", 0)))
        found.append(max(most - now + cached, 0))
    return found


def _named(names: frozenset[str]) -> str:
    shown = ", ".join(repr(name) for name in sorted(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:300]}"
