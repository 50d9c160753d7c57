"""Chat format: a tokenizer's chat template, and what it is rendered with.  Knows nothing of lm-eval."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jinja2
import jinja2.meta
import jinja2.sandbox
from transformers import PreTrainedTokenizerBase

from evaluators.chat import SWITCHES, Chat
from evaluators.errors import EvaluationError
from evaluators.permissions import check_place

Message = Mapping[str, Any]

_LARGEST_TEMPLATE = 2**20  # bytes
_OWN_TAGS = re.compile(r"{%-?\s*(end)?generation\s*-?%}")  # transformers' own, which jinja does not know
_GIVEN = frozenset({  # what transformers gives every template
    "messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now",
    *(f"{name}_token" for name in ("bos", "eos", "unk", "pad", "sep", "cls", "mask")),
})  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ChatFormat:
    """Turns conversations into prompts, as transformers does.

    Attributes:
        template: The template's text.
        options: What it is given beside the messages.
        system: The system message that the user wants, if any.
    """

    tokenizer: PreTrainedTokenizerBase
    template: str
    options: Mapping[str, Any]
    system: str | None = None

    @property
    def key(self) -> Hashable:
        """Equal keys give equal prompts."""
        marks = self.tokenizer.special_tokens_map
        return self.template, repr(sorted(self.options.items())), repr(sorted(marks.items()))

    def prompt(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """Returns a conversation as the template writes it.

        A template that refuses system messages gets the conversation without a task's description, as in
        lm-eval; what the user wants said is never left out.

        Raises:
            EvaluationError: The template raises, or refuses or drops the user's system message.
        """
        try:
            found = self._rendered(messages, add_generation_prompt=add_generation_prompt)
        except Exception as error:
            others = [message for message in messages if message["role"] != "system"]
            if len(others) == len(messages):
                raise _broken(error) from error
            found = self._without_system(others, error, add_generation_prompt=add_generation_prompt)
        if self.system is not None and self.system.strip() not in found:
            raise EvaluationError(
                "chat.system",
                "the chat template leaves the system message out of its prompts",
                "leave system out, or name another template",
            )
        return found

    def _without_system(
        self, messages: Sequence[Message], cause: Exception, *, add_generation_prompt: bool
    ) -> str:
        try:
            found = self._rendered(messages, add_generation_prompt=add_generation_prompt)
        except Exception as error:
            raise _broken(error) from error
        if self.system is not None:
            raise EvaluationError(
                "chat.system",
                f"the chat template refuses a system message: {_said(cause)}",
                "leave system out, or name another template",
            ) from cause
        return found

    def _rendered(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        found = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            chat_template=self.template,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
            **self.options,
        )
        return cast("str", found)  # because it is not tokenized


def chat_format(
    chat: Chat, tokenizer: PreTrainedTokenizerBase | None, *, generates: bool, instruct: bool
) -> ChatFormat | None:
    """Returns how a task's questions are put; None where they are plain text.

    Args:
        chat: What the user wants.
        tokenizer: Of the model that is asked; None where there is none yet.
        generates: The task has the model write.
        instruct: A parent's name says that it was trained on instructions.

    Raises:
        EvaluationError: The template has no such switch or option, or none of that name is there.
    """
    if tokenizer is None or chat.apply == "off":
        return None
    template = _template(chat, tokenizer)
    useful = generates or instruct or chat.apply == "available"
    if template is None or not (chat.is_wanted or useful):
        return None
    return ChatFormat(tokenizer, template, _options(chat, template, generates=generates), chat.system)


def check_template(chat: Chat, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuses a tokenizer without the chat template that is wanted.

    Raises:
        EvaluationError: Says what to do.
    """
    if chat.is_wanted and _template(chat, tokenizer) is None:
        detail = f"the merged model's tokenizer, of {_place(tokenizer)}, has no chat template"
        remedy = "name a template with chat.template, or write chat: off"
        raise EvaluationError("chat", detail, remedy)


