"""A tiny model of every causal architecture that the installed transformers has."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tests.tiny_models import WORDS, tiny_tokenizer

LAYERS = 4
_SMALL: Mapping[str, Any] = {
    **dict.fromkeys(
        ("hidden_size", "d_model", "n_embd", "embedding_size", "dim", "emb_dim", "lru_width"), 16
    ),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim"), 24),
    **dict.fromkeys(("ffn_hidden_size", "n_inner", "dff", "dim_ff"), 24),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers"), LAYERS),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_encoder_layers", "num_decoder_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "mamba_n_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("head_dim", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 64),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_top_k", "top_k_experts", "moe_k", "moe_topk"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 8),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "n_group", "topk_group"), 1),
    **dict.fromkeys(("shared_intermediate_size", "q_lora_rank", "kv_lora_rank", "qk_head_dim"), 8),
    **dict.fromkeys(("sliding_window", "attention_window_size", "window_size", "index_head_dim"), 8),
    **dict.fromkeys(("state_size", "mamba_d_state", "mamba_d_head", "mamba_chunk_size", "chunk_size"), 8),
    **dict.fromkeys(("num_key_value_heads", "index_n_heads", "mamba_dt_rank", "type_vocab_size"), 2),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), 2),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_conv_kernel_dim"), 4),
    "vocab_size": len(WORDS),
    "index_topk": 4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "hidden_dropout": 0.0,
}
_KINDS = ("sliding_attention", "full_attention")
_ROPE = {kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in _KINDS}
_ALTERNATING = {"layer_types": [*_KINDS, *_KINDS]}
_LATENT = {"num_key_value_heads": 4}
_INKLING = {
    "swa_num_attention_heads": 4, "swa_num_key_value_heads": 2, "swa_head_dim": 4, "d_rel": 4,
    "rel_extent": 16, "sliding_window_size": 8,
}  # fmt: skip
_HYBRID = ["linear_attention", "hybrid"]
OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "afmoe": {"num_dense_layers": 1},
    "axk1": _LATENT,
    "axk2": _LATENT,
    "bamba": {"attn_layer_indices": [1, 3]},
    "codegen": {"rotary_dim": 2},
    "cohere_compass_text": {"rope_parameters": _ROPE},
    "dbrx": {
        "ffn_config": {"hidden_size": 16, "ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
    },
    "deepseek_v2": {"first_k_dense_replace": 1, **_LATENT},
    "deepseek_v3": {"first_k_dense_replace": 1, **_LATENT},
    "deepseek_v32": {"first_k_dense_replace": 1, **_LATENT},
    "deepseek_v4": {"o_groups": 2, "o_lora_rank": 4, "hc_mult": 2, "num_key_value_heads": 1, "head_dim": 8},
    "dots1": {"first_k_dense_replace": 1},
    "ernie4_5_moe": {"moe_layer_start_index": 1},
    "falcon_h1": {"mamba_d_ssm": 32},
    "gemma2": _ALTERNATING,
    "gemma3_text": _ALTERNATING,
    "gemma3n_text": {
        "num_kv_shared_layers": 0, "vocab_size_per_layer_input": 32, "hidden_size_per_layer_input": 4,
        "laurel_rank": 2, "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0], **_ALTERNATING,
    },
    "gemma4_text": {
        "vocab_size_per_layer_input": 32, "hidden_size_per_layer_input": 4, "global_head_dim": 8,
        **_ALTERNATING,
    },
    "gemma4_unified_text": {"global_head_dim": 8, **_ALTERNATING},
    "git": {
        "vision_config": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
                          "num_attention_heads": 4, "image_size": 8, "patch_size": 4},
    },
    "glm4_moe_lite": _LATENT,
    "glm_moe_dsa": _LATENT,
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "gptj": {"rotary_dim": 2},
    "inkling_text": _INKLING,
    "inkling2_text": _INKLING,
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {
        "linear_head_dim": 4, "linear_num_heads": 2, **_LATENT,
        "layer_types": ["linear_attention", "full_attention"] * 2,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1},
    "llama4_text": {"intermediate_size_mlp": 24, "interleave_moe_layer_step": 2},
    "longcat_flash": {"zero_expert_num": 2, "expert_ffn_hidden_size": 8, "qk_head_dim": None, **_LATENT},
    "mamba2": {"num_heads": 4, "head_dim": 8, "n_groups": 1},
    "minicpm3": _LATENT,
    "minimax": {"block_size": 8},
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "moe", "mlp"], "mamba_num_heads": 4, "mamba_head_dim": 8,
        "n_groups": 1, "ssm_state_size": 8, "moe_shared_expert_intermediate_size": 8,
    },
    "qwen2_moe": {"mlp_only_layers": [0]},
    "qwen3_moe": {"mlp_only_layers": [0, 1]},
    "qwen4_exp_text": {
        "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 4,
        "indexer_compress_ratio": 2, "hc_count": 2, "hc_lowrank": 4, "ple_embed_dim": 8, "ple_layer_ids": [],
        "ngram_vocab_size_base": 32, "split_ngram_parts": 2,
    },
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "reformer": {
        "is_decoder": True, "axial_pos_shape": [8, 8], "axial_pos_embds_dim": [8, 8], "feed_forward_size": 24,
        "attention_head_size": 4, "attn_layers": ["local", "lsh"] * 2, "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4, "num_buckets": 2,
    },
    "roc_bert": {
        "pronunciation_vocab_size": 16, "shape_vocab_size": 16, "pronunciation_embed_dim": 8,
        "shape_embed_dim": 8,
    },
    "xlnet": {"d_inner": 24},
    "xmod": {"default_language": "en_XX"},
    "youtu": _LATENT,
    "zamba": {
        "n_mamba_heads": 2, "layers_block_type": _HYBRID * 2, "num_key_value_heads": 4,
        "attention_head_dim": 8, "attention_hidden_size": 32,
    },
    "zamba2": {
        "n_mamba_heads": 4, "layers_block_type": _HYBRID * 2, "num_key_value_heads": 4, "adapter_rank": 4,
    },
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 16},
}  # fmt: skip
"""model_type -> what makes it small, and its layers of several kinds."""

_SIGHT: Mapping[str, Any] = {
    **_SMALL,
    **dict.fromkeys(("depth", "num_hidden_layers", "num_global_layers"), 1),
    **dict.fromkeys(("image_size", "num_pos_feats", "output_channels", "mm_embed_dim", "mm_posemb_size"), 8),
    **dict.fromkeys(("out_hidden_size", "vision_output_dim", "projection_dim", "embed_dim"), 16),
    **dict.fromkeys(("patch_size", "num_position_embeddings"), 4),
    "num_channels": 3,
    "intermediate_layers_indices": [0],
    "window_size": 2,
}
COMPOSITES = (
    "fuyu", "gemma3", "gemma4", "gemma4_unified", "got_ocr2", "llama4", "moss_transcribe_diarize", "qwen3_5",
    "qwen3_5_moe", "qwen4_exp",
)  # fmt: skip
"""Those whose language model is described inside a larger configuration."""

NOT_BUILT: Mapping[str, str] = {
    "blt": "reads bytes in patches through four networks; its tables do not become small",
    "dots3_note": "a larger model around dots3_note_text",
    "dots3_note_text": "its heads' sizes are constants of the class",
    "emu3": "its language model is saved with a configuration that no automatic class takes",
    "gemma3n": "its eyes come from timm, which is not required; its language model is gemma3n_text",
    "gemma4_assistant": "drafts for gemma4 from that model's own keys and values",
    "gemma4_unified_assistant": "drafts for gemma4_unified from that model's own keys and values",
    "mllama": "its language model is saved with a configuration that no automatic class takes",
    "musicgen": "not built by its automatic class: the decoder lies in a part of the configuration",
    "musicgen_melody": "not built by its automatic class: the decoder lies in a part of the configuration",
    "phi4_multimodal": "its eyes and ears do not become small",
}
"""Of which no tiny model can be built, and why."""


def causal_types() -> list[str]:
    """Returns the model types of all causal architectures."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_config(model_type: str, **options: Any) -> PretrainedConfig:
    """Returns a configuration of four small layers."""
    kind = CONFIG_MAPPING[model_type]
    if model_type in COMPOSITES:
        parts = {name: _part(name, defaults) for name, defaults in kind().to_dict().items() if _is_part(name)}
        return kind(**_fitting(kind, {k: v for k, v in _SMALL.items() if "token_id" in k}), **parts | options)
    return kind(**_fitting(kind, _SMALL) | dict(OVERRIDES.get(model_type, {})) | options)


