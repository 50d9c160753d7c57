"""What transformers knows of the network that a configuration promises: its tables, heads and parts."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedModel

from workers.checkpoints.architecture.load_patterns import not_loaded
from workers.checkpoints.architecture.meta_model import meta_model, read_configuration
from workers.errors import PreparationError

_COMPUTED = ((r"rotary_emb\.inv_freq", "rotary_emb.inv_freq"), (r"(^|\.)position_ids$", "position_ids"))
_KEPT = 16  # networks without memory that are remembered


def promised_network(config: Mapping[str, Any]) -> PromisedNetwork | None:
    """Returns the network of a config.json; None where transformers has none, or refuses what it says."""
    try:
        return _network(json.dumps(config, sort_keys=True))
    except (PreparationError, StrictDataclassError):
        return None


@lru_cache(maxsize=_KEPT)
def _network(config: str) -> PromisedNetwork:
    content: Mapping[str, Any] = json.loads(config)
    return PromisedNetwork(meta_model(content), config)


@dataclass(frozen=True, slots=True)
class PromisedNetwork:
    """The network of a configuration, without memory, and what transformers knows of its tensors."""

    model: Any
    config: str

    @property
    def embeddings(self) -> str | None:
        """The name of the input embeddings' weight."""
        return self._name_of(self.model.get_input_embeddings)

    @property
    def head(self) -> str | None:
        """The name of the output embeddings' weight, also where it is the input's."""
        return self._name_of(self.model.get_output_embeddings)

    def _name_of(self, getter: Any) -> str | None:  # noqa: ANN401 - a bound method of transformers
        try:
            wanted = getter()
        except (NotImplementedError, AttributeError):
            return None
        if wanted is None or getattr(wanted, "weight", None) is None:
            return None
        names = (name for name, module in self.model.named_modules() if module is wanted)
        return next((f"{name}.weight" for name in names), None)

    @property
    def ignored(self) -> re.Pattern[str] | None:
        """What of a file is not loaded, and not missed."""
        patterns = list(not_loaded(self.model))
        buffers = [name for name, _ in self.model.named_buffers()]
        patterns += [p for p, end in _COMPUTED if any(name.endswith(end) for name in buffers)]
        return re.compile("|".join(f"({pattern})" for pattern in patterns)) if patterns else None

    @property
    def language_prefix(self) -> str:
        """What precedes the language model's names: the innermost module with embeddings and layers."""
        stacks = {
            re.split(r"\d+\.", name)[0] for name in self.model.state_dict() if re.search(r"\.\d+\.", name)
        }
        path = (self.embeddings or "").split(".")[:-2]
        while path and not any(stack.startswith(".".join(path) + ".") for stack in stacks):
            path.pop()
        return ".".join(path) + "." if path else ""

    @property
    def other_models(self) -> tuple[str, ...]:
        """The prefixes of inner models with another configuration than the language model's."""
        text = type(self.model.config.get_text_config())
        return tuple(
            f"{name}."
            for name, module in self.model.named_modules()
            if name
            and not (self.embeddings or "").startswith(f"{name}.")
            and isinstance(module, PreTrainedModel)
            and not isinstance(module.config, text)
        )

    def tables(self) -> tuple[str, ...]:
        """Returns the tensors whose shape follows the size of the vocabulary, input embeddings first.

        Found by building the network once more, for a larger vocabulary: so no name and no number that
        happens to be equal is taken for one.
        """
        return _tables(self.config)


@lru_cache(maxsize=_KEPT)
def _tables(config: str) -> tuple[str, ...]:
    network = _network(config)
    mine, content = network.model.state_dict(), json.loads(config)
    for keys in (("vocab_size", "vocab_size_per_layer_input"), None):
        larger = _with_more_tokens(content, keys).state_dict()
        found = [name for name, t in mine.items() if name in larger and t.shape != larger[name].shape]
        if found:
            return tuple(sorted(found, key=lambda name: (name != network.embeddings, name == network.head)))
    return ()


def _with_more_tokens(config: Mapping[str, Any], keys: Sequence[str] | None) -> Any:  # noqa: ANN401
    """Returns the network of a larger vocabulary; keys None enlarges whatever is called a vocabulary."""
    read = copy.deepcopy(read_configuration(config))
    parts = {id(part): part for part in (read, read.get_text_config())}
    for part in parts.values():
        for key, size in list(vars(part).items()):
            wanted = "vocab_size" in key if keys is None else key in keys
            if wanted and isinstance(size, int):
                setattr(part, key, size + 1024)
    return meta_model(read.to_dict() | {"architectures": config.get("architectures")})
