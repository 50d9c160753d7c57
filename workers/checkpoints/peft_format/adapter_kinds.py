"""Which kinds of adapter are applied, and why others are not.  Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.errors import CheckpointError

ALONE = "merge the adapter into its model with peft, and use that model"
_TRAIN = "train a plain LoRA adapter"

_REFUSED: Mapping[str, tuple[str, str]] = {
    "layer_replication": ("it has more layers than its model", ALONE),
    "target_parameters": ("it changes parameters that checkpoints store in other pieces", ALONE),
    "alora_invocation_tokens": ("it acts after certain tokens only, which no weight can express", _TRAIN),
    "arrow_config": ("it chooses among adapters by its input, which no weight can express", _TRAIN),
    "use_qalora": ("it adapts pooled inputs of a quantized model", ALONE),
    "use_bdlora": ("its factors are stored as blocks", ALONE),
    "monteclora_config": ("it draws its factors at random", ALONE),
    "kasa_config": ("its model's weights were cut off when training began", ALONE),
}
"""Setting of peft's LoraConfig -> why no change of the model's own weights is what peft computes."""

# Their base is not the model they were made from: its weights were changed when training began.
_CHANGED_BASES = ("pissa", "olora", "corda", "loftq", "lora_ga")


def check_kind(field: str, config: Mapping[str, Any]) -> None:
    """Refuses adapters that are not applied.

    Args:
        field: Names the adapter.
        config: Its adapter_config.json.

    Raises:
        CheckpointError: Says why, and what to do instead.
    """
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(field, f"peft_type is {kind!r}, not 'LORA'", ALONE)
    for key, (reason, remedy) in _REFUSED.items():
        if config.get(key):
            raise CheckpointError(field, f"{key} is {str(config[key])[:80]}: {reason}", remedy)
    if config.get("bias") not in (None, "none", "all", "lora_only"):
        raise CheckpointError(
            field, f"bias is {config['bias']!r}", "it is one of 'none', 'all' and 'lora_only'"
        )
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGED_BASES):
        detail = f"init_lora_weights is {start!r}: its base has other weights than the model"
        raise CheckpointError(field, detail, ALONE)
