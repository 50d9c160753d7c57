"""What a user writes to have models asked as in a conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from evaluators.chat import Chat, Scalar
from search_spaces.recipes.chat_templates import BUILT_IN
from service.experiment.criteria import Spec

TEMPLATE_ENDINGS = (".jinja", ".j2", ".txt")
Words = Literal["auto", "available", "on", "off"]


def _spoken(value: object) -> object:
    """YAML reads on and off as true and false."""
    return ("on" if value else "off") if isinstance(value, bool) else value


def _switch(value: object) -> object:
    return {"on": True, "off": False}.get(value, value) if isinstance(value, str) else value


class ChatOptions(Spec):
    """How questions become prompts; `chat: on`, `off` or `auto` alone says whether a template is applied.

    What an objective leaves out is as the experiment says.

    Attributes:
        apply: Whether the merged model's chat template is applied.  `auto`, the default: where there is
            one, and the task has the model write, or a parent's name says that it was trained on
            instructions, or one of the settings below asks for a template.  `available`: wherever there
            is one.  `on`: in any case; refused where the merged model has none.
        template: Another template: one of the tokenizer's own by name, a built-in one by name, or a file.
        system: A system message; an empty one is none.
        fewshot_as_multiturn: Whether examples are turns of the conversation (the default), or part of
            the question.
        thinking: Turns the template's own switch for reasoning on or off.
        think_end: The text, or the token's number, that ends reasoning: what stands before its last
            occurrence is cut off before filters read the answer.
        gen_prefix: What the answer begins with; the model goes on from there.
        template_options: What else the template is given, `reasoning_effort` say.
    """

    apply: (
        Annotated[
            Words,
            BeforeValidator(_spoken, json_schema_input_type=Words | bool),
        ]
        | None
    ) = None
    template: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    system: Annotated[str, Field(max_length=100_000)] | None = None
    fewshot_as_multiturn: bool | None = None
    thinking: (
        Annotated[bool, BeforeValidator(_switch, json_schema_input_type=Literal["on", "off"] | bool)] | None
    ) = None
    think_end: (
        Annotated[str, Field(min_length=1, max_length=200)] | Annotated[int, Field(ge=0, lt=2**31)] | None
    ) = None
    gen_prefix: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    template_options: dict[str, Scalar] | None = None

    def over(self, default: ChatOptions | None) -> ChatOptions:
        """Returns these options, and where they say nothing the default's."""
        given = {} if default is None else default.model_dump(exclude_none=True)
        return ChatOptions.model_validate(given | self.model_dump(exclude_none=True))

    @property
    def chat(self) -> Chat:
        """What is told to evaluators."""
        given = self.model_dump(exclude={"template"}, exclude_none=True)
        given["system"] = self.system or None
        return Chat.model_validate(given | _template(self.template))


def _template(wanted: str | None) -> dict[str, str]:
    """Returns a template by name, text or file, whichever is meant."""
    if wanted is None:
        return {}
    if is_file_name(wanted):
        return {"template_file": wanted}
    return {"template_text": BUILT_IN[wanted]} if wanted in BUILT_IN else {"template": wanted}


def is_file_name(template: str) -> bool:
    """Says whether a template's name is that of a file."""
    return "/" in template or Path(template).suffix in TEMPLATE_ENDINGS


def in_full(value: object) -> object:
    """`chat: on` stands for `chat: {apply: on}`."""
    return {"apply": value} if isinstance(value, bool | str) else value


Chatting = Annotated[
    ChatOptions,
    BeforeValidator(in_full, json_schema_input_type=ChatOptions | Words | bool),
]
