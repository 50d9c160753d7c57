"""Carries out a calibration order: a model, its texts, and the records that come of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from workers.calibration.fisher import diagonal_fisher
from workers.calibration.gram import gram_matrices
from workers.calibration.open_network import (
    OpenNetwork,
    open_network,
    working_dtype,
)
from workers.calibration.records import RecordFacts, write_record
from workers.calibration.routing import routing_statistics
from workers.calibration.texts import draw_tokens
from workers.checkpoints.record_files import fingerprint, folder_for_records, record_name
from workers.compatibility.loaded_parents import load_parent
from workers.errors import PreparationError
from workers.merging.arithmetic.precision import is_finite
from workers.merging.device import device_named
from workers.protocol.calibration_orders import Calibrated, CalibrationOrder, ProgressOf, Recorded, RecordKind

Tell = Callable[[int], None]
Found = tuple[dict[str, Tensor], dict[str, str]]
"""Tensors under their names in the checkpoint, and names that share another's."""


def calibrate(order: CalibrationOrder, progress: ProgressOf | None = None) -> Calibrated:
    """Makes and writes the records that an order asks for; each appears complete or not at all.

    `progress` is called for every text.

    Raises:
        WorkerError: The model or the texts cannot be used, or a record cannot be written.
    """
    if not order.kinds:
        raise PreparationError(
            "record", "no kind of record is asked for", f"choose from {', '.join(_PASSES)}"
        )
    device = device_named(order.device)
    layout = load_parent(order.parent)
    network = open_network(layout, device, working_dtype(layout, device))
    texts = draw_tokens(order.texts, network.tokenizer, network.longest)
    _check_vocabulary(network, texts)
    folder = folder_for_records(layout) if order.folder is None else Path(order.folder)
    made = fingerprint(layout)
    records = []
    for kind in order.kinds:
        tensors, aliases = _PASSES[kind](network, texts, order, partial(_tell, progress, kind, len(texts)))
        _check_numbers(kind, tensors)
        tokens = sum(len(text) for text in texts)
        facts = RecordFacts(kind, made, len(texts), tokens, order.texts.seed, aliases)
        path = folder / record_name(kind)
        size = write_record(path, tensors, facts)
        records.append(Recorded(kind, str(path), len(texts), tokens, len(tensors) + len(aliases), size))
    return Calibrated(tuple(records))


def _tell(progress: ProgressOf | None, kind: str, total: int, done: int) -> None:
    if progress is not None:
        progress(kind, done, total)


def _fisher(network: OpenNetwork, texts: list[Tensor], order: CalibrationOrder, tell: Tell) -> Found:
    return network.in_checkpoint(diagonal_fisher(network, texts, seed=order.texts.seed, tell=tell)), {}


def _gram(network: OpenNetwork, texts: list[Tensor], order: CalibrationOrder, tell: Tell) -> Found:  # noqa: ARG001
    found = gram_matrices(network, texts, tell=tell)
    parameters = network.parameters()
    names = {
        name: next(iter(network.in_checkpoint({name: parameters[name]})))
        for name in (*found.matrices, *found.aliases)
    }
    matrices = {names[name]: matrix for name, matrix in found.matrices.items()}
    return matrices, {names[name]: names[owner] for name, owner in found.aliases.items()}


def _routing(network: OpenNetwork, texts: list[Tensor], order: CalibrationOrder, tell: Tell) -> Found:  # noqa: ARG001
    return routing_statistics(network, texts, tell=tell), {}


_PASSES: dict[RecordKind, Callable[[OpenNetwork, list[Tensor], CalibrationOrder, Tell], Found]] = {
    "fisher": _fisher,
    "gram": _gram,
    "routing": _routing,
}


def _check_numbers(kind: RecordKind, tensors: dict[str, Tensor]) -> None:
    """Refuses to write what is no number: a merge would only find out later.

    Raises:
        PreparationError: The model's outputs or gradients on these texts hold NaN or infinity.
    """
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            detail = f"what the texts give for {kind} holds NaN or infinity"
            raise PreparationError(name, detail, "check the model's weights, or use shorter texts")


def _check_vocabulary(network: OpenNetwork, texts: list[Tensor]) -> None:
    """Refuses tokens that the model has no embedding for.

    Raises:
        PreparationError: The tokenizer gives such tokens.
    """
    size = network.model.get_input_embeddings().weight.shape[0]
    largest = int(torch.stack([text.max() for text in texts]).max())
    if largest >= size:
        raise PreparationError(
            str(network.layout.parent),
            f"its tokenizer gives token {largest}, and there are {size} embeddings",
            "use the tokenizer that the model was trained with",
        )
