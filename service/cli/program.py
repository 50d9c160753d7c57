"""`evomerge`: the command line.  Speaks REST, so that it does nothing that a program could not do.

A command's module is imported when the command is called: help and merges must not wait for a web server.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.cli.exits import Exit
from service.cli.terminal.loudness import LOUDNESS, QuietOption, VerboseOption, has_loudness, with_loudness
from service.cli.terminal.output import exit_code, note, report, say
from service.client.errors import ClientError
from workers.errors import WorkerError


@dataclass(frozen=True, slots=True)
class Command:
    """A command: where its function is, what the list of commands says of it, and examples of its use."""

    place: str  # module:function, inside service.cli
    summary: str
    examples: tuple[str, ...]


COMMANDS: Mapping[str, Command] = {
    "serve": Command(
        "installation.serve:serve",
        "Serve the REST interface and the dashboard, and run experiments.",
        ("evomerge serve", "evomerge serve --home runs --port 8080 --open"),
    ),
    "init": Command(
        "spec_files.init:init",
        "Write an experiment's file to begin with; asks, or takes over another tool's.",
        (
            "evomerge init",
            "evomerge init --models ./math ./code --base ./base --tasks gsm8k_train",
            "evomerge init --models ./math ./code --tasks questions.jsonl",
            "evomerge init --from evolve.yml --out experiment.yml",
            "evomerge init --from-front skills --out second.yml",
        ),
    ),
    "schema": Command(
        "spec_files.schema:schema",
        "Print the JSON Schema of an experiment's file, for editors.",
        ("evomerge schema > evomerge.schema.json",),
    ),
    "run": Command(
        "experiments.run:run",
        "Check and submit experiments one after the other, and watch them to their end.",
        (
            "evomerge run experiment.yml",
            "evomerge run mix.yml stack.yml",
            "evomerge run experiment.yml --name second --set budget.candidates=50",
        ),
    ),
    "check": Command(
        "experiments.run:check", "Check an experiment without running it.", ("evomerge check experiment.yml",)
    ),
    "list": Command(
        "experiments.show:list_experiments",
        "List experiments, newest first.",
        (
            "evomerge list",
            "evomerge list --filter 'status = running' --order-by name",
            "evomerge list --deleted",
        ),
    ),
    "status": Command(
        "experiments.show:status", "Show how far an experiment is.", ("evomerge status skills",)
    ),
    "watch": Command(
        "experiments.watch:watch",
        "Watch an experiment's progress until it has ended.",
        ("evomerge watch skills",),
    ),
    "examination": Command(
        "experiments.show:examination",
        "Show what was found out about the winner, on items the search never saw.",
        ("evomerge examination skills", "evomerge examination skills --json"),
    ),
    "front": Command(
        "experiments.show:front",
        "Show the front and the baselines, with scores on every split.",
        ("evomerge front skills --split test", "evomerge front skills --csv > front.csv"),
    ),
    "lineage": Command(
        "experiments.origins:lineage",
        "Show all ancestors of a candidate.",
        ("evomerge lineage skills 17", "evomerge lineage skills 17 --json"),
    ),
    "importances": Command(
        "candidates.importances:importances",
        "Say how much each gene matters.",
        ("evomerge importances skills", "evomerge importances skills --json"),
    ),
    "archive": Command(
        "experiments.origins:archive",
        "Show the best candidate of every cell over the measures.",
        ("evomerge archive skills",),
    ),
    "candidates": Command(
        "experiments.candidates:candidates",
        "List an experiment's candidates with their scores.",
        (
            "evomerge candidates skills --sort score --limit 10",
            "evomerge candidates skills --status failed",
            "evomerge candidates skills --filter 'objectives.gsm8k > 0.5 AND kind = evolved'",
            "evomerge candidates skills --out candidates.parquet",
        ),
    ),
    "show": Command(
        "experiments.candidates:show",
        "Show all of a candidate: scores, recipe, origin; why it failed.",
        ("evomerge show skills 17", "evomerge show skills winner --json"),
    ),
    "events": Command(
        "experiments.happenings:events",
        "Show what happened in an experiment, a line each.",
        ("evomerge events skills", "evomerge events skills --follow --json"),
    ),
    "logs": Command(
        "experiments.happenings:logs",
        "Show what went wrong in an experiment, and what to do.",
        ("evomerge logs skills", "evomerge logs skills --limit 5"),
    ),
    "try": Command(
        "candidates.trying:try_candidate",
        "Put a prompt to a candidate and its parents.",
        (
            "evomerge try skills winner --prompt 'What is 17 + 4?'",
            "evomerge try skills 17 --prompt - --max-tokens 400 --no-parents < question.txt",
        ),
    ),
    "samples": Command(
        "candidates.samples:samples",
        "Show what a candidate answers to single items.",
        ("evomerge samples skills winner", "evomerge samples skills 17 --split selection --count 10"),
    ),
    "enqueue": Command(
        "candidates.queueing:enqueue",
        "Have a search try a recipe of your own.",
        (
            "evomerge enqueue skills recipe.yml",
            "evomerge enqueue skills recipe.yml --label 'more of the first'",
        ),
    ),
    "retry": Command(
        "candidates.queueing:retry",
        "Have a search try a failed candidate again.",
        ("evomerge retry skills 17",),
    ),
    "reevaluate": Command(
        "candidates.queueing:reevaluate",
        "Have a candidate's recipe asked every item anew.",
        ("evomerge reevaluate skills 17", "evomerge reevaluate skills winner"),
    ),
    "queue": Command(
        "candidates.queueing:queue",
        "List the recipes in a search's queue.",
        ("evomerge queue skills", "evomerge queue skills --json"),
    ),
    "pause": Command(
        "experiments.lifecycle:pause", "Have an experiment stop proposing.", ("evomerge pause skills",)
    ),
    "resume": Command(
        "experiments.lifecycle:resume",
        "Have a paused or failed experiment go on where it stopped.",
        ("evomerge resume skills",),
    ),
    "extend": Command(
        "experiments.lifecycle:extend",
        "Have an experiment that ended go on with a larger budget.",
        (
            "evomerge extend skills --candidates 500",
            "evomerge extend skills --candidates 500 --lift target",
        ),
    ),
    "stop": Command(
        "experiments.lifecycle:stop",
        "Have a search end early, and examine its winner.",
        ("evomerge stop skills",),
    ),
    "cancel": Command(
        "experiments.lifecycle:cancel", "End an experiment for good.", ("evomerge cancel skills",)
    ),
    "edit": Command(
        "experiments.describing:edit",
        "Change an experiment's name, notes, tags or star.",
        ("evomerge edit skills --tag paper --star", "evomerge edit skills --name first-try"),
    ),
    "clone": Command(
        "experiments.describing:clone",
        "Create an experiment after another one, with changes.",
        ("evomerge clone skills more-skills --set budget.candidates=500",),
    ),
    "delete": Command(
        "experiments.lifecycle:delete",
        "Delete an experiment; what was exported stays.",
        ("evomerge delete skills", "evomerge delete skills --force --yes"),
    ),
    "undelete": Command(
        "experiments.lifecycle:undelete",
        "Bring a deleted experiment back.",
        ("evomerge undelete skills",),
    ),
    "recipe": Command(
        "experiments.show:recipe",
        "Write a candidate's recipe as mergekit YAML.",
        ("evomerge recipe skills 17 > best.yml", "evomerge recipe skills winner > winner.yml"),
    ),
    "export": Command(
        "experiments.export:export",
        "Export a candidate as an ordinary Hugging Face checkpoint.",
        (
            "evomerge export skills winner --to merged",
            "evomerge export skills 17 --to hub:org/name",
            "evomerge export skills front --to hub:org/name",
            "evomerge export skills winner --to hub:org/name --dry-run",
        ),
    ),
    "exports": Command(
        "experiments.exports:exports",
        "List exports and how far they are; cancel one.",
        ("evomerge exports", "evomerge exports --cancel 019ad1f2-7c3e-7a51-9d3f-2b6f0c4a8e11"),
    ),
    "compose": Command(
        "models.compose:compose",
        "Write a recipe that a paper gave a name to.",
        (
            "evomerge compose chat-vector org/base org/base-chat org/base-japanese > recipe.yml",
            "evomerge compose layer-swap org/japanese org/math --bottom 5 --top 4 --out recipe.yml",
            "evomerge compose layer-swap --help",
        ),
    ),
    "tasks": Command(
        "tasks.tasks:tasks",
        "List lm-eval's tasks and your own, show one, fetch what they need.",
        (
            "evomerge tasks list gsm8k",
            "evomerge tasks show gsm8k --model ./math",
            "evomerge tasks show questions.jsonl",
            "evomerge tasks fetch gsm8k mmlu",
        ),
    ),
    "evaluate": Command(
        "tasks.evaluate:evaluate",
        "Score checkpoints on tasks, as lm-eval does; beside their parents.",
        (
            "evomerge evaluate ./merged --tasks gsm8k,arc_easy --limit 100",
            "evomerge evaluate ./merged --tasks questions.jsonl --parents ./math,./japanese",
            "evomerge evaluate ./merged --tasks ifeval --apply-chat-template -o results.json",
        ),
    ),
    "methods": Command(
        "models.inspecting:methods", "List merge methods.", ("evomerge methods", "evomerge methods --json")
    ),
    "inspect": Command(
        "models.inspecting:inspect",
        "Say what a model is, before any weights.",
        ("evomerge inspect ./math", "evomerge inspect org/math@v2 --json"),
    ),
    "workers": Command(
        "experiments.workers:workers",
        "Say which experiments have which workers.",
        ("evomerge workers", "evomerge workers --json"),
    ),
    "preflight": Command(
        "models.preflight:preflight",
        "Say what a merge's parents are, and what will not work.",
        ("evomerge preflight recipe.yml", "evomerge preflight org/base org/math@v2 ./code+./adapter --json"),
    ),
    "licences": Command(
        "models.licences:licences",
        "Say under which licence a merge of models would stand, and what it asks.",
        ("evomerge licences experiment.yml", "evomerge licences org/base org/math ./code"),
    ),
    "select": Command(
        "models.select:select",
        "Propose which models of a pool to merge.",
        ("evomerge select ./pool --base ./base --tasks questions.jsonl --limit 200",),
    ),
    "kinship": Command(
        "models.kinship:kinship",
        "Say how alike fine-tuned models are.",
        ("evomerge kinship ./math ./code ./japanese --base ./base",),
    ),
    "merge": Command(
        "models.merge:merge",
        "Merge one recipe to disk, without a service.",
        ("evomerge merge recipe.yml merged", "evomerge merge recipe.yml merged --memory-limit 4GB"),
    ),
    "reproduce": Command(
        "models.reproduce:reproduce",
        "Merge a checkpoint again from its lock, and compare it tensor by tensor.",
        ("evomerge reproduce merged", "evomerge reproduce hub:org/name --parent left=./left"),
    ),
    "calibrate": Command(
        "models.calibrate:calibrate",
        "Record what merge methods need to know of a model.",
        (
            "evomerge calibrate ./math --texts math.txt",
            "evomerge calibrate mistralai/Mixtral-8x7B-v0.1 --texts wiki.jsonl --record routing",
        ),
    ),
    "learn": Command(
        "models.calibrate:learn",
        "Learn a recipe's coefficients by gradient, from texts.",
        (
            "evomerge learn ./math ./code --base ./base --texts unlabelled.txt > recipe.yml",
            "evomerge learn recipe.yml --texts labelled.txt --scope tensor --objective cross_entropy",
        ),
    ),
    "align": Command(
        "models.transform:align",
        "Reorder a model's units so that they match another model's.",
        ("evomerge align finetuned --to base --out aligned",),
    ),
    "partial-merge": Command(
        "models.transform:partial_merge",
        "Merge two models of different origin; keep the units that match worst.",
        ("evomerge partial-merge first second --ratio 0.25 --out merged",),
    ),
    "merge-experts": Command(
        "models.transform:merge_experts",
        "Merge a mixture's experts into fewer.",
        ("evomerge merge-experts mixtral --experts 4 --out smaller",),
    ),
    "merge-adapters": Command(
        "models.transform:merge_adapters",
        "Merge LoRA adapters into one.",
        (
            "evomerge merge-adapters code math --out both",
            "evomerge merge-adapters code math --rank 16 --out both",
            "evomerge merge-adapters code math --method ties --weight 0.6 --weight 0.4 --out both",
        ),
    ),
    "transplant": Command(
        "models.transform:transplant",
        "Give an instruct model the vocabulary of an adapted base.",
        ("evomerge transplant instruct --base base --vocabulary adapted --out transplanted",),
    ),
    "config": Command(
        "spec_files.configuring:config",
        "Show the settings in force here, or an experiment's spec.",
        ("evomerge config show", "evomerge config show skills > again.yml"),
    ),
    "key": Command(
        "keys:key",
        "Make, list and revoke keys of a service; see what was changed by whose key.",
        (
            "evomerge key create grafana --role viewer --days 90",
            "evomerge key list",
            "evomerge key whoami",
            "evomerge key revoke grafana",
            "evomerge key audit --limit 20",
        ),
    ),
    "doctor": Command(
        "installation.doctor:doctor",
        "Check what evomerge needs on this machine.",
        ("evomerge doctor", "evomerge doctor --json"),
    ),
}


ENDINGS = "The exit code is 0 where all went well; `evomerge --help` lists the others."


class FriendlyGroup(TyperGroup):
    """Runs commands; an error becomes two lines and an exit code, a traceback only on demand."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - the framework's
        super().__init__(**attributes)
        self.commands = dict.fromkeys(COMMANDS)  # type: ignore[assignment]  # names alone, for what was misspelt

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - the framework's
        """Begins a call: it says as much as usual, unless told otherwise."""
        LOUDNESS.reset()
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - the framework's
        """Returns the commands' names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - the framework's
        """Imports a command; None where there is no such command."""
        found = COMMANDS.get(cmd_name)
        return None if found is None else _load(cmd_name, found)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - the framework's
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - the framework's
        """Says how commands end, after what to begin with."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), code.meaning) for code in Exit])

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - the framework's
        """Runs the chosen command; what it returns is the exit code."""
        try:
            code = super().invoke(ctx)
        except (ClientError, WorkerError) as error:
            if ctx.params.get("debug"):
                raise
            report(error)
            code = exit_code(error)
        except KeyboardInterrupt:
            note("\nInterrupted.")
            code = Exit.INTERRUPTED
        if code:
            raise typer.Exit(int(code))
        return code


