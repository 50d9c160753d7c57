"""evomerge.lock.json: all that is needed to make the same checkpoint again, beside its weights.

It holds the recipe, the parents with the hashes of their files, the versions of what computes, every
tensor's hash, and, of methods that draw at random, the seeds that were drawn from: masks follow from a
parent's reference, which may be another on another machine.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from search_spaces import Parent, Recipe
from search_spaces.recipes.renamed_parents import names_of, shown
from workers.checkpoints.layout import Layout
from workers.checkpoints.writing.shards import StoredTensor
from workers.errors import CheckpointError
from workers.export.provenance.content_hashes import ContentHashes
from workers.merging.plan import MergePlan

LOCK_FILE = "evomerge.lock.json"
FORMAT = 1
LIBRARIES = ("evomerge", "torch", "numpy", "numba", "safetensors", "transformers")
"""Whose versions may change the bits of a merge."""

HashesOf = Callable[[Parent], Mapping[str, str]]
"""Returns the SHA-256 of a parent's files of weights, by name."""


@dataclass(frozen=True, slots=True)
class LockedMerge:
    """What a lock is made of.

    Attributes:
        recipe: As it was merged.
        layouts: Of all parents.
        device: Where the tensors were merged.
        named: Local folders are called by their last part: the lock leaves this machine.
    """

    recipe: Recipe
    plan: MergePlan
    layouts: Mapping[Parent, Layout]
    tensors: Sequence[StoredTensor]
    device: str
    named: bool = False


def write_lock(folder: Path, merge: LockedMerge, hashes: ContentHashes, digests: Mapping[str, str]) -> None:
    """Writes the lock of a finished merge into its folder; `digests` are its tensors'."""
    (folder / LOCK_FILE).write_text(lock_text(merge, hashes.of, digests), encoding="utf-8")


def lock_text(merge: LockedMerge, hashes_of: HashesOf, digests: Mapping[str, str]) -> str:
    """Returns a lock's text, from the hashes of parents' files and of the merge's tensors."""
    content = {
        "format": FORMAT,
        "recipe": json.loads(shown(merge.recipe, named=merge.named).canonical_json()),
        "recipe_digest": merge.recipe.digest,
        "seed": merge.recipe.seed,
        "parents": list(_parents(merge, hashes_of)),
        "versions": versions(),
        "arithmetic": arithmetic(merge.device),
        "tensors": _tensors(merge, digests),
    }
    return json.dumps(content, indent=1) + "\n"


def read_lock(folder: Path) -> dict[str, Any]:
    """Returns the lock in a checkpoint's folder.

    Raises:
        CheckpointError: There is none, or one that this version cannot read.
    """
    path = folder / LOCK_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            detail = f"has format {content['format']}, this version reads {FORMAT}"
            raise CheckpointError(str(path), detail, "use the version of evomerge that wrote it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        detail = "there is none" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise CheckpointError(
            str(path), detail, "name a checkpoint that evomerge 0.1 or later exported"
        ) from error
    return dict(content)


def versions() -> dict[str, str]:
    """Returns the versions of what computes here."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def arithmetic(device: str) -> dict[str, str]:
    """Returns on what it computes here."""
    cpu = torch.backends.cpu.get_cpu_capability()
    gpu = torch.cuda.get_device_name() if device.startswith("cuda") and torch.cuda.is_available() else None
    return {"device": device, "machine": platform.machine(), "cpu": cpu} | ({"gpu": gpu} if gpu else {})


def _parents(merge: LockedMerge, hashes_of: HashesOf) -> Iterator[dict[str, Any]]:
    names = names_of(merge.recipe)
    for parent, layout in merge.layouts.items():
        of_snapshot = layout.folder.parent.name == "snapshots"  # of the Hub's cache
        yield {
            "reference": str(names[parent] if merge.named else parent),
            "commit": layout.folder.name if of_snapshot else None,
            "files": hashes_of(parent),
        }


def _tensors(merge: LockedMerge, digests: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    seeds = {tensor.name: tensor.seeds for tensor in merge.plan.tensors if tensor.seeds}
    return {
        tensor.name: {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "sha256": digests[tensor.name],
            **({"seeds": [f"{seed:016x}" for seed in seeds[tensor.name]]} if tensor.name in seeds else {}),
        }
        for tensor in merge.tensors
    }
