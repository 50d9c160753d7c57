"""Finds what may be reordered in an attention module, by the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workers.operations.blocks import Block, Facet

OUTPUTS = ("o_proj", "out_proj", "dense", "c_proj")
QUERY_NORMS = ("q_norm", "q_layernorm")
KEY_NORMS = ("k_norm", "k_layernorm")
INERT = ("rotary_emb.inv_freq", "bias", "masked_bias")  # buffers that know no heads

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Heads:
    """How an attention module's heads are laid out.

    Attributes:
        groups: Key-value heads.
        queries: Query heads per key-value head.
        size: Dimensions of a head.
    """

    groups: int
    queries: int
    size: int

    @property
    def query_rows(self) -> Tensor:
        """Positions of queries, [groups, queries, size]."""
        return torch.arange(self.groups * self.queries * self.size).view(self.groups, self.queries, self.size)

    @property
    def key_rows(self) -> Tensor:
        """Positions of keys or values, [groups, size]."""
        return torch.arange(self.groups * self.size).view(self.groups, self.size)


def attention_block(path: str, shapes: Mapping[str, Shape], config: Mapping[str, Any]) -> Block | None:
    """Returns the block of an attention module, or None where its layout is not understood.

    Args:
        path: The module's name.
        shapes: Of its tensors, by the part of their names after the path.
        config: The model's configuration (of the language part).
    """
    output = next((leaf for leaf in OUTPUTS if f"{leaf}.weight" in shapes), None)
    # ALiBi gives each head a slope by its number, so heads must stay where they are.
    if output is None or config.get("alibi") or config.get("position_embedding_type") == "alibi":
        return None
    rows = _input_rows(shapes, config, output)
    if rows is None:
        return None
    heads, axis, inputs = rows
    read_by = f"{output}.weight"
    facets = [*inputs, (read_by, 1 - axis, heads.query_rows, ("heads", "values"))]
    for name, shape in shapes.items():
        leaf = name.rsplit(".", 1)[0]
        if leaf in QUERY_NORMS + KEY_NORMS:
            if shape == (heads.size,):  # one for all heads
                continue
            positions = heads.query_rows if leaf in QUERY_NORMS else heads.key_rows
            if shape != (positions.numel(),):
                return None
            facets.append((name, 0, positions, ("heads", None) if leaf in QUERY_NORMS else (None,)))
        elif name == "sinks":
            facets.append((name, 0, heads.query_rows[..., 0] // heads.size, ("heads",)))
    known = {name for name, *_ in facets} | {f"{output}.bias", *INERT}
    norms = {name for name in shapes if name.rsplit(".", 1)[0] in QUERY_NORMS + KEY_NORMS}
    if shapes.keys() - known - norms or not _fits(facets, shapes):
        return None
    return Block(
        name=path,
        units=heads.groups,
        facets=tuple(
            Facet((f"{path}.{name}",), axis, shapes[name][axis], positions, inner, reads=name == read_by)
            for name, axis, positions, inner in facets
        ),
    )


_Facet = tuple[str, int, Tensor, tuple[str | None, ...]]
_QUERY, _KEY, _VALUE = ("heads", None), (None,), ("values",)


def _input_rows(
    shapes: Mapping[str, Shape], config: Mapping[str, Any], output: str
) -> tuple[Heads, int, list[_Facet]] | None:
    """Returns the heads, the axis along which projections hold them, and the facets of queries to values."""
    count = config.get("num_attention_heads", config.get("n_head"))
    groups = config.get("num_key_value_heads") or count
    if not isinstance(count, int) or not isinstance(groups, int) or groups < 1 or count % groups:
        return None
    axis = 1 if shapes.get("c_attn.weight", ())[1:] == (3 * shapes[f"{output}.weight"][0],) else 0
    width = shapes[f"{output}.weight"][1 - axis]
    heads = Heads(groups, count // groups, width // count)
    if heads.size == 0 or width % count:
        return None
    query, key = heads.query_rows, heads.key_rows
    q, k, size = query.numel(), key.numel(), heads.size
    layouts: dict[str, list[tuple[str, Tensor, tuple[str | None, ...]]]] = {
        "q_proj": [("q_proj", query, _QUERY), ("k_proj", key, _KEY), ("v_proj", key, _VALUE)],
        "qkv_proj": [
            ("qkv_proj", query, _QUERY),
            ("qkv_proj", q + key, _KEY),
            ("qkv_proj", q + k + key, _VALUE),
        ],
        "c_attn": [("c_attn", query, _QUERY), ("c_attn", q + key, _KEY), ("c_attn", q + k + key, _VALUE)],
    }
    if config.get("model_type") == "gpt_neox" and groups == count:  # per head: query, key, value
        start = (torch.arange(count) * 3 * size)[:, None] + torch.arange(size)
        name = "query_key_value"
        layouts[name] = [
            (name, start[:, None], _QUERY),
            (name, start + size, _KEY),
            (name, start + 2 * size, _VALUE),
        ]
    fused = next((name for name in layouts if f"{name}.weight" in shapes), None)
    if fused is None:
        return None
    facets: list[_Facet] = []
    for leaf, positions, inner in layouts[fused]:
        facets.append((f"{leaf}.weight", axis, positions, inner))
        if f"{leaf}.bias" in shapes:
            facets.append((f"{leaf}.bias", 0, positions, inner))
    return heads, axis, facets


def _fits(facets: list[_Facet], shapes: Mapping[str, Shape]) -> bool:
    """Says whether the facets of each tensor cover its axis exactly."""
    covered: dict[str, int] = {}
    for name, axis, positions, _ in facets:
        if name not in shapes or axis >= len(shapes[name]):
            return False
        covered[name] = covered.get(name, 0) + positions.numel()
    axes = {name: axis for name, axis, *_ in facets}
    return all(shapes[name][axes[name]] == count for name, count in covered.items())
