"""The program in a card that asks the model, put as its scores were reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.exports.card.conversation import Conversation, conversations
from service.exports.card.markdown import fenced
from service.exports.card.subject import Subject

_DRAWN = ("temperature", "top_p", "top_k", "min_p")
_ROOM = 64  # tokens of an answer, where the experiment says nothing
_QUESTION = '{"role": "user", "content": "What is 7 times 8?"}'


def usage(subject: Subject) -> str:
    """Returns a program that asks the model, as in a conversation where it was asked so."""
    asked = next((one for one in conversations(subject) if one.templated), None)
    if subject.sees:
        return "## Usage\n\n" + fenced("\n".join(_looking(_quoted(subject.address), asked)), "python")
    lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    address = _quoted(subject.address)
    lines += [f"tokenizer = AutoTokenizer.from_pretrained({address})"]
    lines += [f'model = AutoModelForCausalLM.from_pretrained({address}, dtype="auto")', ""]
    lines += _either_way() if asked is None else _as_asked(asked)
    lines += [f"answer = model.generate(**inputs, {_arguments(asked)})"]
    lines += ['text = tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)']
    lines += [f"print(text{_after_reasoning(asked)})"]
    return "## Usage\n\n" + fenced("\n".join(lines), "python")


def _looking(address: str, asked: Conversation | None) -> Iterator[str]:
    """Yields what asks about a picture."""
    system = None if asked is None else asked.chat.system
    yield "from PIL import Image"
    yield "from transformers import AutoModelForImageTextToText, AutoProcessor"
    yield ""
    yield f"processor = AutoProcessor.from_pretrained({address})"
    yield f'model = AutoModelForImageTextToText.from_pretrained({address}, dtype="auto")'
    yield ""
    yield 'image, question = Image.open("picture.png"), "What does the picture show?"'
    yield "if processor.chat_template:"
    yield '    parts = [{"type": "image"}, {"type": "text", "text": question}]'
    yield '    messages = [{"role": "user", "content": parts}]'
    if system:
        yield f'    told = [{{"type": "text", "text": {_quoted(system)}}}]'
        yield '    messages.insert(0, {"role": "system", "content": told})'
    yield "    prompt = processor.apply_chat_template(messages, add_generation_prompt=True)"
    yield "else:"
    yield '    prompt = f"{processor.image_token} {question}"'
    yield 'inputs = processor(text=[prompt], images=[image], return_tensors="pt").to(model.dtype)'
    yield f"answer = model.generate(**inputs, {_arguments(asked)})"
    yield 'text = processor.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)'
    yield f"print(text{_after_reasoning(asked)})"


def _either_way() -> Iterator[str]:
    """Yields what asks by the chat template if there is one, where no objective did."""
    yield 'question = "What is 7 times 8?"'
    yield "if tokenizer.chat_template:"
    yield '    messages = [{"role": "user", "content": question}]'
    yield "    inputs = tokenizer.apply_chat_template("
    yield '        messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"'
    yield "    )"
    yield "else:"
    yield '    inputs = tokenizer(question, return_tensors="pt")'


def _as_asked(asked: Conversation) -> Iterator[str]:
    """Yields what asks with the system message and the settings that an objective was asked with."""
    chat = asked.chat
    yield "messages = ["
    if chat.system:
        yield f'    {{"role": "system", "content": {_quoted(chat.system)}}},'
    yield f"    {_QUESTION},"
    yield "]"
    yield "inputs = tokenizer.apply_chat_template("
    yield "    messages,"
    yield "    add_generation_prompt=True,"
    if chat.thinking is not None:
        yield f"    enable_thinking={chat.thinking},  # one of the two is the template's switch for reasoning"
        yield f"    thinking={chat.thinking},"
    for name, value in (chat.template_options or {}).items():
        yield f"    **{{{_quoted(name)}: {value!r}}},"
    yield "    return_dict=True,"
    yield '    return_tensors="pt",'
    yield ")"


def _arguments(asked: Conversation | None) -> str:
    """Returns arguments of `generate`."""
    said: dict[str, Any] = {} if asked is None else dict(asked.generation)
    found: dict[str, Any] = {"max_new_tokens": said.get("max_gen_toks") or _ROOM}
    if said.get("temperature") or said.get("do_sample"):
        found |= {"do_sample": True} | {name: said[name] for name in _DRAWN if said.get(name)}
    if said.get("repetition_penalty"):
        found["repetition_penalty"] = said["repetition_penalty"]
    return ", ".join(f"{name}={value!r}" for name, value in found.items())


def _after_reasoning(asked: Conversation | None) -> str:
    end = None if asked is None else asked.chat.think_end
    return f".split({_quoted(end)})[-1].lstrip()" if isinstance(end, str) else ""


def _quoted(text: str) -> str:
    """Returns a text as Python writes it, in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else _escape(one) for one in escaped) + '"'


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
