"""In which settings of the network parents differ: what no tensor's shape shows.  Torch-free.

A merged model has one config.json, the tokenizer owner's.  What another parent computed otherwise, with
another activation or another bound of logits, its weights then do without.  Settings are compared as
transformers reads them, defaults included; all that is not known to be harmless is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workers.checkpoints.layout import STRUCTURE, Layout, text_config
from workers.compatibility.default_settings import Settings, as_transformers_reads
from workers.compatibility.parent_facts import rope_of

HARMLESS = frozenset({
    # about the files, not the network
    "_name_or_path", "name_or_path", "transformers_version", "architectures", "model_type", "auto_map",
    "license",
    "dtype", "torch_dtype", "use_bfloat16", "quantization_config", "tokenizer_class", "processor_class",
    "_attn_implementation", "_attn_implementation_internal", "attn_implementation", "torchscript",
    "_commit_hash", "_experts_implementation",
    # what is given back, and how it is computed
    "use_cache", "return_dict", "use_return_dict", "output_attentions", "output_hidden_states",
    "output_router_logits", "chunk_size_feed_forward", "pretraining_tp", "gradient_checkpointing",
    "cache_implementation", "keys_to_ignore_at_inference", "reorder_and_upcast_attn", "use_mamba_kernels",
    # training
    "initializer_range", "initializer_factor", "init_std", "attention_dropout", "hidden_dropout", "dropout",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop",
    "residual_dropout", "embedding_dropout", "activation_dropout", "classifier_dropout", "dropout_rate",
    "router_aux_loss_coef", "aux_loss_alpha", "seq_aux", "router_z_loss_coef", "router_jitter_noise",
    "input_jitter_noise", "expert_dropout", "z_loss_coefficient", "ep_size", "time_step_min", "time_step_max",
    "time_step_floor", "rescale_prenorm_residual", "emb_pdrop",
    # heads for classification
    "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params",
    "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels",
    "summary_first_dropout", "pruned_heads", "prefix",
    # tokens that begin, end and fill: generation's, and the tokenizer owner's
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "unk_token_id", "decoder_start_token_id",
    "cls_token_id", "image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id",
    "forced_bos_token_id", "forced_eos_token_id",
    # generation settings that older configurations hold
    "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "temperature",
    "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "bad_words_ids",
    "diversity_penalty", "encoder_no_repeat_ngram_size", "num_return_sequences", "output_scores",
    "return_dict_in_generate", "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
    "remove_invalid_values", "max_new_tokens",
})  # fmt: skip
"""What may differ without changing what the network computes."""

ELSEWHERE = frozenset({
    # sizes, which shapes show
    "vocab_size", "hidden_size", "n_embd", "intermediate_size", "n_inner", "num_hidden_layers", "n_layer",
    "num_layers", "n_layers", "tie_word_embeddings", "text_config", "vision_config", "audio_config",
    # told as the length of texts and as rotary positions
    "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length",
    "original_max_position_embeddings", "rope_theta", "rope_scaling", "rope_parameters", "rotary_pct",
    "rotary_emb_base", "partial_rotary_factor",
})  # fmt: skip
"""What is compared on its own."""

ROPE = "rotary positions"
"""The key under which the settings of rotary positions are compared together."""

WIRING = frozenset({
    "position_embedding_type", "alibi", "use_alibi", "multi_query", "new_decoder_architecture",
    "parallel_attn",
    "use_parallel_residual", "parallel_residual", "do_layer_norm_before", "rope_interleave", "use_qk_norm",
    "no_rope_layers", "no_rope_layer_interval", "mamba_expand", "conv_kernel", "ssm_state_size",
})  # fmt: skip
"""What makes other networks of the same tensors: refused."""

_EFFECTS: Mapping[str, str] = {
    **dict.fromkeys(("hidden_act", "hidden_activation", "activation_function"), "the activation"),
    **dict.fromkeys(
        ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon"),
        "what norms add to the variance",
    ),
    "attn_logit_softcapping": "the bound of attention logits",
    "final_logit_softcapping": "the bound of the logits",
    **dict.fromkeys(
        ("num_experts_per_tok", "moe_topk", "moe_k", "top_k", "num_experts_per_token"),
        "how many experts see a token",
    ),
    **dict.fromkeys(
        ("norm_topk_prob", "routed_scaling_factor", "scoring_func", "topk_method", "n_group", "topk_group"),
        "how experts are chosen and weighed",
    ),
    **dict.fromkeys(
        ("sliding_window", "use_sliding_window", "max_window_layers", "layer_types", "attention_chunk_size"),
        "which tokens a layer attends to",
    ),
    **dict.fromkeys(("attention_bias", "mlp_bias", "qkv_bias", "use_bias"), "which layers have a bias"),
    **dict.fromkeys(("embedding_multiplier", "scale_emb", "emb_scale"), "a factor of the embeddings"),
    **dict.fromkeys(("residual_multiplier", "scale_depth"), "a factor of each layer's output"),
    **dict.fromkeys(
        ("attention_multiplier", "query_pre_attn_scalar", "scale_attn_weights"),
        "a factor of attention logits",
    ),
    **dict.fromkeys(("logits_scaling", "logit_scale", "dim_model_base"), "a factor of the logits"),
}
_SAME = (
    {"gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh"},
    {"silu", "swish"},
    {"gelu", "gelu_python"},
)
_LONGEST = 160  # characters of a value


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that two parents have otherwise.

    Attributes:
        key: Its name in config.json.
        mine: The parent's, as text.
        theirs: The owner's.
        refused: The two are different networks.
    """

    key: str
    mine: str
    theirs: str
    refused: bool

    @property
    def effect(self) -> str:
        """What the setting is for."""
        return _EFFECTS.get(self.key, "how the network computes")


