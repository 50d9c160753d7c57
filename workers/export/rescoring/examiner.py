"""Examiner: a checkpoint on disk and an evaluator, in the process that scores it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from evaluators import ItemIndices, Score
from evaluators.inference.images.sight import see_with
from evaluators.registry import EVALUATORS
from workers.checkpoints.tensor_table import read_json
from workers.checkpoints.verification.load_checkpoint import SHARE, free_memory, load
from workers.protocol.stored_answers import StoredAnswers
from workers.tokenizers.sight import sight_for

ROOM_ON_GPU = 1.5  # times the weights' bytes: activations need some too
Json = dict[str, Any]


class Examiner:
    """Asks a checkpoint what its candidate was asked.  The tasks are built by the constructor."""

    def __init__(self, asked: StoredAnswers) -> None:
        self._asked = asked
        self._evaluator = self._built()

    def answer(self, folder: Path) -> Json:
        """Returns `{"scores": [...], "dtype": ...}`, or `{"skipped": why}` where it cannot be asked."""
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if self._changed(tokenizer):  # the folder does not tell whether its parents follow instructions
            self._evaluator = self._built(instruct=True)
        if changed := self._changed(tokenizer):
            return {"skipped": f"the items of {', '.join(changed)} are no longer those that were asked"}
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        free = free_memory()
        if size > SHARE * free:
            return {
                "skipped": f"weights of {size / 1e9:.2f} GB are more than {SHARE:.0%} of {free / 1e9:.2f} GB "
                "free memory"
            }
        network = self._loaded(folder, size)
        items = self._comparable(tokenizer, exact=network.dtype in (torch.float32, torch.float64))
        if not any(items):
            return {"skipped": "sampled answers of weights of 16 bits differ by their rounding"}
        with torch.inference_mode():
            found: tuple[Score, ...] = self._evaluator.evaluate(network, tokenizer, self._asked.split, items)
        told = [[score.benchmark, list(score.per_item)] for score in found]
        return {"scores": told, "dtype": str(network.dtype).removeprefix("torch.")}

    def _loaded(self, folder: Path, size: int) -> Any:  # noqa: ANN401 - transformers
        """Returns the network as its candidate was asked; `size` is that of its weights in bytes."""
        network = load(folder, whole=True).model
        if self._asked.dtype is not None:
            network = network.to(getattr(torch, self._asked.dtype))
        network = network.to(_device(size))
        sight = sight_for(folder, read_json(folder / "config.json"))
        if sight is not None:
            see_with(network, sight)
        return network

    def _built(self, *, instruct: bool = False) -> Any:  # noqa: ANN401 - an evaluator
        asked = self._asked
        return EVALUATORS["lm_eval"](asked.benchmarks, batch_size=asked.batch_size, instruct=instruct)

    def _comparable(self, tokenizer: Any, *, exact: bool) -> ItemIndices:  # noqa: ANN401 - transformers
        """Returns the stored items, without those whose answers are drawn where rounding makes others."""
        item_sets = self._evaluator.item_sets(self._asked.split, tokenizer=tokenizer)
        pairs = zip(self._asked.scores, item_sets, strict=True)
        return tuple(score.item_indices if exact or not each.drawn else () for score, each in pairs)

    def _changed(self, tokenizer: Any) -> list[str]:  # noqa: ANN401 - transformers
        """Returns the benchmarks whose items, or how they are marked, are others than those stored."""
        now = self._evaluator.item_sets(self._asked.split, tokenizer=tokenizer)
        pairs = zip(self._asked.scores, now, strict=True)
        return [score.benchmark for score, items in pairs if score.item_set != items.fingerprint]


def _device(size: int) -> str:
    if not torch.cuda.is_available():
        return "cpu"
    return "cuda" if torch.cuda.mem_get_info()[0] > ROOM_ON_GPU * size else "cpu"
