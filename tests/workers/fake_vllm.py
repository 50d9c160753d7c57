"""vLLM as its documentation describes it, as far as it is used: an engine that computes on the CPU.

It is strict where vLLM is: weights come between start and finish, and a prefix once computed is not
computed again before the cache is reset, whatever the weights have become.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from workers.runtime.vllm_library import VllmLibrary


@dataclass
class Calls:
    """What was called, in order, and what was sent."""

    names: list[str] = field(default_factory=list)
    sent: list[dict[str, list[int]]] = field(default_factory=list)  # shapes by name, per update
    fails_at: str = ""

    def add(self, name: str) -> None:
        self.names.append(name)
        if name == self.fails_at:
            raise RuntimeError(f"{name} went wrong")


@dataclass
class SamplingParams:
    temperature: float = 1.0
    max_tokens: int = 16
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    skip_special_tokens: bool = True
    logprobs: int | None = None


@dataclass
class WeightTransferConfig:
    backend: str = "nccl"


@dataclass
class IPCTrainerInitInfo:
    backend: ClassVar[str] = "ipc"
    rank: int
    packed: bool = False


@dataclass(frozen=True)
class ParamMeta:
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]


class WeightSource(ABC):
    def __init_subclass__(cls) -> None:
        if not isinstance(cls.__dict__.get("metadata"), cached_property):
            raise TypeError("metadata must be a functools.cached_property")

    @property
    @abstractmethod
    def metadata(self) -> list[ParamMeta]: ...

    @abstractmethod
    def iter_full(self) -> Iterator[tuple[str, torch.Tensor]]: ...


@dataclass
class Sender:
    client: Any
    source: WeightSource

    def send_weights(self) -> None:
        self.client.start_weight_update()
        pairs = list(self.source.iter_full())
        assert [(m.name, m.shape) for m in self.source.metadata] == [(n, tuple(t.shape)) for n, t in pairs]
        self.client.update_weights(
            {
                "names": [name for name, _ in pairs],
                "dtype_names": [str(tensor.dtype).split(".")[-1] for _, tensor in pairs],
                "shapes": [list(tensor.shape) for _, tensor in pairs],
                "ipc_handles": [tensor for _, tensor in pairs],
            }
        )
        self.client.finish_weight_update()


def trainer_init(init_info: IPCTrainerInitInfo, *, client: Any, source: WeightSource) -> Sender:
    assert init_info.rank == 0
    client.init_weight_transfer_engine({"packed": init_info.packed})
    return Sender(client, source)


class LLM:
    def __init__(self, calls: Calls, model: str, *, dtype: str, load_format: str, **options: Any) -> None:
        calls.add("LLM")
        assert load_format == "dummy"
        assert options["weight_transfer_config"] == WeightTransferConfig("ipc")
        assert 0 < options["gpu_memory_utilization"] < 1
        self._calls, self._open = calls, False
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        config = AutoConfig.from_pretrained(model)
        self._model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype)).eval()
        self._cache: dict[tuple[int, ...], tuple[int, float]] = {}

    def init_weight_transfer_engine(self, request: dict[str, Any]) -> None:
        assert request == {"init_info": {"packed": False}}
        self._calls.add("init")

    def start_weight_update(self) -> None:
        self._calls.add("start")
        assert not self._open
        self._open = True

    def update_weights(self, request: dict[str, Any]) -> None:
        self._calls.add("update")
        assert self._open
        info = request["update_info"]
        self._calls.sent.append(dict(zip(info["names"], info["shapes"], strict=True)))
        weights = {n: t.clone() for n, t in zip(info["names"], info["ipc_handles"], strict=True)}
        self._model.load_state_dict(weights)

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        self._calls.add("finish")
        assert self._open
        self._open = False

    def reset_prefix_cache(self) -> bool:
        self._calls.add("reset")
        self._cache.clear()
        return self._calls.fails_at != "emptying"

    def generate(
        self,
        prompts: Sequence[dict[str, list[int]]],
        sampling_params: list[SamplingParams],
        *,
        use_tqdm: bool,
    ) -> list[Any]:
        self._calls.add("generate")
        assert not self._open
        pairs = zip(prompts, sampling_params, strict=True)
        return [SimpleNamespace(outputs=[self._one(p["prompt_token_ids"], s)]) for p, s in pairs]

    def _one(self, prompt: list[int], wanted: SamplingParams) -> Any:
        assert wanted.temperature == 0
        tokens: list[int] = []
        total, reason = 0.0, "length"
        while len(tokens) < wanted.max_tokens:
            token, logprob = self._next((*prompt, *tokens))
            tokens.append(token)
            total += logprob
            text = self._tokenizer.decode(tokens, skip_special_tokens=wanted.skip_special_tokens)
            if token in (wanted.stop_token_ids or ()) or any(stop in text for stop in wanted.stop or ()):
                reason = "stop"
                break
        told = total if wanted.logprobs is not None else None
        return SimpleNamespace(token_ids=tokens, finish_reason=reason, cumulative_logprob=told)

    @torch.no_grad()
    def _next(self, before: tuple[int, ...]) -> tuple[int, float]:
        if before not in self._cache:
            logits = self._model(input_ids=torch.tensor([before])).logits[0, -1].float()
            best = int(logits.argmax())
            logprob = float(logits.log_softmax(-1)[best])
            self._cache[before] = best, math.nan if math.isnan(logprob) else logprob
        return self._cache[before]


def fake_library(calls: Calls) -> VllmLibrary:
    """Returns the parts of vLLM that are used, which tell `calls` of what happens to them."""

    def llm(**options: Any) -> LLM:
        return LLM(calls, **options)

    return VllmLibrary(
        llm=llm,
        sampling_params=SamplingParams,
        transfer_config=WeightTransferConfig,
        trainer_init=trainer_init,
        init_info=IPCTrainerInitInfo,
        weight_source=WeightSource,
        param_meta=ParamMeta,
        version="0.33.0",
    )
