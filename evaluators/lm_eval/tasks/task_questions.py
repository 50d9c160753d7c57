"""The items of one lm-eval task, and the requests that ask them.  Here "task" is lm-eval's word."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from evaluators.chat import Chat
from evaluators.conditions import STANDARD, Conditions
from evaluators.errors import EvaluationError
from evaluators.inference.chat_format import ChatFormat
from evaluators.inference.images.conversation import with_parts
from evaluators.inference.prompts import DEFAULT_LENGTH, LENGTH_NAMES, SEED
from evaluators.lm_eval.names.data_access import data_problem
from evaluators.splits import SPLITS, Split

Task = Any  # lm-eval's ConfigurableTask, which only the adapter may import
Item = Any  # a row of the task's data set

# The seeds that lm-eval's own command line uses, so that prompts equal those it would build.
_RANDOM_SEED, _NUMPY_SEED, _FEWSHOT_SEED = 0, 1234, 1234
_DEFAULT_CHAT = Chat()


@dataclass(frozen=True, slots=True)
class Question:
    """One item and the requests that ask it."""

    item: Item
    requests: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Subtask:
    """One lm-eval task, its items per split, and how they are put to a model."""

    task: Task
    items: Mapping[Split, Sequence[Item]]
    chat: Chat = _DEFAULT_CHAT

    def questions(
        self,
        split: Split,
        conditions: Conditions = STANDARD,
        form: ChatFormat | None = None,
        *,
        most: int | None = None,
    ) -> tuple[Question, ...]:
        """Builds the requests of a split; the standard examples are those that lm-eval would draw.

        Args:
            split: Whose items are asked.
            conditions: Under which.
            form: Makes prompts of conversations; None leaves them plain text.
            most: How many are built, from the first on; None builds all.
        """
        _remember_renderings(self.task)
        self.task.set_fewshot_seed(_FEWSHOT_SEED + conditions.seed)
        items = self.items[split][:most]
        with foreign_code(self.task.config.task):
            asked = tuple(self._question(number, item, form) for number, item in enumerate(items))
        for question in asked if conditions != STANDARD else ():
            for request in question.requests:
                request.arguments = _under(conditions, request.arguments)
        return asked

    def try_prompts(self, form: ChatFormat | None) -> None:
        """Builds the prompts of all items, and lets them go: what cannot be put is told before any weights.

        Raises:
            EvaluationError: A template raises, or gives no prompt; names the item, counted from 1.
        """
        self.task.set_fewshot_seed(_FEWSHOT_SEED)
        put = self._context if self.sees else partial(self._question, 0)  # images are read elsewhere
        for split, items in self.items.items():
            number = 0
            try:
                with foreign_code(self.task.config.task):
                    for number, item in enumerate(items, 1):  # noqa: B007 - said where one fails
                        put(item, form)
            except EvaluationError as error:
                if number == 1 and split == SPLITS[0]:
                    raise
                detail = f"item {number} of the {split} split: {error.detail}"
                raise type(error)(error.field, detail, error.remedy) from error

    @property
    def generates(self) -> bool:
        """Says whether the model writes; otherwise given texts are compared."""
        return bool(self.task.config.output_type == "generate_until")

    @property
    def sees(self) -> bool:
        """Says whether images are asked about."""
        return self.task.config.doc_to_image is not None

    @property
    def samples(self) -> bool:
        """Says whether answers are drawn."""
        config = self.task.config
        settings = (config.generation_kwargs or {}) if config.output_type == "generate_until" else {}
        return bool(settings.get("do_sample")) or float(settings.get("temperature") or 0.0) > 0.0

    def can_feel(self, conditions: Conditions) -> bool:
        """Says whether anything that is asked differs under these conditions."""
        config = self.task.config
        generates = config.output_type == "generate_until"
        draws = bool(config.num_fewshot) and self.task.fewshot_cfg.split is not None
        return (conditions.seed != 0 and (self.samples or draws)) or (conditions.length != 1.0 and generates)

    def target_of(self, item: Item) -> str | None:
        """Returns the answer that is expected, where the task has one."""
        with foreign_code(self.task.config.task):
            target = self.task.doc_to_target(item)
        return None if target is None else str(target)

    def _spoken(self, form: ChatFormat | None) -> dict[str, Any]:
        return {
            "apply_chat_template": form is not None,
            "chat_template": None if form is None else _renderer(form, seeing=self.sees),
        }

    def _context(self, item: Item, form: ChatFormat | None) -> Any:  # noqa: ANN401 - a text, or several
        return self.task.fewshot_context(
            item,
            num_fewshot=self.task.config.num_fewshot,
            system_instruction=self.chat.system,
            fewshot_as_multiturn=form is not None and self.chat.fewshot_as_multiturn,
            gen_prefix=self.task.doc_to_prefix(item),
            **self._spoken(form),
        )

    def _question(self, number: int, item: Item, form: ChatFormat | None) -> Question:
        config = self.task.config
        made = self.task.construct_requests(
            doc=item,
            ctx=self._context(item, form),
            metadata=(config.task, number, config.repeats),
            **self._spoken(form),
        )
        requests = tuple(made) if isinstance(made, list) else (made,)
        if self.generates and self.chat.think_end is not None:
            for request in requests:
                prompt, settings, *others = request.arguments
                request.arguments = (prompt, {**settings, "think_end": self.chat.think_end}, *others)
        return Question(item, requests)


def _renderer(form: ChatFormat, *, seeing: bool) -> Callable[..., str]:
    """Returns what lm-eval calls with a conversation, once per prompt."""

    def render(messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:  # noqa: FBT001, FBT002 - lm-eval's
        spoken = [with_parts(message) for message in messages] if seeing else messages
        return form.prompt(spoken, add_generation_prompt=add_generation_prompt)

    return render


def _remember_renderings(task: Task) -> None:
    """Has a task render the choices and the target of an item once, not for every candidate.

    Only templates are remembered, which give the same for the same item; a task's own functions are
    called each time.
    """
    for name in ("doc_to_choice", "doc_to_target"):
        render = getattr(task, name)
        if isinstance(getattr(task.config, name), str) and not isinstance(render, RememberedRendering):
            setattr(task, name, RememberedRendering(render))


class RememberedRendering:
    """A rendering of items; keeps each item, so that no other one can take its address."""

    def __init__(self, render: Any) -> None:  # noqa: ANN401 - a method of lm-eval's
        self._render = render
        self._known: dict[int, tuple[Item, Any]] = {}

    def __call__(self, doc: Item, *others: Any) -> Any:  # noqa: ANN401 - whatever lm-eval's method gives
        """Returns what the item is rendered as."""
        if others:
            return self._render(doc, *others)
        if id(doc) not in self._known:
            self._known[id(doc)] = doc, self._render(doc)
        found = self._known[id(doc)][1]
        return list(found) if isinstance(found, list) else found


def _under(conditions: Conditions, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns a request's arguments, generation settings among them, under other conditions."""
    if len(arguments) < 2 or not isinstance(arguments[1], Mapping):
        return arguments
    settings = dict(arguments[1])
    name = next((name for name in LENGTH_NAMES if settings.get(name) is not None), LENGTH_NAMES[0])
    settings[name] = max(1, round(float(settings.get(name) or DEFAULT_LENGTH) * conditions.length))
    if conditions.seed:
        settings["seed"] = int(settings.get("seed") or SEED) + conditions.seed
    return (arguments[0], settings, *arguments[2:])


@contextmanager
def foreign_code(task: str) -> Iterator[None]:
    """Runs code of a task, of its templates or of its data.

    Whatever they raise becomes an error that says what to do; and since some tasks shuffle with the
    global generators, these are seeded, and the caller's state comes back.
    """
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(_RANDOM_SEED)
    np.random.seed(_NUMPY_SEED)  # noqa: NPY002
    try:
        yield
    except EvaluationError:
        raise
    except Exception as error:
        if (problem := data_problem(task, error)) is not None:
            raise problem from error
        detail = f"{task} cannot be built: {type(error).__name__}: {error}"
        raise EvaluationError(
            "task", detail, "mend the task's file, or see that its data can be reached"
        ) from error
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002
