"""Trains the base and the parents on the answers of questions."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from examples.language_and_vision.checkpoints import INDEX, image_processor
from examples.language_and_vision.pictures import draw
from examples.language_and_vision.world import END, PAD, Question, Thing, things

_BATCH = 64
_VIEWS = 6  # pictures of each thing that the eyes are trained on


@dataclass(frozen=True, slots=True)
class Part:
    """Questions drawn with the same probability, and how often this part is drawn from."""

    share: float
    questions: Sequence[Question]


@dataclass(frozen=True, slots=True)
class Lesson:
    """How long and how fast a model is trained; `decay` of its weights."""

    steps: int
    rate: float
    decay: float = 0.1


def train(network: Any, mixture: Sequence[Part], lesson: Lesson, *, seed: int) -> None:  # noqa: ANN401
    """Trains a network in place; equal seeds on one thread give equal weights."""
    choice = random.Random(seed)  # noqa: S311 - no secret
    views = _views(seed) if any(q.shown for part in mixture for q in part.questions[:1]) else {}
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=lesson.rate, betas=(0.9, 0.98), weight_decay=lesson.decay
    )
    network.train()
    for step in range(lesson.steps):
        for group in optimizer.param_groups:
            group["lr"] = lesson.rate * _pace(step, lesson.steps)
        optimizer.zero_grad()
        for part in mixture:  # a batch is about pictures or about words
            questions = choice.choices(part.questions, k=round(_BATCH * part.share))
            pictures = [choice.choice(views[question.thing]) for question in questions if question.shown]
            loss = _loss(network, questions, pictures) * part.share
            loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    network.eval()


def _pace(step: int, steps: int) -> float:
    """Returns the share of the highest rate: a short linear rise, then a cosine's fall."""
    rise = max(1, min(30, steps // 10))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


def _views(seed: int) -> dict[Thing, list[torch.Tensor]]:
    """Returns pictures of every thing, as the eyes are shown them."""
    rng, prepare = np.random.default_rng(seed), image_processor()
    found = {}
    for thing in things():
        images = [draw(thing, rng) for _ in range(_VIEWS)]
        found[thing] = list(prepare(images, return_tensors="pt")["pixel_values"])
    return found


def _loss(network: Any, questions: Sequence[Question], pictures: Sequence[torch.Tensor]) -> torch.Tensor:  # noqa: ANN401
    """Returns the mean cross-entropy of the answers and of their ends.

    Shapes: B questions, T words of the longest with its answer, V words known.
    """
    rows = [[INDEX[word] for word in (*question.words, question.answer, END)] for question in questions]
    longest = max(map(len, rows))
    # Filled up on the right: a causal model does not look there, so no mask is needed.
    words_BT = torch.tensor([[*row, *[INDEX[PAD]] * (longest - len(row))] for row in rows])
    seen = {"pixel_values": torch.stack(list(pictures))} if pictures else {}
    logits_BTV = network(input_ids=words_BT, use_cache=False, **seen).logits
    places = torch.tensor([len(row) - 2 for row in rows])
    numbers = torch.arange(len(rows))
    told = [
        functional.cross_entropy(logits_BTV[numbers, places + i - 1], words_BT[numbers, places + i])
        for i in (0, 1)
    ]
    return (told[0] + told[1]) / 2
