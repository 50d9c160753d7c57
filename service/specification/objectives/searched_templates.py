"""Chat templates that are searched over: which parents have different ones.  Reads no weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluators import BenchmarkFacts
from search_spaces import Parent, SpaceOptions
from service.errors import Mistake
from service.specification.reading import pointer_to, read_part
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.checkpoints.layout import Layout
from workers.errors import WorkerError
from workers.tokenizers.files import chat_template_of

KEY = "chat_templates"
_POINTER = f"/space/{KEY}"
TemplateTexts = Mapping[Parent, str | None]


def with_searched_templates(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    """Returns the spec with the parents that `space.chat_templates` stands for, and what is wrong with them.

    `search` stands for one parent, or the base, per template that any of them has.
    """
    content, space = dict(raw), raw.get("space")
    if not isinstance(space, Mapping) or not (wanted := space.get(KEY)):
        return content, []
    if wanted == "search":
        chosen, mistakes = _all_different(raw)
        return content | {"space": {**space, KEY: chosen}}, mistakes
    named = [read_part(Parent, each) for each in wanted] if isinstance(wanted, list) else []
    return content, list(_unusable(_templates_of([parent for parent in named if parent is not None])))


def searched_templates(options: SpaceOptions, layouts: Mapping[Parent, Layout]) -> tuple[Parent, ...]:
    """Returns whose chat templates a space chooses from, of those that can be looked at."""
    named = options.chat_templates
    listed = [parent for parent in layouts if named != "search" and parent in named]
    return tuple(parent for parent, template in _templates_of(listed).items() if template is not None)


def idle_templates(templates: Sequence[Parent], entries: Sequence[BenchmarkFacts]) -> Iterator[Mistake]:
    """Yields a gene that changes nothing: no objective is asked with the merged model's template."""
    told = [entry.prompts[0][1] for entry in entries if entry.prompts]
    if templates and told and not any(how.startswith("its chat template") for how in told):
        detail = f"no objective is asked with the merged model's chat template, but as {', '.join(set(told))}"
        remedy = f"write chat: on without a template, or leave {KEY} out"
        yield Mistake(_POINTER, "idle_gene", detail, remedy)


def _all_different(raw: Mapping[str, Any]) -> tuple[list[str], list[Mistake]]:
    given = raw.get("parents")
    listed = [each for each in (*(given if isinstance(given, list) else ()), raw.get("base")) if each]
    parents = [parent for each in listed if (parent := read_part(Parent, each)) is not None]
    different: dict[str, Parent] = {}
    for parent, template in _templates_of(parents).items():
        if template is not None:
            different.setdefault(template, parent)
    if len(different) >= 2:
        return [str(parent) for parent in different.values()], []
    why = "no parent has a chat template" if not different else "all parents' chat templates are the same"
    mistake = Mistake(_POINTER, "nothing_to_search", why, f"leave {KEY} out")
    return [], [mistake]


def _unusable(templates: TemplateTexts) -> Iterator[Mistake]:
    seen: dict[str, Parent] = {}
    for place, (parent, template) in enumerate(templates.items()):
        pointer = f"{_POINTER}{pointer_to(place)}"
        if template is None:
            detail = f"{parent} has no chat template"
            yield Mistake(pointer, "no_template", detail, "leave it out, or name a model that has one")
        elif (first := seen.setdefault(template, parent)) != parent:
            detail = f"the chat template of {parent} is that of {first}"
            yield Mistake(pointer, "same_template", detail, "keep one of them")


def _templates_of(parents: list[Parent]) -> TemplateTexts:
    """Returns each model's template, None where it has none; what cannot be looked at is told elsewhere."""
    found: dict[Parent, str | None] = {}
    for parent in parents:
        try:
            found[parent] = (chat_template_of(inspect_parent(parent).folder) or "").strip() or None
        except (WorkerError, OSError):
            continue
    return found