def _load(name: str, command: Command) -> Any:  # noqa: ANN401 - the framework's
    module, function = command.place.split(":")
    examples = "\n".join(f"  {example}" for example in command.examples)
    epilog = f"\b\nExamples:\n{examples}\n\n{ENDINGS}"
    found = getattr(import_module(f"service.cli.{module}"), function)
    if isinstance(found, typer.Typer):  # a group of commands
        found.info.name, found.info.epilog = name, epilog
        for each in found.registered_commands:
            if each.callback is not None and not has_loudness(each.callback):  # once per process
                each.callback = with_loudness(each.callback)
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, epilog=epilog, cls=getattr(found, "command_class", None))(with_loudness(found))
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=FriendlyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Evolve merge recipes of language models.",
    epilog="Begin with `evomerge doctor`, then `evomerge init` and `evomerge run FILE.yml`.",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # slow, and needed here alone

        say(f"evomerge {version('evomerge')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[  # noqa: ARG001 - `invoke` reads it
        bool, typer.Option("--debug", envvar="EVOMERGE_DEBUG", help="Show tracebacks.")
    ] = False,
    show_version: Annotated[  # noqa: ARG001 - its callback has answered
        bool, typer.Option("--version", "-V", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Takes what all commands share."""
    LOUDNESS.heed(quiet=quiet, verbose=verbose)


def main() -> None:
    """Runs the command that the process was started with."""
    # Importing torch makes half a million objects and no garbage: looking for some as often as usual
    # takes a second of a merge, and looking once more at the end half of one.
    gc.set_threshold(50_000, 20, 50)
    try:
        sys.exit(app())
    finally:
        gc.freeze()