def check_think_end(chat: Chat, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuses an end of reasoning that no answer can hold.

    Raises:
        EvaluationError: Says what to write.
    """
    end = chat.think_end
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    if isinstance(end, str) and end in special:
        detail = f"{end!r} is a special token, which decoded answers leave out"
        remedy = f"write the token's number, {tokenizer.convert_tokens_to_ids(end)}"
        raise EvaluationError("chat.think_end", detail, remedy)
    if isinstance(end, int) and end >= len(tokenizer):
        detail = f"there is no token {end}; the tokenizer has {len(tokenizer)}"
        raise EvaluationError("chat.think_end", detail, "write the token's text, or its number")


def refuses_system(form: ChatFormat) -> bool:
    """Says whether a template raises where a conversation begins with a system message."""
    told = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Who?"}]
    try:
        form.tokenizer.apply_chat_template(
            told, chat_template=form.template, tokenize=False, add_generation_prompt=True, **form.options
        )
    except jinja2.TemplateError:
        return True
    return False


def writes_the_date(form: ChatFormat) -> bool:
    """Says whether prompts differ from day to day."""
    return "strftime_now" in form.template


def _template(chat: Chat, tokenizer: PreTrainedTokenizerBase) -> str | None:
    if chat.template_text is not None:
        return chat.template_text
    if chat.template_file is not None:
        return _read(Path(chat.template_file))
    own = tokenizer.chat_template
    named: Mapping[str, str] = own if isinstance(own, dict) else {} if own is None else {"default": own}
    name = chat.template or "default"
    if name in named:
        return named[name]
    if chat.template is not None:
        known = ", ".join(sorted(named)) or "none"
        detail = f"the tokenizer has no template {name!r}; it has {known}"
        raise EvaluationError("chat.template", detail, "name one of those, a built-in one, or a file")
    return None


def _read(path: Path) -> str:
    check_place("chat.template", path)
    try:
        if path.stat().st_size > _LARGEST_TEMPLATE:
            raise ValueError(f"it has more than {_LARGEST_TEMPLATE} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        detail = f"{path} cannot be read: {error}"
        raise EvaluationError("chat.template", detail, "name a file with a Jinja template") from error


def _options(chat: Chat, template: str, *, generates: bool) -> dict[str, Any]:
    """Returns what the template is given, the switch for reasoning among it."""
    options: dict[str, Any] = dict(chat.template_options)
    if not options and chat.thinking is None:
        return options
    known = _variables(template)
    for name in options:
        if name not in known:
            detail = f"the chat template has no option {name!r}; it has {', '.join(sorted(known)) or 'none'}"
            raise EvaluationError("chat.template_options", detail, "leave it out, or name one of those")
    if chat.thinking is not None:
        options[_switch(known)] = chat.thinking
        if chat.thinking and not generates:
            detail = "a task that compares choices leaves the model no room to think"
            raise EvaluationError("chat.thinking", detail, "write thinking: off, or leave it out")
    return options


def _switch(known: frozenset[str]) -> str:
    found = next((name for name in SWITCHES if name in known), None)
    if found is None:
        detail = f"the chat template has no switch for it ({' or '.join(SWITCHES)})"
        remedy = "leave thinking out, or set what the template has with template_options"
        raise EvaluationError("chat.thinking", detail, remedy)
    return found


def _variables(template: str) -> frozenset[str]:
    """Returns the names that a template looks up and does not set itself."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        parsed = environment.parse(_OWN_TAGS.sub("", template))
    except jinja2.TemplateError as error:
        raise _broken(error) from error
    return frozenset(jinja2.meta.find_undeclared_variables(parsed) - _GIVEN)


def _broken(error: Exception) -> EvaluationError:
    return EvaluationError(
        "chat.template",
        f"the chat template cannot be rendered: {_said(error)}",
        "mend it, name another one, or write chat: off",
    )


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _place(tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.name_or_path or "the merged model")
