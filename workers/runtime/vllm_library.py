"""What this project uses of vLLM, imported when an experiment wants it and not before.

Every name is documented in vLLM's pages on weight transfer and offline inference.  The trainer's side of
weight transfer changed between releases up to 0.33, so other releases are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from workers.errors import PreparationError

RELEASE = "0.33"


@dataclass(frozen=True, slots=True)
class VllmLibrary:
    """The classes and functions of vLLM that are used.

    Attributes:
        llm: `vllm.LLM`.
        sampling_params: `vllm.SamplingParams`.
        transfer_config: `vllm.config.WeightTransferConfig`.
        trainer_init: `WeightTransferTrainerFactory.trainer_init`.
        init_info: `IPCTrainerInitInfo`.
        weight_source: `WeightSource`, the base class of what gives weights away.
        param_meta: `ParamMeta`.
        version: Its version.
    """

    llm: Any
    sampling_params: Any
    transfer_config: Any
    trainer_init: Any
    init_info: Any
    weight_source: Any
    param_meta: Any
    version: str


def load_vllm(device: str) -> VllmLibrary:
    """Imports vLLM.

    Raises:
        PreparationError: It is not installed, is another release, or there is no GPU that it could share.
    """
    try:
        found = version("vllm")
    except PackageNotFoundError as error:
        raise _refusal(
            "vLLM is not installed", 'install it on the workers: pip install "evomerge[vllm]"'
        ) from (error)
    if not found.startswith(f"{RELEASE}."):
        raise _refusal(f"vLLM is {found}, {RELEASE} is known", f'pip install "vllm=={RELEASE}.*"')
    if not torch.cuda.is_available() or torch.device(device) not in map(torch.device, ("cuda", "cuda:0")):
        raise _refusal(
            f"vLLM shares the first visible CUDA device with the parents, and this worker is on {device}",
            "give the worker a GPU, or leave out backend: vllm",
        )
    return _imported(found)


def _imported(found: str) -> VllmLibrary:
    try:
        from vllm import LLM, SamplingParams
        from vllm.config import WeightTransferConfig
        from vllm.distributed.weight_transfer import ParamMeta, WeightSource, WeightTransferTrainerFactory
        from vllm.distributed.weight_transfer.ipc_engine import IPCTrainerInitInfo
    except ImportError as error:
        raise _refusal(f"vLLM {found} cannot be imported ({error})", "install evomerge[vllm] anew") from error
    return VllmLibrary(
        llm=LLM,
        sampling_params=SamplingParams,
        transfer_config=WeightTransferConfig,
        trainer_init=WeightTransferTrainerFactory.trainer_init,
        init_info=IPCTrainerInitInfo,
        weight_source=WeightSource,
        param_meta=ParamMeta,
        version=found,
    )


def _refusal(detail: str, remedy: str) -> PreparationError:
    return PreparationError("backend", detail, remedy)
