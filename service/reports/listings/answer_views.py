"""What models answered to a person's prompt."""

from __future__ import annotations

from dataclasses import asdict

from service.reports.views import View
from workers.protocol.prompt_orders import PromptAnswers


class AnswerView(View):
    """One model's answer.

    Attributes:
        label: The candidate's, or the parent's.
        prompt: As the model saw it, with its chat template.
        tokens: How many were generated.
        cut_off: It came to no end within the tokens allowed.
        seconds: Merging and answering.
    """

    label: str
    prompt: str
    text: str
    tokens: int
    cut_off: bool
    seconds: float


class AnswersView(View):
    """What a candidate, and after it the parents, answered to a prompt."""

    candidate: int
    items: list[AnswerView]


def answers_view(candidate: int, found: PromptAnswers) -> AnswersView:
    """Returns answers as people see them."""
    items = [AnswerView.model_validate(asdict(entry)) for entry in found.entries]
    return AnswersView(candidate=candidate, items=items)
