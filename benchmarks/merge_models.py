"""The models and recipes that the merge benchmarks share.

A Llama-like base of random weights and three parents that differ from it a little, as fine-tuned models
do, in bfloat16 on the disk; and for each method a recipe that both evomerge and mergekit read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

_SPREAD, _CHANGE = 0.02, 0.002  # of the base's weights, and of what fine-tuning adds to them


@dataclass(frozen=True, slots=True)
class Size:
    """How large a model is."""

    hidden: int
    inner: int
    layers: int
    vocabulary: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of a Llama of this size with half as many key heads as heads."""
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocabulary, self.hidden)}
        for layer in range(self.layers):
            of_layer = {
                "self_attn.q_proj.weight": (self.hidden, self.hidden),
                "self_attn.k_proj.weight": (self.hidden // 2, self.hidden),
                "self_attn.v_proj.weight": (self.hidden // 2, self.hidden),
                "self_attn.o_proj.weight": (self.hidden, self.hidden),
                "mlp.gate_proj.weight": (self.inner, self.hidden),
                "mlp.up_proj.weight": (self.inner, self.hidden),
                "mlp.down_proj.weight": (self.hidden, self.inner),
                "input_layernorm.weight": (self.hidden,),
                "post_attention_layernorm.weight": (self.hidden,),
            }
            found |= {f"model.layers.{layer}.{name}": shape for name, shape in of_layer.items()}
        return found | {"model.norm.weight": (self.hidden,), "lm_head.weight": (self.vocabulary, self.hidden)}


LARGE = Size(hidden=1024, inner=2816, layers=16, vocabulary=32_000)  # 254 million parameters
SMALL = Size(hidden=512, inner=1408, layers=6, vocabulary=4_000)  # 22 million
TINY = Size(hidden=64, inner=128, layers=2, vocabulary=100)
SEVEN_BILLION = Size(hidden=4096, inner=11_008, layers=36, vocabulary=32_000)  # 7.0 billion
MODELS = ("base", "one", "two", "three")


def make_models(folder: Path, size: Size) -> list[Path]:
    """Returns the folders of the base and of three parents, the base first; writes them at first."""
    folders = [folder / name for name in MODELS]
    mark = folder / "complete"
    if not mark.is_file() or mark.read_text() != str(size):
        for place in folders:
            place.mkdir(parents=True, exist_ok=True)
            write_description(place, size)
        with ThreadPoolExecutor(2) as threads:
            made = list(threads.map(lambda item: _make(size.shapes, *item), enumerate(size.shapes)))
        for number, place in enumerate(folders):
            tensors = {name: several[number] for name, several in zip(size.shapes, made, strict=True)}
            save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
        mark.write_text(str(size))
    return folders


def _make(shapes: Mapping[str, tuple[int, ...]], number: int, name: str) -> list[Tensor]:
    """Returns one tensor of the base and of each parent."""
    rng = np.random.default_rng(number)

    def noise(scale: float) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shapes[name], np.float32)).mul_(scale)

    base = noise(_SPREAD).add_(1.0 if name.endswith("norm.weight") else 0.0)
    return [base.bfloat16(), *((noise(_CHANGE).add_(base)).bfloat16() for _ in MODELS[1:])]


def write_description(folder: Path, size: Size) -> None:
    """Writes what a checkpoint says beside its weights."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": size.hidden,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "vocab_size": size.vocabulary,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(size.vocabulary - 3))]
    vocabulary = tokenizers.models.WordLevel({word: n for n, word in enumerate(words)}, words[0])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(vocabulary),
        unk_token=words[0],
        bos_token=words[1],
        eos_token=words[2],
    )
    tokenizer.save_pretrained(folder)


@dataclass(frozen=True, slots=True)
class Case:
    """One method to measure.

    Attributes:
        inputs: How many models it reads, the base included.
        goal: Its goal, in times the copy of as many bytes; None for none.
        per_parent: Parameter -> its value for every parent, or by how much it grows per candidate.
        shared: As much, of parameters of the recipe.
        draws: Masks at random, so that outputs can only be compared statistically.
        may_differ: The share of entries that may differ from mergekit's, which ranks equal magnitudes
            in no declared order.
        small: Measured with a small model, because its preparation takes minutes with a large one.
        against_mergekit: By how much it should be faster than mergekit; None is not compared.
        spectra: How many task vectors, or sums of them, its first candidate decomposes.
    """

    method: str
    inputs: int = 4
    goal: float | None = 4.0
    per_parent: tuple[str, ...] = ("weight",)
    shared: Mapping[str, float | bool] | None = None
    draws: bool = False
    may_differ: float = 0.0
    small: bool = False
    against_mergekit: float | None = None
    spectra: int = 0


_SPARSE = ("weight", "density")
CASES = (
    Case("linear", inputs=3, goal=1.3, against_mergekit=8.0),
    Case("task_arithmetic", goal=1.5, against_mergekit=8.0),
    Case("slerp", inputs=2, goal=1.3, per_parent=(), shared={"t": 0.3}, against_mergekit=50.0),
    Case("ties", goal=2.5, per_parent=_SPARSE, may_differ=0.05, against_mergekit=150.0),
    Case("dare_linear", per_parent=_SPARSE, draws=True, against_mergekit=60.0),
    Case("dare_ties", goal=2.5, per_parent=_SPARSE, draws=True, against_mergekit=60.0),
    Case("della", per_parent=_SPARSE, draws=True, against_mergekit=60.0),
    Case("della_linear", per_parent=_SPARSE, draws=True),
    Case("breadcrumbs", per_parent=_SPARSE, may_differ=0.05, against_mergekit=60.0),
    Case("breadcrumbs_ties", per_parent=_SPARSE),
    Case("dare", per_parent=_SPARSE, draws=True),
    Case("nuslerp", inputs=2, goal=1.5),
    Case("multislerp", inputs=3, goal=1.5),
    Case("tsvm", goal=6.0, small=True, spectra=3),
    Case("r_tsvm", goal=6.0, small=True, spectra=3),
    Case("iso_c", goal=6.0, small=True, per_parent=(), shared={"lambda": 1.0}, spectra=1),
    Case("opcm", goal=6.0, small=True, per_parent=(), shared={"lambda": 1.0}, spectra=2),
)

_VALUES = {"weight": (0.3, 0.4, 0.5), "density": (0.4, 0.5, 0.6)}


def recipe_text(case: Case, folders: Sequence[Path], number: int = 0) -> str:
    """Returns a method's recipe as YAML; every candidate number gives other coefficients.

    Args:
        case: The method.
        folders: Of the models, the base first.
        number: Of the candidate.
    """
    growth = 0.003 * number
    base, *parents = (str(folder) for folder in folders)
    if case.inputs == 2:
        parents = parents[:1] if case.method == "slerp" else parents[:2]
    sources: list[dict[str, object]] = []
    for position, parent in enumerate(parents):
        values = {name: round(_VALUES[name][position] + growth, 6) for name in case.per_parent}
        sources.append({"model": parent, "parameters": values} if values else {"model": parent})
    content: dict[str, object] = {"merge_method": case.method, "models": sources}
    if case.method not in ("linear", "multislerp", "nuslerp"):
        content["base_model"] = base
    if case.method == "slerp":
        sources.insert(0, {"model": base})
    if case.shared:
        grown = {k: v if isinstance(v, bool) else round(v + growth, 6) for k, v in case.shared.items()}
        content["parameters"] = grown
    return yaml.safe_dump(content | {"dtype": "bfloat16"}, sort_keys=False)
