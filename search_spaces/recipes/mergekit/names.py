"""Names that mean something somewhere in mergekit's files, and may therefore mean nothing elsewhere.

mergekit reads what it knows and ignores all else.  A name from here that stands where it is not read is
no misspelling: it is told, and ignored too.
"""

from __future__ import annotations

PARAMETERS = frozenset(
    (
        *("weight", "density", "gamma", "epsilon", "normalize", "rescale", "lambda", "int8_mask", "t"),
        *("scale", "filter_wise", "nuslerp_flatten", "nuslerp_row_wise", "normalize_weights", "eps"),
        *("max_iter", "tol", "select_topk", "r", "alpha"),
        *("embed_slerp", "consensus_method", "sparsification_method"),  # of earlier versions
    )
)
KEYS = frozenset(
    (
        *("merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype"),
        *("tokenizer_source", "tokenizer", "chat_template", "source", "tokens", "pad_to_multiple_of"),
        *("sources", "model", "layer_range", "residual_weight", "filter", "value", "force", "kind"),
        *("name", "revision", "path", "lora", "override_architecture", "token", "token_id"),
        *("description", "license", "tags", "version", "author", "type", "model_name", "seed"),
    )
)
EVERYWHERE = PARAMETERS | KEYS