def _is_part(name: str) -> bool:
    return name.endswith("_config") and name not in ("quantization_config", "generation_config")


def _part(name: str, defaults: Mapping[str, Any] | None) -> dict[str, Any] | None:
    model_type = (defaults or {}).get("model_type")
    if model_type is None:
        return None
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return dict(tiny_config(model_type).to_dict())
    small = _SMALL if name == "text_config" else _SIGHT
    return {"model_type": model_type, **_fitting(CONFIG_MAPPING[model_type], small)}


def _fitting(kind: type[PretrainedConfig], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those values that a configuration takes, each under its first name."""
    known = set(inspect.signature(kind).parameters) | set(getattr(kind, "__dataclass_fields__", ()))
    return {k: v for k, v in values.items() if k in known and kind.attribute_map.get(k) not in known}


def tiny_causal_model(model_type: str, seed: int, **options: Any) -> Any:
    """Returns a model with weights that matter, in evaluation mode."""
    torch.manual_seed(seed)
    config = tiny_config(model_type, **options)
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    if size > 1_000_000:
        raise ValueError(f"{model_type} is not small: {size} parameters; add a line to OVERRIDES")
    model = AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # others are tables that follow from the configuration
                parameter.add_(torch.randn_like(parameter) * 0.1)
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0.0  # as some architectures make it when they load
    return model.eval()


def save_causal_model(folder: Path, model_type: str, seed: int, **options: Any) -> Path:
    """Writes a tiny model with a tokenizer."""
    tiny_causal_model(model_type, seed, **options).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
