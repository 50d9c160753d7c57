"""What files call a tensor is not what it is: checkpoints are read as transformers loads them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BloomConfig,
    DeepseekV3Config,
    Gemma3nTextConfig,
    MambaConfig,
    PretrainedConfig,
    RwkvConfig,
    T5Config,
    xLSTMConfig,
)

from search_spaces import Recipe
from tests.tiny_models import ARCHITECTURES, WORDS, save_perturbed
from tests.workers.recipes import linear_recipe, parent_at
from workers.checkpoints.architecture.configuration import merged_config
from workers.compatibility.loaded_parents import load_parent, load_parents
from workers.compatibility.preflight import preflight_recipe
from workers.errors import CheckpointError, MismatchError
from workers.export.merge_to_disk import merge_to_disk
from workers.merging.plan import plan_merge
from workers.protocol.messages import Exported, ExportOrder
from workers.runtime.live_model import LiveModel
from workers.runtime.resident_parents import ResidentParents

TOKENS = torch.arange(1, 13)[None]
HEAD, EMBEDDINGS = "lm_head.weight", "model.embed_tokens.weight"
Tensors = dict[str, Tensor]

_SIZES: dict[str, Any] = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2}
_IDS: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_FURTHER: Mapping[str, PretrainedConfig] = {
    "bloom": BloomConfig(**_IDS, vocab_size=len(WORDS), hidden_size=16, n_layer=2, n_head=4),
    "mamba": MambaConfig(**_SIZES, **_IDS, tie_word_embeddings=False),
    "rwkv": RwkvConfig(**_SIZES, **_IDS, attention_hidden_size=16, intermediate_size=24),
    "xlstm": xLSTMConfig(**_SIZES, **_IDS, embedding_dim=16, num_blocks=2, num_heads=2),
    "gemma3n": Gemma3nTextConfig(
        **_SIZES,
        **_IDS,
        intermediate_size=24,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        layer_types=["sliding_attention", "full_attention"],
        num_kv_shared_layers=0,
        activation_sparsity_pattern=[0.0, 0.0],
        laurel_rank=4,
        hidden_size_per_layer_input=4,
        vocab_size_per_layer_input=len(WORDS),
    ),
    "t5": T5Config(**_IDS, vocab_size=len(WORDS), d_model=16, num_layers=2, num_heads=2, d_kv=8, d_ff=24),
}


def config_of(architecture: str) -> PretrainedConfig:
    return _FURTHER.get(architecture) or ARCHITECTURES[architecture]


def save(folder: Path, seed: int, config: PretrainedConfig) -> Path:
    torch.manual_seed(seed)
    kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = kind.from_config(config).float()
    return save_perturbed(model, folder)


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file({name: t.contiguous() for name, t in change(tensors).items()}, path, metadata={"format": "pt"})


def set_in_config(folder: Path, **entries: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def loaded(folder: Path) -> Any:
    """The model as transformers loads it, whole."""
    config = AutoConfig.from_pretrained(folder)
    kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model, report = kind.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return model.eval()


def merge(recipe: Recipe, folder: Path) -> Exported:
    return merge_to_disk(ExportOrder(recipe, str(folder)))


def assert_average(merged: Path, *parents: Path) -> None:
    """Compares with an average of what transformers loads of the parents."""
    states = [loaded(parent).state_dict() for parent in parents]
    for name, tensor in loaded(merged).state_dict().items():
        torch.testing.assert_close(tensor, sum(state[name] for state in states) / len(states))


@torch.inference_mode()
def live_logits(recipe: Recipe) -> Tensor:
    layouts = load_parents(recipe)
    plan = plan_merge(recipe, layouts)
    live = LiveModel(plan.owner)
    model = live.overwrite(merged_config(plan.owner, recipe, layouts), plan, ResidentParents(layouts).sources)
    return torch.as_tensor(model(TOKENS).logits).clone()


@torch.inference_mode()
def disk_logits(folder: Path) -> Tensor:
    return torch.as_tensor(loaded(folder)(TOKENS).logits)


def as_published(architecture: str, tensors: Tensors) -> Tensors:
    """The names and constants that checkpoints of this architecture were first published with."""
    if architecture == "llama":
        constants = {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": torch.ones(2) for n in range(2)}
        return tensors | constants
    prefix = "gpt_neox." if architecture == "gpt_neox" else "transformer."
    older = tensors if architecture == "gpt_neox" else {n.removeprefix(prefix): t for n, t in tensors.items()}
    mask = torch.ones(1, 1, 64, 64, dtype=torch.bool).tril()
    for layer in range(2):
        if architecture == "gpt2":
            older[f"h.{layer}.attn.bias"] = mask.float()
        if architecture == "gpt_neox":
            older[f"gpt_neox.layers.{layer}.attention.bias"] = mask.clone()
            older[f"gpt_neox.layers.{layer}.attention.masked_bias"] = torch.tensor(-1e9)
            older[f"gpt_neox.layers.{layer}.attention.rotary_emb.inv_freq"] = torch.ones(2)
    return older


@pytest.mark.parametrize("order", ["published first", "published last"])
@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox", "bloom", "llama"])
def test_a_published_checkpoint_merges_with_a_fine_tune_of_today(
    architecture: str, order: str, tmp_path: Path
) -> None:
    parents = [save(tmp_path / str(seed), seed, config_of(architecture)) for seed in (1, 2)]
    rewrite(parents[order == "published last"], lambda tensors: as_published(architecture, tensors))
    recipe = linear_recipe(parents, (0.5, 0.5))
    assert preflight_recipe(recipe).refusals == ()
    merge(recipe, tmp_path / "merged")
    assert_average(tmp_path / "merged", *parents)
    assert torch.equal(live_logits(recipe), disk_logits(tmp_path / "merged"))


@pytest.fixture
def tied(tmp_path: Path) -> list[Path]:
    """Two models whose output embeddings are their input embeddings."""
    config = type(ARCHITECTURES["llama"])(**ARCHITECTURES["llama"].to_dict() | {"tie_word_embeddings": True})
    return [save(tmp_path / name, seed, config) for seed, name in enumerate(("left", "right"))]


def own_head(seed: int) -> Callable[[Tensors], Tensors]:
    drawn = torch.randn(len(WORDS), 16, generator=torch.Generator().manual_seed(seed))
    return lambda tensors: tensors | {HEAD: drawn}


def copied_head(tensors: Tensors) -> Tensors:
    return tensors | {HEAD: tensors[EMBEDDINGS].clone()}


def only_head(tensors: Tensors) -> Tensors:
    return {HEAD if name == EMBEDDINGS else name: tensor for name, tensor in tensors.items()}


def as_it_is(tensors: Tensors) -> Tensors:
    return tensors


# What happens to the two parents' files -> whether the merged model is tied.
STORED: Mapping[str, tuple[Callable[[Tensors], Tensors], Callable[[Tensors], Tensors], bool]] = {
    "two heads of their own": (own_head(5), own_head(6), False),
    "two copies": (copied_head, copied_head, True),
    "two heads alone": (only_head, only_head, True),
    "a head alone and embeddings alone": (only_head, as_it_is, True),
    "embeddings alone and a head alone": (as_it_is, only_head, True),
    "a copy and embeddings alone": (copied_head, as_it_is, True),
    "embeddings alone and a copy": (as_it_is, copied_head, True),
}


@pytest.mark.parametrize("stored", sorted(STORED))
def test_tied_embeddings_are_merged_as_the_files_hold_them(
    stored: str, tied: list[Path], tmp_path: Path
) -> None:
    *changes, stays_tied = STORED[stored]
    for parent, change in zip(tied, changes, strict=True):
        rewrite(parent, change)
    recipe = linear_recipe(tied, (0.5, 0.5))
    assert preflight_recipe(recipe).refusals == ()
    exported = merge(recipe, tmp_path / "merged")
    assert_average(tmp_path / "merged", *tied)
    assert json.loads((tmp_path / "merged/config.json").read_text())["tie_word_embeddings"] is stays_tied
    assert len(exported.notes) == (0 if stays_tied else 2)
    assert (HEAD in load_file(tmp_path / "merged/model.safetensors")) is not stays_tied
    assert torch.equal(live_logits(recipe), disk_logits(tmp_path / "merged"))


def test_a_head_of_its_own_beside_a_tied_model_is_named_and_can_be_untied(
    tied: list[Path], tmp_path: Path
) -> None:
    rewrite(tied[0], own_head(5))
    recipe = linear_recipe(tied, (0.5, 0.5))
    with pytest.raises(MismatchError, match="right") as refused:
        merge(recipe, tmp_path / "merged")
    assert "untie_embeddings" in refused.value.remedy
    merge(recipe.model_copy(update={"untie_embeddings": True}), tmp_path / "merged")
    assert_average(tmp_path / "merged", *tied)


def test_a_model_that_scales_what_a_tied_head_reads_is_not_untied(tmp_path: Path) -> None:
    parents = [save(tmp_path / name, seed, config_of("t5")) for seed, name in enumerate(("left", "right"))]
    rewrite(parents[0], lambda tensors: tensors | {HEAD: tensors["shared.weight"] + 1})
    with pytest.raises(CheckpointError, match=r"'lm_head.weight' differs from 'shared.weight'"):
        merge(linear_recipe(parents, (0.5, 0.5)), tmp_path / "merged")


def test_a_head_that_an_adapter_brings_is_one_of_its_own(tied: list[Path], tmp_path: Path) -> None:
    rewrite(tied[0], copied_head)
    adapter, head = tmp_path / "adapter", torch.randn(len(WORDS), 16)
    adapter.mkdir()
    content = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "modules_to_save": ["lm_head"]}
    (adapter / "adapter_config.json").write_text(json.dumps(content))
    saved = {
        "base_model.model.lm_head.weight": head,
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": torch.randn(2, 16),
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": torch.zeros(16, 2),
    }
    save_file(saved, adapter / "adapter_model.safetensors")
    parent = parent_at(tied[0]).model_copy(update={"adapter": str(adapter)})
    recipe = linear_recipe([tied[0]], (1.0,))
    source = recipe.slices[0].sources[0].model_copy(update={"parent": parent})
    recipe = recipe.model_copy(
        update={"slices": (recipe.slices[0].model_copy(update={"sources": (source,)}),)}
    )
    merge(recipe, tmp_path / "merged")
    model = loaded(tmp_path / "merged")
    torch.testing.assert_close(model.lm_head.weight, head)
    torch.testing.assert_close(model.model.embed_tokens.weight, loaded(tied[0]).model.embed_tokens.weight)


def test_a_checkpoint_without_a_tensor_of_its_network_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", 1, ARCHITECTURES["llama"])
    rewrite(folder, lambda tensors: {name: t for name, t in tensors.items() if name != HEAD})
    with pytest.raises(CheckpointError, match=f"'{HEAD}': transformers would draw them at random"):
        merge(linear_recipe([folder], (1.0,)), tmp_path / "merged")


def with_further_layer(tensors: Tensors) -> Tensors:
    return tensors | {
        n.replace("layers.1.", "layers.2."): t.clone() for n, t in tensors.items() if ".1." in n
    }


def with_keys_of_its_own(tensors: Tensors) -> Tensors:
    keys = {n: t for n, t in tensors.items() if "layers.0.self_attn.k_proj" in n}
    return tensors | {name.replace("layers.0.", "layers.1."): t.clone() for name, t in keys.items()}


def with_unread_bias(tensors: Tensors) -> Tensors:
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    return tensors | {name: torch.randn(4, 2)}


def _deepseek() -> PretrainedConfig:
    ranks: dict[str, Any] = {"q_lora_rank": 8, "kv_lora_rank": 8}
    heads: dict[str, Any] = {
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
        "v_head_dim": 4,
        "num_attention_heads": 4,
    }
    experts: dict[str, Any] = {
        "n_routed_experts": 4,
        "n_group": 2,
        "topk_group": 1,
        "moe_intermediate_size": 8,
    }
    return DeepseekV3Config(
        **_SIZES, **_IDS, **ranks, **heads, **experts, intermediate_size=24, first_k_dense_replace=1
    )


def _sharing_keys() -> PretrainedConfig:
    kinds = {"layer_types": ["full_attention", "full_attention"], "num_kv_shared_layers": 1}
    return Gemma3nTextConfig(**config_of("gemma3n").to_dict() | kinds)


UNREAD: Mapping[str, tuple[Callable[[], PretrainedConfig], Callable[[Tensors], Tensors]]] = {
    "a layer that predicts further tokens": (_deepseek, with_further_layer),
    "keys of a layer that takes another's": (_sharing_keys, with_keys_of_its_own),
    "a bias of cross-attention": (lambda: config_of("t5"), with_unread_bias),
}


@pytest.mark.parametrize("what", sorted(UNREAD))
def test_weights_that_transformers_does_not_load_are_left_out_with_a_word(what: str, tmp_path: Path) -> None:
    config, published = UNREAD[what]
    parents = [save(tmp_path / str(seed), seed, config()) for seed in (1, 2)]
    merge(linear_recipe(parents, (0.5, 0.5)), tmp_path / "expected")
    rewrite(parents[0], published)
    if "further" in what:
        set_in_config(parents[0], num_nextn_predict_layers=1)
    recipe = linear_recipe(parents, (0.5, 0.5))
    assert preflight_recipe(recipe).refusals == ()
    exported = merge(recipe, tmp_path / "merged")
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("merged", "expected"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert "transformers does not load" in exported.notes[0]
    loaded(tmp_path / "merged")


# The tables of each architecture, found with transformers' own `get_input_embeddings` and by reading.
TABLES: Mapping[str, tuple[str, ...]] = {
    "mamba": ("backbone.embeddings.weight", "lm_head.weight"),
    "rwkv": ("rwkv.embeddings.weight", "head.weight"),
    "xlstm": ("backbone.embeddings.weight", "lm_head.weight"),
    "gemma3n": ("model.embed_tokens.weight", "model.embed_tokens_per_layer.weight"),
    "t5": ("shared.weight",),
    "bloom": ("transformer.word_embeddings.weight",),
}


def reorder_tokens(folder: Path, tables: tuple[str, ...]) -> None:
    """Gives the last ten tokens the opposite order, in the tokenizer and in the tables."""
    order = [*range(len(WORDS) - 10), *reversed(range(len(WORDS) - 10, len(WORDS)))]
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"] = {WORDS[old]: new for new, old in enumerate(order)}
    path.write_text(json.dumps(content))
    rewrite(folder, lambda tensors: tensors | {name: tensors[name][order] for name in tables})


@pytest.mark.parametrize("architecture", sorted(TABLES))
def test_every_table_with_a_row_per_token_is_matched_by_token(architecture: str, tmp_path: Path) -> None:
    parents = [save(tmp_path / name, 1, config_of(architecture)) for name in ("left", "right")]
    reorder_tokens(parents[1], TABLES[architecture])
    assert set(load_parent(parent_at(parents[0])).tables or ()) == set(TABLES[architecture])
    recipe = linear_recipe(parents, (0.5, 0.5)).model_copy(update={"vocabulary": "base"})
    merge(recipe, tmp_path / "merged")
    # They are one model with its tokens in two orders: their average is that model.
    assert_average(tmp_path / "merged", parents[0])


def test_tables_of_unequal_length_are_not_matched_by_token(tmp_path: Path) -> None:
    short = Gemma3nTextConfig(**config_of("gemma3n").to_dict() | {"vocab_size_per_layer_input": 30})
    parents = [save(tmp_path / name, 1, short) for name in ("left", "right")]
    reorder_tokens(parents[1], ("model.embed_tokens.weight",))
    recipe = linear_recipe(parents, (0.5, 0.5)).model_copy(update={"vocabulary": "base"})
    with pytest.raises(MismatchError, match=r"'model.embed_tokens_per_layer.weight' has 30 rows"):
        merge(recipe, tmp_path / "merged")
