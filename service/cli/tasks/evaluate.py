"""`evomerge evaluate`: checkpoints are asked whole tasks, as lm-eval's own command asks them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from pydantic import ValidationError

from evaluators.chat import Chat
from evaluators.evaluations import EvaluationSettings
from service.cli.connection import JsonOption
from service.cli.exits import Exit
from service.cli.model_arguments import parent_named
from service.cli.several_values import Follows, WordsCommand, anything
from service.cli.tasks.evaluation_tables import report_as_json, show_report
from service.cli.tasks.named_tasks import TaskFolders, spelt, tasks_named
from service.cli.terminal.output import CommandError, note, say
from service.experiment.chat_options import TEMPLATE_ENDINGS, ChatOptions
from workers.pools.actor import evaluate_here
from workers.protocol.evaluation_orders import EvaluationOrder, EvaluationReport


def evaluate(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Folders, or org/name of the Hub.")],
    tasks: Annotated[
        list[str],
        typer.Option(
            *("--tasks", "-t"),
            metavar="NAME,...",
            help="Tasks, groups, tags, or .jsonl files of questions; separated by commas, or repeated.",
        ),
    ],
    parents: Annotated[
        list[str] | None,
        typer.Option(
            "--parents", metavar="MODEL...", help="Show each model beside these, with paired differences."
        ),
    ] = None,
    folders: TaskFolders = None,
    shots: Annotated[
        int | None,
        typer.Option(
            *spelt("--num-fewshot"),
            "-f",
            min=0,
            help="Solved examples before each question.",
            show_default="the tasks'",
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option("--limit", "-L", min=0.0, help="Most items per task; below 1, the share of them."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            *spelt("--apply-chat-template"),
            metavar="[NAME]",
            help="Apply the chat template: the tokenizer's, or its NAMEd one, a built-in one, or a file.",
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            *spelt("--system", "--system-instruction"),
            metavar="TEXT",
            help="A system message.",
        ),
    ] = None,
    multiturn: Annotated[
        bool,
        typer.Option(
            "--fewshot-as-multiturn/--fewshot-in-one-turn",
            help="Whether examples are turns of the conversation, where a template is applied.",
        ),
    ] = True,
    thinking: Annotated[
        bool | None,
        typer.Option(
            "--thinking/--no-thinking", help="Set the template's own switch.", show_default="left alone"
        ),
    ] = None,
    think_end: Annotated[
        str | None,
        typer.Option(
            *spelt("--think-end", "--think-end-token"),
            metavar="TEXT",
            help="The text, or the token's number, up to which reasoning is cut off answers.",
        ),
    ] = None,
    generation: Annotated[
        list[str] | None,
        typer.Option(
            *spelt("--gen-kwargs"),
            metavar="KEY=VALUE,...",
            help="Generation settings that go before the tasks' own, or a JSON object.",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", metavar="FORMAT", help="Of the weights.", show_default="each model's own"),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="`auto` takes a GPU where there is one.")] = "auto",
    batch_size: Annotated[
        int, typer.Option(*spelt("--batch-size"), "-b", min=1, help="Rows of a pass.")
    ] = 64,
    keep_samples: Annotated[
        bool,
        typer.Option(*spelt("--log-samples"), help="Keep every prompt and answer in JSON."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            *spelt("--output", "--output-path"),
            "-o",
            metavar="FILE",
            help="Write JSON there as well.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score checkpoints on tasks with the harness of the search, and print lm-eval's table.

    Tasks are asked whole, on the split that lm-eval scores, and marked by lm-eval itself: numbers are
    those of `lm_eval --model hf`, item by item. With --parents, each model is shown beside them, with
    differences on the same items and their errors. Tokenizers and tasks are looked at before weights.
    """
    if out is not None:
        _check_place(out)
    with tasks_named(_listed(tasks), folders) as named:
        settings = EvaluationSettings(
            tasks=named.names,
            folders=named.folders,
            shots=shots,
            limit=limit,
            chat=_chat(template, system, thinking, think_end, multiturn=multiturn),
            generation=generation_of(generation or ()),
            batch_size=batch_size,
            keep_samples=keep_samples,
        )
        found = evaluate_here(
            EvaluationOrder(
                tuple(map(parent_named, models)),
                settings,
                tuple(map(parent_named, _listed(parents or ()))),
                _dtype(dtype),
                device,
            ),
            note,
        )
    _tell(found, settings, out, as_json=as_json)


