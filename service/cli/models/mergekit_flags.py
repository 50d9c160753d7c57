"""The flags of mergekit-yaml and mergekit-multi, so that an old command runs with another first word.

Those that mean something here are options of `evomerge merge`; the others are accepted and answered with
a note that says why nothing is to be done.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from service.cli.terminal.output import note


@dataclass(frozen=True, slots=True)
class IdleFlag:
    """A flag that changes nothing.

    Attributes:
        spelling: As typer declares options.
        note: Why nothing is to be done.
        kind: Of its value; a bool is on or off.
    """

    spelling: tuple[str, ...]
    note: str
    kind: type = bool


_ITSELF = "parents are always read as they are needed"
_DISK = "results are always written by a thread of their own"

FLAGS: Mapping[str, IdleFlag] = {
    "allow_crimes": IdleFlag(
        ("--allow-crimes/--no-allow-crimes",),
        "models are mixed where their shapes and tokens allow it, whatever their architectures are called",
    ),
    "unsafe_truncate_embeddings": IdleFlag(
        ("--unsafe-truncate-embeddings/--no-unsafe-truncate-embeddings",),
        "rows are matched by their tokens; write tokenizer_source into the recipe",
    ),
    "transformers_cache": IdleFlag(
        ("--transformers-cache",), "models from the Hub are kept where HF_HOME says", str
    ),
    "lora_merge_cache": IdleFlag(
        ("--lora-merge-cache",), "adapters are added while reading, without a copy", str
    ),
    "lora_merge_dtype": IdleFlag(("--lora-merge-dtype",), "adapters are added in float32", str),
    "low_cpu_memory": IdleFlag(
        ("--low-cpu-memory/--no-low-cpu-memory",), "use --memory-limit to bound the memory"
    ),
    "copy_tokenizer": IdleFlag(
        ("--copy-tokenizer/--no-copy-tokenizer",), "a tokenizer is always written with the model"
    ),
    "clone_tensors": IdleFlag(
        ("--clone-tensors/--no-clone-tensors",), "layers that are taken twice are always written twice"
    ),
    "trust_remote_code": IdleFlag(
        ("--trust-remote-code/--no-trust-remote-code",), "no code of models is ever run by a merge"
    ),
    "lazy_unpickle": IdleFlag(("--lazy-unpickle/--no-lazy-unpickle",), f"{_ITSELF}, and no pickles are"),
    "write_model_card": IdleFlag(
        ("--write-model-card/--no-write-model-card",),
        "the recipe is written as mergekit_config.yml; a card comes with `evomerge export`",
    ),
    "safe_serialization": IdleFlag(
        ("--safe-serialization/--no-safe-serialization",), "weights are always written as safetensors"
    ),
    "read_to_gpu": IdleFlag(("--read-to-gpu/--no-read-to-gpu",), "--device is what decides"),
    "multi_gpu": IdleFlag(("--multi-gpu/--no-multi-gpu",), "one device merges: reading is what takes time"),
    "no_quiet": IdleFlag(("--no-quiet",), "progress is shown unless --quiet is given"),
    "num_threads": IdleFlag(("--num-threads", "-j"), "set OMP_NUM_THREADS to bound the threads", int),
    "async_write": IdleFlag(("--async-write/--no-async-write",), _DISK),
    "write_threads": IdleFlag(("--write-threads",), _DISK, int),
}


def with_mergekits_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a command that accepts all of `FLAGS` too, hidden from its help, and notes those it got."""
    own = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)

    @wraps(command)
    def accepting(**options: Any) -> Any:  # noqa: ANN401 - whatever the command takes and returns
        for name, flag in FLAGS.items():
            given = options.pop(name)
            if given is not None:
                note(f"Note: {_said(flag, given=given)} is mergekit's, and changes nothing here: {flag.note}")
        return command(**options)

    added = {
        name: Annotated[flag.kind | None, typer.Option(*flag.spelling, hidden=True)]
        for name, flag in FLAGS.items()
    }
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in added.items()
    ]
    mine = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in own.parameters.values()
    ]
    accepting.__signature__ = own.replace(parameters=[*mine, *parameters])  # type: ignore[attr-defined]
    accepting.__annotations__ = {**hints, **added}
    return accepting


def _said(flag: IdleFlag, *, given: object) -> str:
    """Returns the flag as it was written."""
    on, _, off = flag.spelling[0].partition("/")
    return off if given is False and off else on
