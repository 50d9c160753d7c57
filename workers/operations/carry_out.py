"""Carries out an order to turn checkpoints into a checkpoint."""

from __future__ import annotations

import torch

from workers.operations.adapters.lora_lego_adapters import merge_adapters
from workers.operations.embeddings.embedding_transplant_models import transplant
from workers.operations.expert_merge_models import merge_experts
from workers.operations.partial_merging.partial_merge_models import partial_merge
from workers.operations.unit_alignment import align
from workers.protocol.messages import Transformed
from workers.protocol.transform_orders import (
    AdapterMergeOrder,
    ExpertMergeOrder,
    PartialMergeOrder,
    TransformOrder,
    TransplantOrder,
    WeightMatchingOrder,
)


@torch.no_grad()
def transform(order: TransformOrder) -> Transformed:
    """Does what an order asks for.

    Raises:
        WorkerError: It could not be done; nothing was written.
    """
    match order:
        case WeightMatchingOrder():
            return align(order)
        case PartialMergeOrder():
            return partial_merge(order)
        case ExpertMergeOrder():
            return merge_experts(order)
        case AdapterMergeOrder():
            return merge_adapters(order)
        case TransplantOrder():
            return transplant(order)
