"""Preparation: from an export order to a checked, planned merge.  Nothing is written, no tensor is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from search_spaces import Parent, Recipe
from search_spaces.recipes.idle_filters import idle_filters
from workers.checkpoints.architecture.loading import check_loadable
from workers.checkpoints.layout import Layout
from workers.checkpoints.writing.checkpoint import Contents
from workers.compatibility.fitting import FittedParents, fit_parents
from workers.compatibility.loaded_parents import load_parents
from workers.compatibility.parent_concerns import settings_that_differ
from workers.errors import ExportError
from workers.export.contents import contents_of, texts_of
from workers.export.provenance.lock_file import LockedMerge
from workers.export.unchanged_parents import ParentFiles
from workers.merging.folding import fold_scales
from workers.merging.plan import MergePlan, plan_merge
from workers.protocol.messages import ExportOrder


@dataclass(frozen=True, slots=True)
class PreparedMerge:
    """A merge that passed every check that is possible before its first tensor.

    Attributes:
        order: What was asked for.
        stored: The parents' layouts as transformers loads them.
        fitted: The parents made alike, with the tokenizer of the merged model.
        plan: One entry per tensor; the recipe's scales are folded into the weights.
        contents: What the folder will hold.
        files: The parents' files before the merge.
    """

    order: ExportOrder
    stored: Mapping[Parent, Layout]
    fitted: FittedParents
    plan: MergePlan
    contents: Contents
    files: ParentFiles

    @property
    def folder(self) -> Path:
        """The checkpoint's final place."""
        return Path(self.order.folder)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the parents' layouts have to note, and settings of the network in which they differ."""
        layouts = tuple(self.fitted.layouts.values())
        differing = settings_that_differ(layouts, self.plan.owner).warnings
        told = (f"{each.field}: {each.detail}; {each.remedy}" for each in differing)
        return (*(note for layout in self.stored.values() for note in layout.notes), *told)

    @property
    def locked(self) -> LockedMerge:
        """What the lock file is made of; local folders are shortened where the checkpoint leaves here."""
        order, leaves = self.order, self.order.hub is not None or self.order.remote is not None
        return LockedMerge(
            order.recipe, self.plan, self.stored, self.contents.tensors, order.device, named=leaves
        )

    @property
    def key(self) -> str:
        """What an unfinished merge must agree in with this one: all that its weights depend on."""
        order = self.order
        told = {
            "evomerge": version("evomerge"),
            "torch": torch.__version__,
            "recipe": order.recipe.digest,
            "parents": dict(self.files.states),
            "tensors": [[tensor.name, list(tensor.shape), tensor.dtype] for tensor in self.contents.tensors],
            "shard_bytes": order.shard_bytes,
            **({} if order.device == "cpu" else {"device": order.device}),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def prepare_merge(order: ExportOrder) -> PreparedMerge:
    """Returns the merge that an order asks for.  Parents on the Hub are downloaded.

    Raises:
        WorkerError: A parent cannot be read or does not fit, the recipe cannot be merged, the folder is a
            parent's, a file's name is none, or transformers would not load the result.
    """
    recipe, texts = order.recipe, texts_of(order)
    stored = load_parents(recipe)
    _check_apart(stored, Path(order.folder))
    fitted = fit_parents(recipe, stored)
    if order.strict:
        _check_no_idle_filter(recipe, fitted.layouts.values())
    plan = fold_scales(plan_merge(recipe, fitted.layouts))
    contents = contents_of(order, texts, plan, fitted)
    check_loadable(contents.config, {tensor.name: tensor.shape for tensor in contents.tensors})
    return PreparedMerge(order, stored, fitted, plan, contents, ParentFiles.of(fitted.layouts.values()))


def _check_apart(layouts: Mapping[Parent, Layout], folder: Path) -> None:
    """Refuses to write a merged model where one of its parents lies.

    Raises:
        ExportError: Names the parent.
    """
    target = folder.expanduser().resolve()
    for parent, layout in layouts.items():
        own = layout.folder.resolve()
        if target == own or target in own.parents:
            detail = f"is where the parent {parent} lies, or holds it"
            raise ExportError(str(folder), detail, "write to another folder")


def _check_no_idle_filter(recipe: Recipe, layouts: Iterable[Layout]) -> None:
    """Refuses filters that choose no tensor of any model.

    Raises:
        ExportError: Names the first one.
    """
    for idle in idle_filters(recipe, (name for layout in layouts for name in layout.tensors)):
        raise ExportError(idle.field, idle.detail, "take it out, or leave --strict out")
