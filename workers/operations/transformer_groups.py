"""Which units of a transformer may be reordered without changing what it computes.

Three kinds of blocks are found by the names and shapes of tensors, without a list of architectures:

* MLP: its hidden units (rows of the projections into it, columns of the one out of it).
* Attention: groups of query heads with their key-value head; inside a group its query heads; inside a
  key-value head the value dimensions (value rows, output columns).  Query and key dimensions stay:
  rotary embeddings tie each to a frequency.
* Experts of a mixture: whole experts with their router rows; inside each its hidden units.

The residual stream is left as it is: its one permutation runs through embeddings, norms and every
layer.  Modules with a tensor whose part is not understood are left alone, so that the reordered model
computes what it did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from workers.checkpoints.layout import Layout, text_config
from workers.operations.attention_groups import OUTPUTS, Shape, attention_block
from workers.operations.blocks import Block, Facet

INTO = ("gate_proj", "up_proj", "gate_up_proj", "c_fc", "fc1", "fc_in", "dense_h_to_4h", "w1", "w3")
OUT_OF = ("down_proj", "c_proj", "fc2", "fc_out", "dense_4h_to_h", "w2")
ROUTERS = ("gate", "router")
_EXPERT = re.compile(r"(?P<mixture>.+)\.experts\.(?P<number>\d+)")
_QUERIES = ("q_proj", "qkv_proj", "c_attn", "query_key_value")


def transformer_blocks(layout: Layout) -> list[Block]:
    """Returns the blocks of a checkpoint whose units can be reordered, in the order of their names."""
    config = text_config(layout)
    shapes = {
        name: entry.shape for name, entry in layout.tensors.items() if layout.layer_of(name) is not None
    }
    modules = _modules(shapes)
    blocks = []
    mixtures: dict[str, dict[int, Block]] = {}
    for path, own in modules.items():
        if any(f"{leaf}.weight" in own for leaf in _QUERIES):
            if any(f"{leaf}.weight" in own for leaf in OUTPUTS):
                blocks.append(attention_block(path, own, config))
            continue
        block = mlp_block(path, own)
        expert = _EXPERT.fullmatch(path)
        if expert is None:
            blocks.append(block)
        elif block is not None:
            mixtures.setdefault(expert["mixture"], {})[int(expert["number"])] = block
    for mixture, experts in mixtures.items():
        blocks += _mixture_blocks(mixture, experts, modules.get(mixture, {}), config)
    return sorted((block for block in blocks if block is not None), key=lambda block: block.name)


def mlp_block(path: str, shapes: Mapping[str, Shape]) -> Block | None:
    """Returns the block of an MLP, one unit that holds all hidden units, or None where there is no MLP.

    Args:
        path: The module's name.
        shapes: Of its tensors, by the part of their names after the path.
    """
    into = [leaf for leaf in INTO if f"{leaf}.weight" in shapes]
    out_of = [leaf for leaf in OUT_OF if f"{leaf}.weight" in shapes]
    if not into or len(out_of) != 1 or len(shapes[f"{out_of[0]}.weight"]) != 2:
        return None
    out_shape = shapes[f"{out_of[0]}.weight"]
    # GPT-2 stores its linear layers transposed, as [in, out]; a square one is only known by its name.
    transposed = _is_transposed(into[0], shapes, out_shape)
    axis = 1 if transposed else 0
    hidden, width = out_shape[1 - axis], out_shape[axis]
    every = torch.arange(hidden)[None]
    output = f"{path}.{out_of[0]}.weight"
    facets = [Facet((output,), 1 - axis, hidden, every, ("hidden",), reads=True)]
    for leaf in into:
        halves = 2 if leaf == "gate_up_proj" else 1
        expected = (width, halves * hidden) if transposed else (halves * hidden, width)
        if shapes[f"{leaf}.weight"] != expected:
            return None
        for half in range(halves):
            for part, along in (("weight", axis), ("bias", 0)):
                if f"{leaf}.{part}" in shapes:
                    name = (f"{path}.{leaf}.{part}",)
                    facets.append(Facet(name, along, halves * hidden, half * hidden + every, ("hidden",)))
    known = {f"{leaf}.{part}" for leaf in (*into, *out_of) for part in ("weight", "bias")}
    strange = [shape for name, shape in shapes.items() if name not in known]
    if any(hidden in shape or shape != (width,) for shape in strange):
        return None
    return Block(name=path, units=1, facets=tuple(facets))


def _is_transposed(leaf: str, shapes: Mapping[str, Shape], out_shape: Shape) -> bool:
    bias = shapes.get(f"{leaf}.bias")
    into = shapes[f"{leaf}.weight"]
    return (
        leaf == "c_fc" and bias is not None and len(into) == 2 and into[1:] == bias and out_shape[:1] == bias
    )


def _mixture_blocks(
    mixture: str, experts: Mapping[int, Block], shapes: Mapping[str, Shape], config: Mapping[str, Any]
) -> list[Block]:
    """Returns one block of all experts, or one per expert where experts cannot change places."""
    numbers = range(len(experts))
    routers = [
        f"{leaf}.weight" for leaf in ROUTERS if shapes.get(f"{leaf}.weight", ())[:1] == (len(experts),)
    ]
    alike = len({_form(block) for block in experts.values()}) == 1
    movable = set(experts) == set(numbers) and len(experts) > 1 and len(routers) == 1 and alike
    # A router that chooses among groups of experts by number ties experts to their group.
    if not movable or (config.get("n_group") or 1) > 1:
        return [experts[number] for number in sorted(experts)]
    leaf = routers[0].rsplit(".", 1)[0]
    facets = [
        Facet((f"{mixture}.{name}",), 0, len(experts), torch.arange(len(experts)), ())
        for name, shape in shapes.items()
        if name.rsplit(".", 1)[0] == leaf and shape[:1] == (len(experts),)
    ]
    for index, facet in enumerate(experts[0].facets):
        names = tuple(experts[number].facets[index].tensors[0] for number in numbers)
        positions = facet.positions.expand(len(experts), -1)
        facets.append(replace(facet, tensors=names, positions=positions))
    return [Block(f"{mixture}.experts", len(experts), tuple(facets), many_large_units=True)]


def _form(block: Block) -> tuple[object, ...]:
    return tuple((f.tensors[0].rsplit(".", 2)[1:][0], f.axis, f.length) for f in block.facets)


def _modules(shapes: Mapping[str, Shape]) -> dict[str, dict[str, Shape]]:
    """Returns the tensors of each module: `path.leaf.weight` belongs to path as `leaf.weight`.

    A parameter of the module itself (`path.sinks`) cannot be told from a leaf's by its name alone; it
    is counted where the module is known from other tensors.
    """
    found: dict[str, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        path, _, leaf = name.rpartition(".")
        found.setdefault(path.rpartition(".")[0], {})[f"{path.rpartition('.')[2]}.{leaf}"] = shape
    for name, shape in shapes.items():
        path, _, leaf = name.rpartition(".")
        if path in found:
            found[path][leaf] = shape
    return found
