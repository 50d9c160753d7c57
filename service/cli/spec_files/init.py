"""`evomerge init`: an experiment's file to begin with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from search_spaces.catalogue.methods import METHODS
from search_spaces.recipes.strict_yaml import load_yaml
from service.cli.connection import JsonOption, Place, finds_experiments
from service.cli.exits import Exit
from service.cli.model_arguments import recipe_in
from service.cli.reaching import connect
from service.cli.several_values import Follows, WordsCommand, anything
from service.cli.spec_file import read_spec_file
from service.cli.spec_files.questions import QUESTIONS_ENDING, read_questions, task_text
from service.cli.spec_files.schema import write_schema_beside
from service.cli.terminal.output import CommandError, note, say
from service.errors import Mistake
from service.experiment.spec import ExperimentSpec
from service.specification.commented_spec import commented
from service.specification.reading import read_spec

USUAL_CANDIDATES = 100
USUAL_GROUPS = 4
TASKS_FOLDER = "tasks"  # beside the experiment's file
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE.yml", help="Where to.")]
TasksPathOption = Annotated[
    Path | None, typer.Option("--tasks-path", metavar="FOLDER", help="A folder with task files of your own.")
]


class InitCommand(WordsCommand):
    """Takes several values after one option: `--models A B --tasks T`."""

    several: ClassVar[Mapping[str, Follows]] = {"--models": anything, "--tasks": anything}


@finds_experiments
def init(
    place: Place,
    models: Annotated[
        list[str] | None, typer.Option("--models", metavar="MODEL...", help="The models to merge.")
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks", metavar="TASK...", help="What to improve: lm-eval tasks, or .jsonl files of questions."
        ),
    ] = None,
    base: Annotated[str | None, typer.Option("--base", help="The models' common ancestor.")] = None,
    tasks_path: TasksPathOption = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A file of mergekit-evolve or mergenetic, or a recipe."),
    ] = None,
    front: Annotated[
        str | None,
        typer.Option("--from-front", metavar="NAME", help="An experiment from whose front to start another."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.yml", help="Where to.")] = Path(
        "experiment.yml"
    ),
    replace: Annotated[bool, typer.Option("--replace", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Write an experiment's file with comments; asks for what is not said.

    Its first line names the JSON Schema, which is written beside it, so that editors complete its keys.

    Questions of your own are lines of JSON, {"question": "...", "answer": "..."}, with "choices": [...]
    where there are some. They are made into an lm-eval task, which is written into the folder `tasks`
    beside the file, or into --tasks-path.
    """
    if out.exists() and not replace:
        raise CommandError(
            f"{out} is there already", "name another with --out, or add --replace", code=Exit.CONFLICT
        )
    if front is not None:
        with connect(place) as client:
            content, remarks = second_experiment(client.experiment(front).spec, front)
    elif source is not None:
        content, remarks = _from_file(source, tasks or [])
    else:
        content, remarks = _from_answers(models or [], tasks or [], base)
        content = _beside(content, out.absolute().parent)
    if front is None:
        content["name"] = out.stem
    if tasks_path is not None:
        content["tasks_path"] = str(tasks_path.absolute())
    written = _questions_as_tasks(content, out.absolute().parent)
    _check(content)
    out.parent.mkdir(parents=True, exist_ok=True)
    for file, text in written.items():
        _write_task(file, text, replace=replace)
    text = commented(content, schema=write_schema_beside(out), remarks=remarks)
    out.write_text(text, encoding="utf-8")
    say(json.dumps({"file": str(out), "experiment": content}, indent=2) if as_json else str(out))
    note(f"Look through it; then `evomerge check {out}` and `evomerge run {out}`.")
    return Exit.OK


init.command_class = InitCommand  # type: ignore[attr-defined]