class EvaluateCommand(WordsCommand):
    """Takes `--parents A B`, `--gen_kwargs A=1 B=2` and `--apply_chat_template [NAME]`, as lm-eval does."""

    several: ClassVar[Mapping[str, Follows]] = {
        "--parents": anything,
        **dict.fromkeys(spelt("--gen-kwargs"), lambda word: "=" in word),
    }
    optional: ClassVar[Mapping[str, Follows]] = dict.fromkeys(
        spelt("--apply-chat-template"), lambda word: not _names_a_model(word)
    )


evaluate.command_class = EvaluateCommand  # type: ignore[attr-defined]


def _names_a_model(word: str) -> bool:
    """Says whether a word after --apply-chat-template is a model rather than a template."""
    return Path(word).expanduser().is_dir() or ("/" in word and Path(word).suffix not in TEMPLATE_ENDINGS)


def _chat(
    template: str | None, system: str | None, thinking: bool | None, think_end: str | None, *, multiturn: bool
) -> Chat:
    """Returns how models are spoken to; as with lm-eval, no template is applied unless one is asked for.

    Raises:
        CommandError: A setting is wrong, or means nothing without a template.
    """
    if template is None and thinking is not None:
        hint = "add --apply-chat-template"
        raise CommandError(
            "--thinking sets a chat template's switch, and none is applied", hint, code=Exit.USAGE
        )
    try:
        return ChatOptions(
            apply="off" if template is None else "on",
            template=template or None,
            system=system,
            fewshot_as_multiturn=multiturn,
            thinking=thinking,
            think_end=int(think_end) if think_end and think_end.isdecimal() else think_end,
        ).chat
    except ValidationError as error:
        first = error.errors()[0]
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise CommandError(detail, "correct the option", code=Exit.USAGE) from error


def generation_of(words: Sequence[str]) -> dict[str, Any]:
    """Returns generation settings written as `key=value,...`, or as JSON.

    Raises:
        CommandError: They are neither.
    """
    found: dict[str, Any] = {}
    for text in words:
        if text.lstrip().startswith("{"):
            found |= _json_object(text)
            continue
        for pair in text.split(","):
            name, sign, value = pair.partition("=")
            if not (sign and name.strip()):
                hint = "write key=value,key=value, or a JSON object"
                raise CommandError(f"--gen-kwargs {text!r}: {pair!r} is no key=value", hint, code=Exit.USAGE)
            found[name.strip()] = _value(value.strip())
    return found


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise CommandError(
            f"--gen-kwargs {text!r}: {error}", "write a JSON object", code=Exit.USAGE
        ) from error


def _value(text: str) -> Any:  # noqa: ANN401 - a number, a truth value, a list or a text
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text


def _listed(words: Sequence[str]) -> list[str]:
    return [name.strip() for word in words for name in word.split(",") if name.strip()]


def _dtype(text: str | None) -> str | None:
    known = ("float32", "float16", "bfloat16")
    if text not in (None, "auto", *known):
        raise CommandError(f"--dtype {text!r} is unknown", f"use one of: {', '.join(known)}", code=Exit.USAGE)
    return None if text == "auto" else text


def _check_place(out: Path) -> None:
    """Refuses, before anything is asked, a place that nothing can be written to."""
    if out.is_dir() or not out.absolute().parent.is_dir():
        hint = "name a file in a folder that exists"
        raise CommandError(f"{out} cannot be written", hint, code=Exit.USAGE)


def _tell(found: EvaluationReport, settings: EvaluationSettings, out: Path | None, *, as_json: bool) -> None:
    for each in (*found.models, *found.parents):
        if each.cut:
            note(f"{each.model}: {each.cut} prompts lost their beginning, because the model reads no more")
        if each.has_template and settings.chat.apply == "off":
            note(f"{each.model} has a chat template, which --apply-chat-template applies")
    text = json.dumps(report_as_json(found), indent=2, ensure_ascii=False, default=str)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    if as_json:
        say(text)
    else:
        show_report(found, settings)
