"""VllmEngine: greedy answers from a vLLM engine that is given every candidate's weights in place.

The engine lives in a process of its own on the same GPU.  Before the first prompt of each candidate it
reads the live network's memory (vLLM's weight transfer, CUDA IPC backend), and its prefix cache, which
holds the last candidate's keys and values, is emptied.  Log-likelihoods stay with the network: vLLM's
`prompt_logprobs` reads no cached prefixes, so that it is slower, not faster.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.core_model_loading import revert_weight_conversion

from evaluators.errors import BadScoreError
from evaluators.inference.prompts import Generated, Prompt
from evaluators.inference.stop_texts import StopTexts
from workers.errors import EngineError
from workers.runtime.vllm_library import VllmLibrary

_SHARE = 0.5  # of the GPU memory that is free when the engine starts; our own passes take the rest
_UNSHAPED = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache")


class VllmEngine:
    """One vLLM engine for the networks of one shape.  Started when the first prompts come."""

    def __init__(self, library: VllmLibrary) -> None:
        self._library = library
        self._llm: Any = None
        self._sender: Any = None
        self._folder: TemporaryDirectory[str] | None = None
        self._shape: dict[str, Any] = {}
        self._network: PreTrainedModel | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._vocabulary: dict[str, int] = {}
        self._scaled = self._stale = False

    def renew(
        self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, scales: Sequence[float] = ()
    ) -> None:
        """Says that a network has new weights; they are sent when the next prompts come.

        Args:
            network: Whose weights were overwritten.
            tokenizer: Its tokenizer.
            scales: What multiplies the inputs of its layers.
        """
        self._network, self._tokenizer = network, tokenizer
        self._scaled, self._stale = any(scale != 1.0 for scale in scales), True

    def mark(self, fingerprint: str) -> str:
        """Returns the fingerprint of items that this engine answers."""
        return f"{fingerprint} vllm={self._library.version}"

    def continued(self, network: PreTrainedModel, prompts: Mapping[int, Prompt]) -> dict[int, Generated]:
        """Returns each prompt's greedy continuation by its number.

        Raises:
            BadScoreError: Logits are NaN.
            EngineError: The engine cannot take this network's weights, or failed.
        """
        if network is not self._network or self._tokenizer is None:
            raise EngineError("vllm", "was asked for a network that it was not told of", "report it")
        if not prompts:
            return {}
        if self._stale:
            self._send(network, self._tokenizer)
        ends = _ends(network)
        settings = [self._sampling(prompt, ends) for prompt in prompts.values()]
        asked = [{"prompt_token_ids": list(prompt.tokens)} for prompt in prompts.values()]
        try:
            outputs = self._llm.generate(asked, settings, use_tqdm=False)
        except (RuntimeError, ValueError) as error:
            self.close()
            raise _failure("could not answer", error) from error
        pairs = zip(prompts.items(), outputs, strict=True)
        return {
            number: _answer(prompt, one.outputs[0], self._tokenizer, ends) for (number, prompt), one in pairs
        }

    def close(self) -> None:
        """Lets the engine and its memory go; the next prompts start another."""
        self._llm = self._sender = None
        self._stale, self._shape = True, {}
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _send(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Has the engine read the network's weights, and forget what it computed with others."""
        self._check(network, tokenizer)
        try:
            with torch.inference_mode(mode=False), torch.no_grad():
                if self._llm is None:
                    self._start(network, tokenizer)
                self._sender.send_weights()
            emptied = self._llm.reset_prefix_cache()
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            self.close()  # weights that arrived in part must answer nothing
            raise _failure("did not take the weights", error) from error
        if not emptied:
            self.close()
            raise EngineError("vllm", "did not empty its prefix cache", "leave out backend: vllm")
        self._stale = False

    def _check(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Refuses a network that the engine cannot compute."""
        if self._scaled:
            raise EngineError(
                "input_scale",
                "vLLM cannot multiply the inputs of layers",
                "stack layers without scales (scales: false), or leave out backend: vllm",
            )
        if self._llm is None:
            return
        shape = _shape(network)
        names = sorted(n for n in {*shape, *self._shape} if shape.get(n) != self._shape.get(n))
        if names:
            name = next((name for name in names if "layers" in name or name == "n_layer"), names[0])
            raise EngineError(
                name,
                f"the engine was started with {self._shape.get(name)}, this model has {shape.get(name)}",
                "search recipes of one shape (no stacking), or leave out backend: vllm",
            )
        if tokenizer.get_vocab() != self._vocabulary:
            raise EngineError(
                "tokenizer", "is not the one that the engine was started with", "leave out backend: vllm"
            )

    def _start(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Starts the engine with the network's configuration and no weights worth the name."""
        # The handles go from this process to its own child and nowhere else; without this vLLM
        # refuses to pass them.
        os.environ["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"
        self._folder = TemporaryDirectory(prefix="evomerge-vllm-")
        _write_shape(Path(self._folder.name), network, tokenizer)
        self._llm = self._library.llm(
            model=self._folder.name,
            load_format="dummy",
            dtype=str(network.dtype).removeprefix("torch."),
            generation_config="vllm",
            max_model_len=-1,  # as much as the model reads and the memory holds
            gpu_memory_utilization=_share_of_gpu(),
            enable_prefix_caching=True,
            trust_remote_code=False,
            seed=0,
            weight_transfer_config=self._library.transfer_config(backend="ipc"),
        )
        self._sender = self._library.trainer_init(
            self._library.init_info(rank=0, packed=False),
            client=_Client(self._llm),
            source=self._source(),
        )
        self._shape, self._vocabulary = _shape(network), dict(tokenizer.get_vocab())

    def _source(self) -> Any:  # noqa: ANN401 - vLLM's
        """Returns what vLLM asks for the weights, whichever network has them when it asks."""
        library, current = self._library, self._weights

        class LiveWeights(library.weight_source):  # type: ignore[name-defined, misc]
            @cached_property
            def metadata(self) -> list[Any]:
                return [library.param_meta(n, t.dtype, tuple(t.shape)) for n, t in current()]

            def iter_full(self) -> Iterator[tuple[str, Tensor]]:
                yield from current()

        return LiveWeights()

    def _weights(self) -> list[tuple[str, Tensor]]:
        if self._network is None:
            raise RuntimeError("no network has weights yet")
        return checkpoint_weights(self._network)

    def _sampling(self, prompt: Prompt, ends: frozenset[int]) -> Any:  # noqa: ANN401 - vLLM's
        return self._library.sampling_params(
            temperature=0.0,
            max_tokens=prompt.settings.new_tokens,
            stop=list(prompt.settings.stops),
            stop_token_ids=sorted(ends),
            skip_special_tokens=False,  # a stop text may be a special token
            logprobs=0,  # of the chosen token alone: it is NaN where logits are
        )


class _Client:
    """vLLM's four calls of weight transfer, passed on to an engine of this process's."""

    def __init__(self, llm: Any) -> None:  # noqa: ANN401 - vLLM's
        self._llm = llm

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self._llm.init_weight_transfer_engine({"init_info": init_info})

    def start_weight_update(self) -> None:
        self._llm.start_weight_update()

    def update_weights(self, update_info: Any) -> None:  # noqa: ANN401 - vLLM's
        self._llm.update_weights({"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        self._llm.finish_weight_update(weight_version)


def checkpoint_weights(network: PreTrainedModel) -> list[tuple[str, Tensor]]:
    """Returns a network's tensors, by the names and in the form that its checkpoints have; tied ones once."""
    own = network.state_dict(keep_vars=True)
    tied = getattr(network, "all_tied_weights_keys", None) or {}
    kept = {name: tensor.detach() for name, tensor in own.items() if tied.get(name) not in own}
    return list(revert_weight_conversion(network, kept).items())


def _write_shape(folder: Path, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    network.config.save_pretrained(folder)
    file = folder / "config.json"
    config = json.loads(file.read_text()) | {"architectures": [type(network).__name__]}
    file.write_text(json.dumps(config))
    tokenizer.save_pretrained(folder)


def _shape(network: PreTrainedModel) -> dict[str, Any]:
    """Returns what the engine is built for."""
    config = {name: value for name, value in network.config.to_dict().items() if name not in _UNSHAPED}
    return config | {"class": type(network).__name__, "format": str(network.dtype)}


def _share_of_gpu() -> float:
    if not torch.cuda.is_available():  # only an engine in a test starts then
        return _SHARE
    free, total = torch.cuda.mem_get_info()
    return _SHARE * free / total


def _ends(network: PreTrainedModel) -> frozenset[int]:
    end = network.generation_config.eos_token_id
    return frozenset([end] if isinstance(end, int) else end or ())


def _answer(
    prompt: Prompt,
    output: Any,  # noqa: ANN401 - vLLM's
    tokenizer: PreTrainedTokenizerBase,
    ends: frozenset[int],
) -> Generated:
    """Ends an answer where this project's own decoder would have ended it."""
    if output.cumulative_logprob is None or not math.isfinite(output.cumulative_logprob):
        raise BadScoreError(
            "generation", "logits are NaN", "the merged weights are probably broken: look at the recipe"
        )
    if output.finish_reason not in ("stop", "length"):
        raise EngineError("vllm", f"broke an answer off: {output.finish_reason}", "look at the worker's log")
    tokens = list(output.token_ids)
    stops = StopTexts(tokenizer, prompt.settings)
    for length in range(1, len(tokens) + 1):
        if tokens[length - 1] in ends or stops.complete(tokens[:length]):
            return stops.generated(tokens[:length], truncated=False)
    return stops.generated(tokens, truncated=output.finish_reason == "length")


def _failure(what: str, error: Exception) -> EngineError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:500]
    return EngineError(
        "vllm", f"{what} ({first})", "look at the worker's log; give the GPU fewer workers, or leave it out"
    )
