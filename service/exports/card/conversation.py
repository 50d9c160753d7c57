"""How an objective's questions were put to models, as a spec says it: a card tells it and repeats it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from service.experiment.chat_options import ChatOptions, in_full
from service.experiment.generation_options import GenerationOptions
from service.experiment.objectives import ObjectiveFacts
from service.exports.card.markdown import escape, fenced
from service.exports.card.subject import Subject


@dataclass(frozen=True, slots=True)
class Conversation:
    """One objective's way of asking.

    Attributes:
        told: The template, system message and the like, in words; "" where that is not known.
        generation: Settings that go before the task's own.
        chat: What the spec says of it.
    """

    name: str
    told: str
    chat: ChatOptions
    generation: Mapping[str, Any]

    @property
    def templated(self) -> bool:
        """Says whether a chat template makes the prompts."""
        return "chat template" in self.told.partition(";")[0]  # what follows is how parents were asked


def conversations(subject: Subject) -> list[Conversation]:
    """Returns how each objective was asked."""
    spec = subject.experiment.spec
    given = {_label(each): each for each in spec.get("objectives") or () if isinstance(each, Mapping)}
    shared, general = _chat(spec.get("chat")), _generation(spec.get("generation"))
    found = []
    for objective in subject.experiment.objectives:
        own = given.get(objective.name, {})
        chat = _chat(own.get("chat")).over(shared)
        is_task = own.get("kind", "lm_eval") in ("lm_eval", "negative_flips") or bool(own.get("task"))
        generation = _generation(own.get("generation")).over(general) if is_task else {}
        found.append(Conversation(objective.name, _asked(objective, subject), chat, generation))
    return found


def asking(subject: Subject) -> str:
    """Says under which conditions the scores were reached; nothing where they are not known."""
    told = [one for one in conversations(subject) if one.told]
    if not told:
        return ""
    lines = [f"- {escape(one.name)}: {', '.join(_conditions(one))}{_others(one)}" for one in told]
    systems = dict.fromkeys(one.chat.system for one in told if one.chat.system)
    texts = [f"The system message:\n\n{fenced(system, '')}" for system in systems]
    return "\n\n".join(("## How it was asked", "\n".join(lines), *texts))


def _conditions(one: Conversation) -> Iterator[str]:
    yield _plain(one, one.told.partition("; ")[0])
    if one.chat.think_end is not None:
        yield f"what stands before `{one.chat.think_end}` is not marked"
    told = ("temperature", "repeats") if "sampled" in one.told else ()
    said = {name: value for name, value in one.generation.items() if name not in told}
    if said:
        yield escape(", ".join(f"{name} {value}" for name, value in said.items()))


def _others(one: Conversation) -> str:
    """Returns how models that it is compared with were asked, where otherwise."""
    others = one.told.partition("; ")[2]
    return f" (compared with {_plain(one, others)})" if others else ""


def _plain(one: Conversation, told: str) -> str:
    """Returns words without the place of a user's file."""
    template = one.chat.template
    return escape(told.replace(template, Path(template).name) if template else told)


def _asked(objective: ObjectiveFacts, subject: Subject) -> str:
    """Returns how it is asked; of several templates the one that this model has."""
    if subject.copy_of is not None:
        return objective.prompts.get(str(subject.copy_of), "")
    if not objective.templates:
        return objective.asked
    try:
        said = yaml.safe_load(subject.recipe)
    except yaml.YAMLError:
        said = None
    chosen = said.get("chat_template") if isinstance(said, Mapping) else None
    whose = str(chosen) if chosen else next(iter(objective.prompts), "")
    return objective.model_copy(update={"templates": (whose,)}).asked.replace(", as its recipe says", "")


def _label(objective: Mapping[str, Any]) -> str:
    return str(objective.get("name") or objective.get("task") or objective.get("kind") or "")


def _chat(said: object) -> ChatOptions:
    return ChatOptions.model_validate(in_full(said) or {})


def _generation(said: object) -> GenerationOptions:
    return GenerationOptions.model_validate(said or {})