def second_experiment(spec: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """Returns an experiment like another one, which starts from that one's front."""
    said = ExperimentSpec.model_validate(spec)
    content: dict[str, Any] = said.model_dump(mode="json", exclude_defaults=True)
    content |= {"name": f"{said.name}-2", "seed": said.seed + 1, "warm_start": [name]}
    return content, [
        f"Starts from the winner and the front of {name}: they are scored before the search begins."
    ]


def _questions_as_tasks(content: dict[str, Any], folder: Path) -> dict[Path, str]:
    """Has objectives that are files of questions name tasks instead; returns the tasks' files.

    Raises:
        CommandError: A file cannot be read, or holds a line that is no question with an answer.
    """
    found: dict[Path, str] = {}
    for objective in content["objectives"]:
        if not str(objective.get("task", "")).endswith(QUESTIONS_ENDING):
            continue
        questions = read_questions(Path(objective["task"]).expanduser())
        place = folder / content.setdefault("tasks_path", TASKS_FOLDER)
        found[place / f"{questions.task}.yaml"] = task_text(questions, place)
        objective["task"] = questions.task
        note(questions.told)
    return found


def _write_task(file: Path, text: str, *, replace: bool) -> None:
    if file.exists() and not replace and file.read_text(encoding="utf-8") != text:
        hint = "keep it with --tasks-path and the task's name, or add --replace"
        raise CommandError(f"{file} is there already and differs", hint, code=Exit.CONFLICT)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    note(f"The task is {file}: see how it puts the questions.")


def _from_file(source: Path, tasks: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Reads another tool's file, or a recipe."""
    if not _is_of_an_experiment(source):
        return _from_recipe(source, tasks)
    found = read_spec_file(source)
    if found.translation is None:
        hint = "give a file of mergekit-evolve or mergenetic, or a mergekit recipe"
        raise CommandError(f"{source} is an experiment already", hint, code=Exit.USAGE)
    told = [remark.text[:1].upper() + remark.text[1:] for remark in found.translation.remarks]
    return found.content, [f"Made from {source}.", *told]


def _is_of_an_experiment(source: Path) -> bool:
    """Says whether a file holds one mapping that is no recipe; what cannot be read is told as a recipe's."""
    try:
        content = load_yaml(source.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return not (isinstance(content, dict) and "merge_method" in content)


def _from_recipe(source: Path, tasks: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Returns an experiment over a recipe's models, with the recipe among the baselines."""
    recipe = recipe_in(source)
    models = [str(parent) for parent in recipe.merged_parents if parent != recipe.base]
    base = None if recipe.base is None else str(recipe.base)
    content, _ = _from_answers(models, tasks, base, asks_base=False)
    if any(parameter.searched for parameter in METHODS[recipe.method].parameters):
        content["space"] = content["space"] | {"method": recipe.method}
    content["baselines"] = {"recipes": {source.stem: str(source.absolute())}}
    return content, [f"Made from the recipe {source}, which is scored among the baselines."]


def _from_answers(
    models: Sequence[str], tasks: Sequence[str], base: str | None, *, asks_base: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """Returns an experiment over these models and tasks; asks for what is missing."""
    asked = not models
    models = models or _ask("Models to merge (folders or org/name, with spaces between)").split()
    if base is None and asks_base and asked:
        base = _ask("Their common ancestor (empty: none)", default="") or None
    tasks = tasks or _ask("lm-eval tasks to improve, or .jsonl files of questions").split()
    content: dict[str, Any] = {"parents": list(models)}
    if base is not None:
        content["base"] = base
    content |= {
        "space": {
            "method": "linear" if base is None else "task_arithmetic",
            "layer_groups": min(USUAL_GROUPS, _depth(models[0])),
        },
        "objectives": [{"task": task} for task in tasks],
        "optimizer": {"algorithm": "auto"},
        "budget": {"candidates": USUAL_CANDIDATES},
        "seed": 0,
    }
    return content, []


def _depth(model: str) -> int:
    """Returns how many layers a folder's model has; the usual number of groups where that is not known."""
    try:
        config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
        return int(config["num_hidden_layers"])
    except (OSError, ValueError, KeyError, TypeError):
        return USUAL_GROUPS


def _beside(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the content with folders named from where the file will lie."""

    def named(model: str) -> str:
        path = Path(model).expanduser()
        if not path.is_dir() or path.is_absolute():
            return model
        return f"./{os.path.relpath(path, folder)}"

    base = {"base": named(content["base"])} if "base" in content else {}
    return {**content, "parents": [named(model) for model in content["parents"]], **base}


def _ask(question: str, default: str | None = None) -> str:
    try:
        return str(typer.prompt(question, default=default, show_default=False, err=True))
    except typer.Abort as error:
        hint = "answer, or give --models A B --tasks T, --from FILE or --from-front NAME"
        raise CommandError("there is no answer", hint, code=Exit.USAGE) from error


def _check(content: Mapping[str, Any]) -> None:
    spec, mistakes = read_spec(content)
    if spec is None:
        raise CommandError(_told(mistakes), "correct what was given", code=Exit.INVALID)


def _told(mistakes: Sequence[Mistake]) -> str:
    return "; ".join(f"{mistake.pointer}: {mistake.detail}" for mistake in mistakes)
