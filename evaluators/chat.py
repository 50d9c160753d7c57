"""Chat: whether a model is asked as in a conversation, and by which template."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str

SWITCHES = ("enable_thinking", "thinking")
"""What templates call the switch that turns reasoning on and off."""


class Chat(BaseModel):
    """How questions become prompts.

    Attributes:
        apply: Whether the tokenizer's chat template is applied, where there is one.  `auto`: if the task
            has the model write, or a parent's name says that it was trained on instructions, or one of
            the settings below asks for a template.  `available`: in any case.  `on`: in any case, and
            the merged model must have one.
        template: The name of one of the tokenizer's own templates, where it has several.
        template_text: A template that is applied instead of the tokenizer's.
        template_file: A file with one.
        system: A system message; without a template it stands before the prompt, as in lm-eval.
        fewshot_as_multiturn: Whether examples are turns of the conversation, or part of the question.
        thinking: Turns the template's own switch for reasoning on or off; None leaves it alone.
        think_end: The text, or the token's number, that ends reasoning: what stands before its last
            occurrence is cut off before filters read the answer.
        gen_prefix: What the answer begins with, given to the model: a task's `gen_prefix`.
        template_options: What else the template is given, `reasoning_effort` say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    apply: Literal["auto", "available", "on", "off"] = "auto"
    template: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    template_text: Annotated[str, Field(min_length=1, max_length=2**20)] | None = None
    template_file: str | None = None
    system: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    fewshot_as_multiturn: bool = True
    thinking: bool | None = None
    think_end: Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=0)] | None = None
    gen_prefix: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    template_options: dict[str, Scalar] = Field(default_factory=dict)

    @property
    def is_wanted(self) -> bool:
        """Says whether a template must be there: it is asked for, or a setting means nothing without."""
        named = self.template or self.template_text or self.template_file
        return self.apply == "on" or bool(named or self.template_options or self.thinking is not None)
