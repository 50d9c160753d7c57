"""Quantizes a checkpoint in a process of its own.  Run with `python -m`, with three arguments.

The checkpoint's folder, the folder to write weights and configuration into, and the kind.  The last line of
standard output is JSON: `{"largest": ..., "changed": ...}`, the largest logit of a short input and how far
the copy's are from it, or `{"problem": what is wrong}`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

INPUT_TOKENS = 16
ROOM = 1.5  # times the whole weights' bytes


def quantize(source: Path, target: Path, kind: str) -> dict[str, Any]:
    """Writes the quantized weights and their configuration; returns what became of a short input's logits."""
    import torch

    from workers.checkpoints.verification.load_checkpoint import free_memory, load
    from workers.export.quantized.kinds import KINDS

    size = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    if size * ROOM > free_memory():
        free = f"{free_memory() / 1e9:.1f} GB of memory are free"
        return {"problem": f"the weights take {size / 1e9:.1f} GB, their copy up to half as much, and {free}"}
    whole = load(source, whole=True).model
    logits = _logits(whole)
    architecture = type(whole)
    del whole
    network = architecture.from_pretrained(
        source,
        quantization_config=KINDS[kind].configuration(),
        dtype="auto",
        device_map="cuda" if torch.cuda.is_available() else "cpu",
        local_files_only=True,
        use_safetensors=True,
    ).eval()
    changed = _logits(network)
    if not bool(torch.isfinite(changed).all()):
        return {"problem": f"{kind} gives logits that are not finite"}
    network.save_pretrained(target)
    loaded = architecture.from_pretrained(
        target, dtype="auto", device_map=network.device, local_files_only=True
    ).eval()
    again = _logits(loaded)
    if not torch.equal(again, changed):
        return {"problem": f"loaded again, its logits differ by {float((again - changed).abs().max()):.2g}"}
    return {"largest": float(logits.abs().max()), "changed": float((changed - logits).abs().max())}


def _logits(network: Any) -> Any:  # noqa: ANN401 - transformers
    import torch

    vocabulary = network.config.get_text_config().vocab_size
    ids = torch.arange(1, INPUT_TOKENS + 1, device=network.device)[None] % vocabulary
    with torch.inference_mode():
        return network(input_ids=ids).logits.float().cpu()


def main() -> None:
    """Quantizes what the arguments say."""
    source, target, kind = sys.argv[1:]
    try:
        told = quantize(Path(source), Path(target), kind)
    except Exception as error:  # noqa: BLE001 - the border of a process: libraries raise anything
        told = {"problem": f"{type(error).__name__}: {str(error).strip()[:500] or 'no message'}"}
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
