"""Prompts of a file, as they are put to a model: plain, or as a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from evaluators.chat import Chat
from evaluators.inference.chat_format import ChatFormat, chat_format


def form_for(chat: Chat, tokenizer: PreTrainedTokenizerBase | None) -> ChatFormat | None:
    """Returns how prompts are put to models with this tokenizer, which all answer at length.

    Raises:
        EvaluationError: The template has no such switch or option, or none of that name is there.
    """
    return chat_format(chat, tokenizer, generates=True, instruct=False)


def spoken(prompts: Sequence[str], chat: Chat, form: ChatFormat | None) -> list[str]:
    """Returns what the model reads.

    Raises:
        EvaluationError: The chat template cannot be applied.
    """
    if form is None:
        before = "" if chat.system is None else f"{chat.system}\n\n"
        after = "" if chat.gen_prefix is None else f" {chat.gen_prefix}"
        return [f"{before}{prompt}{after}" for prompt in prompts]
    system = [] if chat.system is None else [{"role": "system", "content": chat.system}]
    begun = [] if chat.gen_prefix is None else [{"role": "assistant", "content": chat.gen_prefix}]
    return [
        form.prompt([*system, {"role": "user", "content": prompt}, *begun], add_generation_prompt=not begun)
        for prompt in prompts
    ]