def differences(layout: Layout, owner: Layout) -> tuple[Difference, ...]:
    """Returns the settings of the network that a parent has otherwise than the owner of config.json."""
    mine, theirs = _with_rope(text_config(layout)), _with_rope(text_config(owner))
    found = list(_differing(mine, theirs))
    if any(_is_open(mine.get(key), theirs.get(key)) for key in found):
        read = as_transformers_reads([layout.config, owner.config])
        if read[0] is not None and read[1] is not None:
            mine, theirs = _with_rope(read[0]), _with_rope(read[1])
            found = list(_differing(mine, theirs))
            if layout.architecture != owner.architecture:
                found = [key for key in found if key in mine and key in theirs]
    depths = (layout.layers, owner.layers)
    return tuple(
        Difference(key, _text(mine, key), _text(theirs, key), key in WIRING or key in STRUCTURE)
        for key in found
        if not _follows_depth(mine.get(key), theirs.get(key), depths)
    )


def _with_rope(settings: Settings) -> Settings:
    """Returns settings with those of rotary positions as one, whatever version of transformers wrote them."""
    return {**settings, ROPE: rope_of(settings)}


def _is_open(mine: object, theirs: object) -> bool:
    """Says whether two values may be equal after all, once defaults are put in."""
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        return all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys())
    return mine is None or theirs is None


def _differing(mine: Settings, theirs: Settings) -> Iterator[str]:
    """Yields the keys of settings that are not known to be harmless, and differ."""
    for key in sorted((mine.keys() | theirs.keys()) - HARMLESS - ELSEWHERE):
        if not key.startswith("_") and _plain(mine.get(key)) != _plain(theirs.get(key)):
            yield key


def _plain(value: Any) -> Any:  # noqa: ANN401 - what JSON holds
    """Returns a value such that what means the same is equal."""
    if isinstance(value, str):
        return next((min(names) for names in _SAME if value in names), value)
    return value


def _follows_depth(mine: object, theirs: object, depths: tuple[int, int]) -> bool:
    """Says whether two lists differ because one model is deeper: each layer keeps its own entry."""
    if not isinstance(mine, list) or not isinstance(theirs, list):
        return False
    return depths[0] != depths[1] and (len(mine), len(theirs)) == depths


def _text(settings: Settings, key: str) -> str:
    if key not in settings:
        return "left to transformers' default"
    text = repr(settings[key])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
