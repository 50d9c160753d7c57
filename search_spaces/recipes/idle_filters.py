"""Filters of a recipe that choose no tensor.

mergekit lets them be.  Here a misspelt one is refused, and so is a pattern, which no filter is; one that
means something in other models (`lm_head` where head and embeddings are one) is told and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from search_spaces.recipes.recipe import Recipe
from search_spaces.recipes.spelling import meant

_PLAIN = re.compile(r"[\w.\- ]+", re.ASCII)
# Parts of tensors' names in one architecture or another.
_KNOWN = frozenset(
    (
        *("self_attn", "attn", "attention", "mlp", "norm", "layernorm", "lm_head", "embed_tokens", "weight"),
        *("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "gate_proj", "up_proj", "down_proj", "bias"),
        *(
            "gate_up_proj",
            "c_attn",
            "c_proj",
            "c_fc",
            "wte",
            "wpe",
            "ln_1",
            "ln_2",
            "ln_f",
            "q_norm",
            "k_norm",
        ),
        *("dense", "dense_h_to_4h", "dense_4h_to_h", "query_key_value", "embed_in", "embed_out"),
        *("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "final_layer_norm"),
        *("post_feedforward_layernorm", "block_sparse_moe", "experts", "router", "gate", "w1", "w2", "w3"),
        *("q", "k", "v", "o", "model", "layers", "transformer", "wqkv", "wo", "feed_forward", "ffn"),
    )
)


@dataclass(frozen=True, slots=True)
class IdleFilter:
    """A filter that is part of no tensor's name.

    Attributes:
        field: The parameter that has it.
        text: The filter.
        is_mistake: Something else is meant by it.
    """

    field: str
    text: str
    is_mistake: bool

    @property
    def detail(self) -> str:
        """What is wrong with it."""
        return f"the filter {self.text[:80]!r} is part of no tensor's name"


def idle_filters(recipe: Recipe, names: Iterable[str]) -> Iterator[IdleFilter]:
    """Yields the recipe's filters that choose none of the tensors of these names."""
    levels = [recipe.parameters, *(part.parameters for part in recipe.slices)]
    levels += [source.parameters for part in recipe.slices for source in part.sources]
    named = {(label, s.filter): None for level in levels for label in level for s in level[label] if s.filter}
    told = dict.fromkeys(names)
    text = "\n".join(told)
    idle = [(label, part) for label, part in named if part != "*" and part not in text]
    if not idle:
        return
    words = {word for name in told for word in name.split(".") if not word.isdecimal()}
    for label, part in idle:
        misspelt = part not in _KNOWN and meant(part, words) is not None
        yield IdleFilter(f"parameters.{label}", part, misspelt or _PLAIN.fullmatch(part) is None)
