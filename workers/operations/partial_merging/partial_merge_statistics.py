"""Records what PLeaS' second step needs: what merged units say, and what the parents' MLPs answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from workers.errors import CheckpointError, MergeError

LARGEST_TEXTS = 256 * 2**20  # bytes


@torch.no_grad()
def record_statistics(
    merged: Path, parents: Sequence[Path], outputs: Sequence[str], batches: Iterable[Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns `gram` and `cross` of each output projection, float64, summed over all tokens.

    The hidden units are the merged model's, on its own way through the layers; the output wanted is
    the average of what the parents' MLPs answer on theirs, without the bias, which is not fitted.

    Args:
        merged: The checkpoint that step 1 wrote.
        parents: The checkpoints that it was made of.
        outputs: The output projections' weights, by tensor name.
        batches: Token ids, int64 [texts, tokens].

    Raises:
        MergeError: There are no tokens.
    """
    models = [_load(folder) for folder in (merged, *parents)]
    seen: list[dict[str, Tensor]] = [{} for _ in models]
    for model, found in zip(models, seen, strict=True):
        for name in outputs:
            module = model.get_submodule(name.removesuffix(".weight"))
            module.register_forward_hook(_keeper(found, name, takes_input=model is models[0]))
    total: dict[str, tuple[Tensor, Tensor]] = {}
    for batch in batches:
        for model in models:
            model(batch)
        for name in outputs:
            hidden = seen[0][name]
            wanted = sum((found[name] for found in seen[1:]), torch.zeros(())) / len(parents)
            gram, cross = total.get(name, (0.0, 0.0))
            total[name] = (gram + hidden.T @ hidden, cross + hidden.T @ wanted)
    if not total:
        raise MergeError("texts", "hold no tokens", "give texts that the model can read")
    return total


def token_batches(texts: Path, tokenizer_folder: Path, *, length: int, most: int) -> list[Tensor]:
    """Returns the token ids of a file's first lines, one text per line, int64 [1, tokens] each.

    Raises:
        CheckpointError: The file is missing, too large or no text, or the tokenizer cannot be loaded.
    """
    if not texts.is_file() or texts.stat().st_size > LARGEST_TEXTS:
        raise CheckpointError(str(texts), "is no file of a sensible size", "give one text per line")
    try:
        lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line.strip()]
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(str(texts), f"cannot be read ({error})", "give UTF-8 text") from error
    found = [tokenizer(line, truncation=True, max_length=length).input_ids for line in lines[:most]]
    return [torch.tensor([ids], dtype=torch.int64) for ids in found if ids]


def _load(folder: Path) -> nn.Module:
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    loaded: nn.Module = model.eval()
    return loaded


def _keeper(found: dict[str, Tensor], name: str, *, takes_input: bool) -> Callable[..., None]:
    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kept = inputs[0] if takes_input else output
        bias = None if takes_input else getattr(module, "bias", None)
        kept = kept.reshape(-1, kept.shape[-1]).double()
        found[name] = kept if bias is None else kept - bias.double()

    return keep
