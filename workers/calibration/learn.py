"""Learns a recipe's coefficients by gradient: AdaMerging, aTLAS, Self Positioning.

Yang et al., "AdaMerging", arXiv 2310.02575, section 3.2: minimise the entropy of the merged model's
predictions on texts without labels, here of the next token at every position,

    min_c  1/T sum_t H(p_c(. | x_1 ... x_t)),      W(c) = W_0 + sum_i c_ig d_i

or, with the texts as labels, the cross-entropy.  Only the c are learned: the network is called with
merged weights through which the gradient flows.  Base and task vectors are all in memory, in the
precision of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from search_spaces import Parent
from workers.calibration.learned_forms import Filter, LearnedForm, LearnedPositions, LearnedWeights
from workers.calibration.open_network import (
    OpenNetwork,
    open_network,
    working_dtype,
)
from workers.calibration.texts import batches_of_one_length, draw_tokens
from workers.checkpoints.layout import Layout
from workers.compatibility.loaded_parents import load_parent
from workers.errors import MergeError, MismatchError, PreparationError
from workers.merging.device import device_named
from workers.protocol.calibration_orders import Learned, LearningOrder, ProgressOf

_INITIAL_WEIGHT = 0.3
_INITIAL_POSITION = 1.0
_BATCH = 8  # equally long texts per forward pass
Names = dict[str, tuple[str, ...]]
"""A parameter of the network -> its tensors in the checkpoint, of which experts have several."""


@dataclass(frozen=True, slots=True)
class _Ingredients:
    """The base's network, its parameters, and the task vectors by parent and by parameter."""

    network: OpenNetwork
    base: dict[str, Tensor]
    task_vectors: list[dict[str, Tensor]]
    layouts: dict[Parent, Layout]


def learn(order: LearningOrder, progress: ProgressOf | None = None) -> Learned:
    """Returns the recipe with the coefficients that gradient steps led to.

    `progress` is called for every parent that is read and of every step.

    Raises:
        WorkerError: A model or the texts cannot be used, or the objective is no number.
    """
    _check(order)
    device = device_named(order.device)
    mixed = _open(order, device, progress)
    texts = draw_tokens(order.texts, mixed.network.tokenizer, mixed.network.longest)
    names = {n: tuple(mixed.network.in_checkpoint({n: p})) for n, p in mixed.base.items()}
    form, groups = _form(order, mixed, names)
    merged = _MergedNetwork(mixed, groups, form, order.objective)
    before = merged.value(texts)
    optimizer = torch.optim.Adam(form.numbers, lr=order.rate)
    for step, batch in enumerate(_batches(texts, order), start=1):
        optimizer.zero_grad()
        merged.gradient(batch)
        form.add_penalty()
        optimizer.step()
        form.clamp()
        if progress is not None:
            progress("learning", step, order.steps)
    return Learned(form.recipe(), before, merged.value(texts))


class _MergedNetwork:
    """The network with the weights that a form means, and the objective on texts."""

    def __init__(
        self, mixed: _Ingredients, groups: dict[str, int], form: LearnedForm, objective: str
    ) -> None:
        self._mixed, self._groups, self._form, self._objective = mixed, groups, form, objective

    def gradient(self, texts: Sequence[Tensor]) -> None:
        """Adds the objective's gradient to that of the form's numbers; texts of one length at a time."""
        positions = sum(len(text) - 1 for text in texts)
        for batch in batches_of_one_length(texts, _BATCH):
            with torch.enable_grad():
                (self._sum(batch) / positions).backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def value(self, texts: Sequence[Tensor]) -> float:
        """Returns the objective's mean over all predicted positions.

        Raises:
            MergeError: It is NaN or infinite.
        """
        total = sum(float(self._sum(batch)) for batch in batches_of_one_length(texts, _BATCH))
        found = total / sum(len(text) - 1 for text in texts)
        if not np.isfinite(found):
            raise MergeError(
                self._objective, f"is {found} on these texts", "use other parents or a lower rate"
            )
        return found

    def _sum(self, batch: Tensor) -> Tensor:
        mixed, coefficients = self._mixed, self._form.coefficients()
        weights = {name: self._merge(name, base, coefficients) for name, base in mixed.base.items()}
        ids = batch.to(mixed.network.device)
        logits = functional_call(mixed.network.model, weights, (ids,), {"use_cache": False}).logits
        likelihood = torch.log_softmax(logits[:, :-1].float(), dim=-1)
        if self._objective == "entropy":
            return -(likelihood.exp() * likelihood).sum()
        return -likelihood.gather(2, ids[:, 1:, None]).sum()

    def _merge(self, name: str, base: Tensor, coefficients: Tensor) -> Tensor:
        own = coefficients[:, self._groups[name]].to(device=base.device, dtype=base.dtype)
        total = base
        for number, vectors in enumerate(self._mixed.task_vectors):
            total = total + own[number] * vectors[name]
        return total


