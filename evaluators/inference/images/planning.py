"""Plans questions about images for a network in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from evaluators.errors import EvaluationError
from evaluators.inference.continuations import Limits
from evaluators.inference.images.image_continuations import ImageContinuation, ImageContinuationPlan
from evaluators.inference.images.image_generation import ImageGenerationPlan, ImagePrompt
from evaluators.inference.images.seen_prompts import SeenPrompt, see
from evaluators.inference.images.sight import Sight, sight_of
from evaluators.inference.prompts import GenerationSettings

Images = Sequence[Any]


def plan_image_generations(
    network: PreTrainedModel,
    asked: Sequence[tuple[str, Mapping[str, Any], Images]],
    limits: Limits,
    draws: Sequence[int] | None = None,
) -> ImageGenerationPlan:
    """Plans the continuation of (prompt, generation arguments, images), each as its draw of this number.

    Raises:
        EvaluationError: The network does not see, or a prompt does not fit it.
    """
    sight = _sight(network)
    tokenizer = sight.processor.tokenizer
    end = None if tokenizer.eos_token_id is None else str(tokenizer.decode(tokenizer.eos_token_id))
    prompts = [
        ImagePrompt(see(sight, text, images), GenerationSettings.of_task(settings, end, draw=draw))
        for (text, settings, images), draw in zip(asked, draws or (0,) * len(asked), strict=True)
    ]
    return ImageGenerationPlan(prompts, sight, limits=limits)


def plan_image_continuations(
    network: PreTrainedModel, asked: Sequence[tuple[str, str, Images]], limits: Limits
) -> ImageContinuationPlan:
    """Plans the scoring of (context, continuation, images).

    Raises:
        EvaluationError: The network does not see, or a continuation cannot be scored.
    """
    sight = _sight(network)
    contexts: dict[tuple[str, tuple[int, ...]], SeenPrompt] = {}
    found = []
    for context, continuation, images in asked:
        head = context.rstrip()  # spaces belong to the word that follows them
        key = head, tuple(map(id, images))
        if key not in contexts:
            contexts[key] = see(sight, head, images)
        whole = see(sight, context + continuation, images)
        found.append(ImageContinuation(whole, len(whole.tokens) - len(contexts[key].tokens)))
    return ImageContinuationPlan(found, sight, limits=limits)


def _sight(network: PreTrainedModel) -> Sight:
    sight = sight_of(network)
    if sight is None:
        raise EvaluationError(
            "task",
            "asks about images, and the model has no vision tower",
            "merge parents of which one sees, or leave the task out",
        )
    return sight
