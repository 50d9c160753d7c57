"""How a benchmark's questions are put to models with given tokenizers, found out before any weights.

Here "task" is lm-eval's word.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from transformers import PreTrainedTokenizerBase

from evaluators.chat import Chat
from evaluators.errors import EvaluationError
from evaluators.evaluator import BenchmarkFacts
from evaluators.inference.chat_format import (
    ChatFormat,
    check_template,
    check_think_end,
    refuses_system,
    writes_the_date,
)
from evaluators.inference.images.seen_prompts import see
from evaluators.inference.images.sight import Sight
from evaluators.lm_eval.asked_sets import form_of
from evaluators.lm_eval.question_set import with_images
from evaluators.lm_eval.tasks.task_building import BuiltBenchmark
from evaluators.lm_eval.tasks.task_questions import Subtask

PLAIN = "plain text"
MERGED = "merged models"
"""What a merged model is called whose prompts are not those of any parent."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who will be asked: the merged model first, then parents.

    Attributes:
        names: What each is called.
        tokenizers: Theirs.
        sights: How each sees; None where one only reads.
        instruct: A parent's name says that it was trained on instructions.
        chosen: The merged model's tokenizer with each of the chat templates that it may have, by the
            parent that gives the template.
    """

    names: tuple[str, ...] = ()
    tokenizers: tuple[PreTrainedTokenizerBase, ...] = ()
    sights: tuple[Sight | None, ...] = ()
    instruct: bool = False
    chosen: Mapping[str, PreTrainedTokenizerBase] = field(default_factory=dict)

    def try_all(self, try_one: Callable[[PreTrainedTokenizerBase], object]) -> None:
        """Has every chat template tried that the merged model may have.

        Raises:
            EvaluationError: One cannot be used; says whose it is.
        """
        for parent, tokenizer in self.chosen.items():
            try:
                try_one(tokenizer)
            except EvaluationError as error:
                detail = f"with the chat template of {parent}: {error.detail}"
                raise EvaluationError(error.field, detail, error.remedy) from error


def with_prompts(facts: BenchmarkFacts, built: BuiltBenchmark, asked: Asked) -> BenchmarkFacts:
    """Returns what is known of a benchmark with how it is put to each model.

    Raises:
        EvaluationError: The merged model cannot be asked so.
    """
    tried = _Tried()
    for subtask in built.subtasks:
        asked.try_all(partial(_tried, subtask, asked=asked, tried=tried, is_merged=True))
    prompts: list[tuple[str, str]] = []
    warnings: dict[str, None] = dict.fromkeys(facts.warnings)
    for name, tokenizer in zip(asked.names, asked.tokenizers, strict=True):
        try:
            for subtask in built.subtasks if not prompts else ():
                _try_seeing(subtask, asked)
            forms = [
                _tried(subtask, tokenizer, asked, tried, is_merged=not prompts) for subtask in built.subtasks
            ]
        except EvaluationError as error:
            if not prompts:
                raise
            warnings[f"{facts.name}: {name} will fail: {error.field}: {error.detail}"] = None
            continue
        prompts.append((name, _of_task(built.subtasks[0], forms[0])))
        pairs = zip(built.subtasks, forms, strict=True)
        warnings |= dict.fromkeys(f"{facts.name}: {name}: {text}" for pair in pairs for text in _odd(*pair))
    warnings |= dict.fromkeys(_mixed(facts.name, prompts, asked))
    return replace(facts, prompts=tuple(prompts), warnings=tuple(warnings))


def described(chat: Chat, form: ChatFormat | None, *, shots: int) -> str:
    """Says how questions are put to a model, for people."""
    if form is None:
        return PLAIN + (", system message" if chat.system else "")
    named = chat.template_file or chat.template
    parts = [f"chat template {named}" if named else "given chat template"]
    if not (named or chat.template_text):
        parts = ["its chat template"]
    parts += ["system message"] if chat.system else []
    if shots:
        parts += ["examples as turns" if chat.fewshot_as_multiturn else "examples in one turn"]
    parts += [f"answers begin with {chat.gen_prefix!r}"] if chat.gen_prefix else []
    parts += [] if chat.thinking is None else [f"thinking {'on' if chat.thinking else 'off'}"]
    return ", ".join(parts)


def _of_task(subtask: Subtask, form: ChatFormat | None) -> str:
    config = subtask.task.config
    told = [described(subtask.chat, form, shots=config.num_fewshot or 0)]
    if subtask.samples:
        temperature = (config.generation_kwargs or {}).get("temperature")
        told += [f"sampled at temperature {temperature:g}" if temperature else "sampled"]
    told += [f"{config.repeats} answers each"] if subtask.generates and config.repeats > 1 else []
    return ", ".join(told)


def _tried(
    subtask: Subtask, tokenizer: PreTrainedTokenizerBase, asked: Asked, tried: _Tried, *, is_merged: bool
) -> ChatFormat | None:
    """Renders all questions."""
    if is_merged:
        check_template(subtask.chat, tokenizer)
        if subtask.generates:
            check_think_end(subtask.chat, tokenizer)
    form = form_of(subtask, tokenizer, instruct=asked.instruct)
    tried.once(subtask, form)
    return form


class _Tried:
    """What was rendered already; models with the same template are asked the same."""

    def __init__(self) -> None:
        self._done: set[Hashable] = set()

    def once(self, subtask: Subtask, form: ChatFormat | None) -> None:
        key = id(subtask), None if form is None else form.key
        if key not in self._done:
            subtask.try_prompts(form)
            self._done.add(key)


def _try_seeing(subtask: Subtask, asked: Asked) -> None:
    """Prepares one question about images for the merged model.

    Raises:
        EvaluationError: It does not see, or its processor refuses the question.
    """
    sight = asked.sights[0] if asked.sights else None
    if not subtask.sees:
        return
    if sight is None:
        detail = f"{subtask.task.config.task} asks about images, and the merged model only reads"
        raise EvaluationError("task", detail, "add a parent that sees, or choose another task")
    form = form_of(subtask, asked.tokenizers[0], instruct=asked.instruct)
    for question in subtask.questions("search", form=form, most=1):
        text, _, images = with_images(question.requests[0])
        see(sight, text, images)


def _odd(subtask: Subtask, form: ChatFormat | None) -> Iterator[str]:
    if form is None:
        return
    if subtask.task.config.description and refuses_system(form):
        yield "the chat template refuses system messages; the task's description is left out, as in lm-eval"
    if writes_the_date(form):
        yield "the chat template writes today's date into prompts, so scores may differ from day to day"


def _mixed(name: str, prompts: Sequence[tuple[str, str]], asked: Asked) -> Iterator[str]:
    """Yields that models are asked in different ways."""
    if not prompts:
        return
    merged, how = prompts[0]
    for parent, other in prompts[1:]:
        if other != how and parent != merged:
            like = f"({how})" if merged == MERGED else f"as {merged} is ({how})"
            yield f"{name}: merged models are asked {like}, {parent} otherwise ({other})"
    templates = {str(tokenizer.chat_template) for tokenizer in asked.tokenizers if tokenizer.chat_template}
    if how.startswith("its") and len(templates) > 1 and not asked.chosen:
        yield (
            f"{name}: the parents' chat templates differ; merged models take that of {merged}, unless "
            "space.chat_templates: search has it searched over"
        )
