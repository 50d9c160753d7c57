"""What models answered to a person's prompt."""

from __future__ import annotations

from dataclasses import asdict

from evaluators.splits import Split
from service.reports.notebook_tables import answers_html
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

    def _repr_html_(self) -> str:
        return answers_html(self)


class ChoiceView(View):
    """A text that was compared with others, and its log-likelihood in nats."""

    text: str
    log_likelihood: float


class SampleView(View):
    """What a candidate was asked and answered on one item.

    Attributes:
        item: Its place in the split's order.
        prompt: As the model saw it, with examples and chat template.
        text: What it generated; of choices the likeliest.
        target: The right answer, as the task writes it.
        value: The metric on this item; None where the candidate was not scored on it.
    """

    split: Split
    benchmark: str
    item: int
    prompt: str
    text: str
    choices: list[ChoiceView]
    target: str
    value: float | None


class SamplesView(View):
    """Answers of a candidate that are stored, by split and benchmark."""

    candidate: int
    items: list[SampleView]


def answers_view(candidate: int, found: PromptAnswers) -> AnswersView:
    """Returns answers as people see them."""
    items = [AnswerView.model_validate(asdict(entry)) for entry in found.entries]
    return AnswersView(candidate=candidate, items=items)