def _open(order: LearningOrder, device: torch.device, progress: ProgressOf | None) -> _Ingredients:
    """Opens the base's network, and reads the parents' task vectors one after the other.

    Raises:
        MismatchError: A parent's network has other parameters than the base's.
    """
    layouts = {parent: load_parent(parent) for parent in (order.base, *order.parents)}
    dtype = working_dtype(layouts[order.base], device)
    network = open_network(layouts[order.base], device, dtype)
    base = {name: parameter.detach() for name, parameter in network.parameters().items()}
    vectors = []
    for number, parent in enumerate(order.parents):
        own = open_network(layouts[parent], device, dtype).parameters()
        if {n: p.shape for n, p in own.items()} != {n: p.shape for n, p in base.items()}:
            detail = f"has other parameters than {order.base}"
            raise MismatchError(
                str(parent), detail, "learn on models of one architecture, size and vocabulary"
            )
        vectors.append({name: own[name].detach() - tensor for name, tensor in base.items()})
        if progress is not None:
            progress("reading", number + 1, len(order.parents))
    return _Ingredients(network, base, vectors, layouts)


def _form(order: LearningOrder, mixed: _Ingredients, names: Names) -> tuple[LearnedForm, dict[str, int]]:
    """Returns what is learned, and the group of coefficients of each parameter."""
    if order.method == "self_positioning":
        initial = _INITIAL_POSITION if order.initial is None else order.initial
        gram = _inner_products(mixed.task_vectors)
        form = LearnedPositions(order.base, order.parents, gram, initial=initial, penalty=order.penalty)
        return form, dict.fromkeys(mixed.base, 0)
    groups, filters = _groups(order, mixed, names)
    initial = _INITIAL_WEIGHT if order.initial is None else order.initial
    bounds = (order.low, order.high)
    return LearnedWeights(order.base, filters, initial=initial, bounds=bounds), groups


def _groups(
    order: LearningOrder, mixed: _Ingredients, names: Names
) -> tuple[dict[str, int], dict[Parent, list[Filter]]]:
    """Returns each parameter's group, and for each parent the filters that find the groups' tensors."""
    layout = mixed.network.layout
    if order.scope == "task":
        return dict.fromkeys(names, 0), {parent: [Filter(None, 0)] for parent in order.parents}
    if order.scope == "layer":
        outside = layout.layers
        layers = {name: layout.layer_of(found[0]) for name, found in names.items()}
        groups = {name: outside if layer is None else layer for name, layer in layers.items()}
        prefixes = {parent: mixed.layouts[parent].layer_prefix for parent in order.parents}
        filters = {
            parent: [*(Filter(f"{prefix}{n}.", n) for n in range(outside)), Filter(None, outside)]
            for parent, prefix in prefixes.items()
        }
        return groups, filters
    groups = {name: number for number, name in enumerate(names)}
    owners = [(tensor, groups[name]) for name, found in names.items() for tensor in found]
    # A name may be part of a longer one, so that the longest come first.
    owners.sort(key=lambda owner: (-len(owner[0]), owner[0]))
    return groups, {
        parent: [Filter(_renamed(tensor, layout, mixed.layouts[parent]), group) for tensor, group in owners]
        for parent in order.parents
    }


def _renamed(tensor: str, layout: Layout, other: Layout) -> str:
    """Returns the name that a tensor has in a checkpoint whose layers begin otherwise."""
    if layout.layer_of(tensor) is None:
        return tensor
    return other.layer_prefix + tensor.removeprefix(layout.layer_prefix)


def _inner_products(vectors: Sequence[dict[str, Tensor]]) -> Tensor:
    """Returns <d_i, d_j> over all parameters [parents, parents], in float64 on the CPU."""
    count = len(vectors)
    total = torch.zeros((count, count), dtype=torch.float64)
    for name in vectors[0]:
        flat = torch.stack([own[name].reshape(-1).double() for own in vectors])
        total += (flat @ flat.T).cpu()
    return total


def _batches(texts: Sequence[Tensor], order: LearningOrder) -> Iterator[list[Tensor]]:
    """Yields as many batches as there are steps, pass after pass through the texts in a drawn order."""
    rng = np.random.default_rng(order.texts.seed)
    waiting: list[int] = []
    for _ in range(order.steps):
        while len(waiting) < min(order.batch, len(texts)):
            waiting += rng.permutation(len(texts)).tolist()
        yield [texts[number] for number in waiting[: order.batch]]
        waiting = waiting[order.batch :]


def _check(order: LearningOrder) -> None:
    """Refuses numbers that no learning can start from.

    Raises:
        PreparationError: One is out of its range.
    """
    if not order.parents:
        raise PreparationError("parents", "there is none", "name at least one besides the base")
    if len({order.base, *order.parents}) <= len(order.parents):
        raise PreparationError("parents", "one stands there twice, or is the base", "name each model once")
    positive = {"steps": order.steps, "rate": order.rate, "batch": order.batch}
    for name, value in positive.items():
        if not value > 0:
            raise PreparationError(name, f"is {value}", "use a number above 0")
    if not order.low < order.high:
        raise PreparationError("low", f"is {order.low}, and high is {order.high}", "let low be the smaller")
