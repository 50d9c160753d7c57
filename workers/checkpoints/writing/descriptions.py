"""What lies beside the weights of a checkpoint, as bytes; and how large all of its files will be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workers.checkpoints.tensor_table import INDEX_FILE
from workers.checkpoints.writing.shards import Shard, StoredTensor

CONFIG_FILE = "config.json"


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Returns what a JSON file of a checkpoint holds."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def generated(
    config: Mapping[str, Any], tensors: Sequence[StoredTensor], shards: Sequence[Shard]
) -> dict[str, bytes]:
    """Returns the files that follow from configuration and tensors alone, by name."""
    files = {CONFIG_FILE: json_bytes(config)}
    if len(shards) > 1:
        total = sum(tensor.bytes for tensor in tensors)
        weight_map = {tensor.name: shard.name for shard in shards for tensor in shard.tensors}
        files[INDEX_FILE] = json_bytes({"metadata": {"total_size": total}, "weight_map": weight_map})
    return files


def shard_sizes(shards: Sequence[Shard]) -> dict[str, int]:
    """Returns how many bytes each file of weights will have, by name."""
    return {
        shard.name: len(shard.header()) + sum(tensor.bytes for tensor in shard.tensors) for shard in shards
    }
