"""Orders to turn checkpoints into a checkpoint, and what comes of them.  Torch-free.

These operations are no merge recipes: they prepare parents (align, transplant, shrink), or merge
what a recipe cannot name (experts of one model, adapters).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search_spaces import Parent


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a checkpoint is written; the folder appears complete or not at all.

    Attributes:
        verify: Have it loaded by transformers in a fresh process before it gets its name.
    """

    folder: str
    replace: bool = False
    shard_bytes: int = 5_000_000_000
    verify: bool = True


@dataclass(frozen=True, slots=True)
class WeightMatchingOrder:
    """Permute the parent's units so that they match the reference's; it computes what it did before."""

    parent: Parent
    reference: Parent
    destination: Destination
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PartialMergeOrder:
    """Merge two parents of different origin; the worst-matched MLP units of both are kept.

    Attributes:
        ratio: Share of MLP units that are kept apart, 0 to 1.
        texts: A file with one text per line, to fit output projections to by least squares, or None.
        texts_used: At most so many of them.
        length: Tokens that are read of a text.
    """

    first: Parent
    second: Parent
    destination: Destination
    ratio: float = 0.0
    seed: int = 0
    texts: str | None = None
    texts_used: int = 128
    length: int = 512


@dataclass(frozen=True, slots=True)
class ExpertMergeOrder:
    """Merge the experts of a mixture-of-experts model into fewer.

    Attributes:
        experts: How many groups each layer has afterwards.
        keep: `reduced` writes one expert per group and merges the router's rows; `duplicated` keeps
            the number of experts and the router, and writes a group's expert for each of its members.
        similarity: What puts experts into one group: `logits` (the routing record's similarity of router
            logits) or `rows` (cosine of the router's rows).
        routing: The record's file, or None for the one beside the model.
    """

    parent: Parent
    destination: Destination
    experts: int
    keep: Literal["reduced", "duplicated"] = "reduced"
    similarity: Literal["logits", "rows"] = "logits"
    routing: str | None = None


@dataclass(frozen=True, slots=True)
class AdapterMergeOrder:
    """Merge LoRA adapters of one base into one adapter.

    Attributes:
        adapters: Folders with adapter_config.json and adapter_model.safetensors.
        method: `lego` clusters ranks; `ties` merges the factors A and B each by TIES, as GENOME does.
        weights: Of `ties`, one per adapter; none are equal parts of 1.
        density: Of `ties`, the share of a factor's entries that is kept.
        rank: Of the merged adapter, for `lego`; None takes the largest of theirs.
        norm: In which a cluster's members are measured for parameter reweighting.
    """

    adapters: tuple[str, ...]
    destination: Destination
    rank: int | None = None
    seed: int = 0
    parameter_reweighting: bool = True
    output_reweighting: bool = True
    norm: Literal["inf", "2"] = "2"
    sign_align: bool = False
    method: Literal["lego", "ties"] = "lego"
    weights: tuple[float, ...] = ()
    density: float = 0.7


@dataclass(frozen=True, slots=True)
class TransplantOrder:
    """Give an instruct model the vocabulary of a continued pre-training of its base.

    Attributes:
        base: What both others were trained from; needed by `overlap` and `conversion`.
        instruct: Whose body is kept.
        adapted: The base after continued pre-training with the new vocabulary.
    """

    instruct: Parent
    adapted: Parent
    destination: Destination
    base: Parent | None = None
    method: Literal["direct", "overlap", "conversion"] = "overlap"


TransformOrder = (
    WeightMatchingOrder | PartialMergeOrder | ExpertMergeOrder | AdapterMergeOrder | TransplantOrder
)
