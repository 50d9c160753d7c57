"""The card of a quantized copy: it says of what it is a copy, and claims none of its scores."""

from __future__ import annotations

from huggingface_hub import ModelCard, ModelCardData

from workers.export.quantized.kinds import QuantizedKind

KEPT = ("license", "license_name", "license_link", "language", "library_name", "pipeline_tag")
"""Metadata of the whole model that hold for a copy."""
OWN_TAGS = ("merge", "mergekit", "evomerge")
_TEXT = """
---
{metadata}
---

# {address}

A quantized copy of [{whole}]({link}): the weights of its linear layers are stored as {words}, by {made_by}.
Loading it takes this library (`pip install {library}`).

**The scores on the card of {whole} are those of the whole model.** This copy was not scored: its answers may
differ. {verified}.

```python
from transformers import {model_class}, {text_class}

model = {model_class}.from_pretrained("{address}", dtype="auto")
text = {text_class}.from_pretrained("{address}")
```
"""


def card_of_copy(whole_card: str, whole: str, name: str, kind: QuantizedKind, verified: str) -> str:
    """Returns the README.md of a copy.

    Args:
        whole_card: The whole model's.
        whole: The whole model's repository or folder.
        name: The kind's.
        kind: How the weights are stored.
        verified: What was found right, in a sentence.
    """
    known = vars(ModelCard(whole_card, ignore_metadata_errors=True).data) if whole_card else {}
    kept = {key: known[key] for key in KEPT if known.get(key) is not None}
    tags = [tag for tag in known.get("tags") or () if tag in OWN_TAGS]
    data = ModelCardData(base_model=whole, base_model_relation="quantized", tags=[*tags, name], **kept)
    sees = known.get("pipeline_tag") == "image-text-to-text"
    text = _TEXT.format(
        metadata=data.to_yaml(),
        whole=whole,
        link=_link(whole),
        address=f"{whole}-{name}",
        words=kind.words,
        made_by=kind.made_by,
        library=kind.library,
        verified=verified[:1].upper() + verified[1:],
        model_class="AutoModelForImageTextToText" if sees else "AutoModelForCausalLM",
        text_class="AutoProcessor" if sees else "AutoTokenizer",
    )
    return text.lstrip("\n")


def _link(whole: str) -> str:
    return f"https://huggingface.co/{whole}" if "/" in whole else f"../{whole}"
