"""Which architectures input scales can be folded into, and which of their tensors take them.

With pre-norm blocks h <- s_t h, h <- h + f(norm(h)), write h = c_t h' with c_t the product of the scales
s_1 ... s_t.  The norms ignore a positive factor (up to their epsilon), so the same network without
scales, whose blocks' outputs are divided by c_t, gives h' and, after the last norm, the same logits.
What ends a block is its output projections with their biases, or, where a norm follows them, that
norm's weight.  Torch-free: a spec is checked by it too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from workers.errors import MergeError


@dataclass(frozen=True, slots=True)
class FoldRule:
    """What the scales of one architecture are folded into.

    Attributes:
        outputs: Matches the names, inside a layer, of the tensors that end its blocks.
        offset: What the network adds to such a tensor before it multiplies by it.
    """

    outputs: re.Pattern[str]
    offset: float = 0.0


_PROJECTIONS = FoldRule(
    re.compile(r"(self_attn\.o_proj|mlp(\.experts\.\d+|\.shared_expert)?\.down_proj)\.(weight|bias)")
)
_POST_NORMS = FoldRule(re.compile(r"post_(attention|feedforward)_layernorm\.weight"), offset=1.0)
RULES: Mapping[str, FoldRule] = {
    "LlamaForCausalLM": _PROJECTIONS,
    "MistralForCausalLM": _PROJECTIONS,
    "Qwen2ForCausalLM": _PROJECTIONS,
    "Qwen2MoeForCausalLM": _PROJECTIONS,
    "Qwen3ForCausalLM": _PROJECTIONS,
    "Qwen3MoeForCausalLM": _PROJECTIONS,
    "Phi3ForCausalLM": _PROJECTIONS,
    "GemmaForCausalLM": _PROJECTIONS,
    "Gemma2ForCausalLM": _POST_NORMS,
    "Gemma3ForCausalLM": _POST_NORMS,
    "MixtralForCausalLM": FoldRule(
        re.compile(r"(self_attn\.o_proj|block_sparse_moe\.experts\.\d+\.w2)\.(weight|bias)")
    ),
    "GPT2LMHeadModel": FoldRule(re.compile(r"(attn|mlp)\.c_proj\.(weight|bias)")),
    "GPTNeoXForCausalLM": FoldRule(re.compile(r"(attention\.dense|mlp\.dense_4h_to_h)\.(weight|bias)")),
}


def rule_for(architecture: str) -> FoldRule:
    """Returns what an architecture's scales are folded into.

    Raises:
        MergeError: They cannot be: a block's input is not normalised, or it was not examined.
    """
    if architecture not in RULES:
        known = ", ".join(sorted(RULES))
        raise MergeError(
            "input_scale",
            f"scales cannot be folded into a {architecture}; they can into {known}",
            "stack layers without scales (scales: false)",
        )
    return RULES[architecture]
