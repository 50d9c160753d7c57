"""Trains the base and the experts.

What makes the experts mergeable was found by trial: the arithmetic expert learns in the lower layers,
where a question is worked out, and hardly changes the upper ones, where it is put into words.  A
little noise on the embeddings keeps it from tying what it learns to the exact English words; strong
weight decay makes the two languages share what they can.  The language expert learns in the lower
layers too, so there the two get in each other's way, and their plain sum loses what weights per layer
keep.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM

from examples.language_and_arithmetic.checkpoints import INDEX
from examples.language_and_arithmetic.curriculum import Mixture
from examples.language_and_arithmetic.questions import Question

_BATCH = 64
_NOISE = 0.3  # in standard deviations of the embeddings
_DECAY = 0.5
_LOWER_LAYERS = 3


@dataclass(frozen=True, slots=True)
class Lesson:
    """How a model is trained.

    Attributes:
        steps: How many batches.
        rate: The highest learning rate.
        words: Factor on the rate for embeddings, final norm and head.
        lower: Factor for the first layers.
        upper: Factor for the other layers.
    """

    steps: int
    rate: float
    words: float = 1.0
    lower: float = 1.0
    upper: float = 1.0

    def factor(self, parameter: str) -> float:
        """Returns the factor on the learning rate of a parameter, by its name."""
        pieces = parameter.split(".")
        if "layers" not in pieces:
            return self.words
        return self.lower if int(pieces[pieces.index("layers") + 1]) < _LOWER_LAYERS else self.upper


LESSONS = {
    "base": Lesson(steps=800, rate=3e-3),
    "arithmetic": Lesson(steps=600, rate=1.5e-3, words=0.0, upper=0.05),
    "language": Lesson(steps=400, rate=2e-3, upper=0.2),
}
QUICK_STEPS = 12

OnStep = Callable[[int], None]


def train(model: LlamaForCausalLM, mixture: Mixture, lesson: Lesson, *, seed: int, on_step: OnStep) -> None:
    """Trains a model in place on the answers of questions drawn from a mixture.

    Args:
        model: Changed in place.
        mixture: What is asked.
        lesson: How long and how fast.
        seed: Decides the batches and the noise; equal seeds on one thread give equal weights.
        on_step: Told how many steps are done, after each.
    """
    choice = random.Random(seed)  # noqa: S311 - no secret
    noise = torch.Generator().manual_seed(seed)
    optimizer = _optimizer(model, lesson)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, lesson.steps))
    shares = [part.share for part in mixture]
    model.train()
    for step in range(lesson.steps):
        parts = choice.choices(mixture, shares, k=_BATCH)
        loss = _loss(model, [choice.choice(part.questions) for part in parts], noise)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        on_step(step + 1)
    model.eval()


def _optimizer(model: LlamaForCausalLM, lesson: Lesson) -> torch.optim.Optimizer:
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault(lesson.factor(name), []).append(parameter)
    settings = [{"params": group, "lr": lesson.rate * factor} for factor, group in groups.items()]
    return torch.optim.AdamW(settings, betas=(0.9, 0.98), weight_decay=_DECAY, fused=True)


def _pace(step: int, steps: int) -> float:
    """Returns the share of the highest rate: a short linear rise, then a cosine's fall."""
    rise = max(1, min(30, steps // 10))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def _loss(model: LlamaForCausalLM, questions: Sequence[Question], noise: torch.Generator) -> torch.Tensor:
    """Returns the mean cross-entropy of the answers.

    Shapes: B questions, T words of the longest, H hidden, V words known.
    """
    words = [[INDEX[word] for word in question.text.split()] for question in questions]
    longest = max(map(len, words))
    # Filled up on the right: a causal model does not look there, so no mask is needed.
    words_BT = torch.tensor([[*row, *[0] * (longest - len(row))] for row in words])
    last_B = torch.tensor([len(row) - 1 for row in words])
    answers_B = torch.tensor([INDEX[question.answer] for question in questions])
    embedded_BTH = model.model.embed_tokens(words_BT)
    spread = _NOISE * embedded_BTH.detach().std()
    embedded_BTH = embedded_BTH + spread * torch.randn(embedded_BTH.shape, generator=noise)
    hidden_BTH = model.model(inputs_embeds=embedded_BTH, use_cache=False).last_hidden_state
    logits_BV = model.lm_head(hidden_BTH[torch.arange(len(words)), last_B])
    return functional.cross_entropy(logits_BV, answers_B)
