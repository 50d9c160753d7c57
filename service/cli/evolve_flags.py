"""mergekit-evolve's flags, taken by `check` and `run` as what they mean here; each with a note."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from typer import Context
from typer.core import TyperCommand

from search_spaces.spaces.mergekit_genotype import GENE_SPAN
from service.cli.exits import Exit
from service.cli.terminal.output import CommandError, note

_PLACE = "evomerge.evolve_flags"
_LIVE = "parents stay in memory, and candidates are merged where they are evaluated"
_UNDERSTOOD = "i-understand-the-depths-of-the-evils-i-am-unleashing"
_SENT = "taken as --log-to wandb:ENTITY/PROJECT, where --wandb is given"
_BUSY = "workers are kept busy by themselves"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class EvolveFlag:
    """One flag of mergekit-evolve.

    Attributes:
        kind: What its value is; None for a switch, which may begin with `--no-`.
        key: What it changes in the experiment, as `--set` calls it; empty where nothing.
        says: What is said of it; it does nothing where there is no key, and the command does not read it.
        is_loss: Something that was asked for is not done.
    """

    kind: type[int] | type[float] | type[str] | None
    key: str = ""
    says: str = ""
    is_loss: bool = False


FLAGS: Mapping[str, EvolveFlag] = {
    "max-fevals": EvolveFlag(int, "budget.candidates"),
    "timeout": EvolveFlag(float, "budget.seconds"),
    "random-seed": EvolveFlag(int, "seed"),
    "sigma0": EvolveFlag(float, "optimizer.sigma"),
    "force-population-size": EvolveFlag(int, "optimizer.population"),
    "batch-size": EvolveFlag(int, "batch_size"),
    "task-search-path": EvolveFlag(str, "tasks_path"),
    "vllm": EvolveFlag(None, "backend"),
    "storage-path": EvolveFlag(
        str, says="taken as --home; best_config.yaml and final_model are written there"
    ),
    "save-final-model": EvolveFlag(None, says="the winner is exported to final_model in the storage path"),
    "num-gpus": EvolveFlag(int, says="taken as the number of workers of a service that is started for this"),
    "strategy": EvolveFlag(str, says=f"{_BUSY}; see optimizer.steady_state"),
    "in-memory": EvolveFlag(None, says=_LIVE),
    "merge-cuda": EvolveFlag(None, says=_LIVE),
    "reshard": EvolveFlag(None, says="not needed: parents are read as they are"),
    "allow-crimes": EvolveFlag(None, says="not needed: what cannot be merged is refused by name"),
    "trust-remote-code": EvolveFlag(None, says="code that comes with a model is never run", is_loss=True),
    "load-in-8bit": EvolveFlag(None, says="candidates are evaluated in the merge's own format", is_loss=True),
    "load-in-4bit": EvolveFlag(None, says="candidates are evaluated in the merge's own format", is_loss=True),
    _UNDERSTOOD: EvolveFlag(None, says="public benchmarks are searched on"),
    "wandb": EvolveFlag(None, says=_SENT),
    "use-wandb": EvolveFlag(None, says=_SENT),
    "wandb-project": EvolveFlag(str, says=_SENT),
    "wandb-entity": EvolveFlag(str, says=_SENT),
}  # fmt: skip
_SHORT = {"-s": "strategy"}
_INVENTED = {
    "config": "give the file itself: evomerge run evolve.yml",
    "eval-task": "name the tasks in the file, under tasks:",
    "eval-tasks": "name the tasks in the file, under tasks:",
}


@dataclass(frozen=True, slots=True)
class EvolveFlags:
    """The flags of one call: their values, switches as true or false; of --task-search-path a list."""

    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def storage(self) -> Path | None:
        """Where mergekit-evolve would keep everything."""
        given = self.values.get("storage-path")
        return None if given is None else Path(given).expanduser()

    @property
    def workers(self) -> int | None:
        """How many GPUs are to be used."""
        return self.values.get("num-gpus")

    @property
    def saves_model(self) -> bool:
        """Says whether the winner is to be written; by default it is where there is a place for it."""
        return bool(self.values.get("save-final-model", self.storage is not None))

    @property
    def allows_benchmarks(self) -> bool:
        """Says whether public benchmarks are known to be searched on."""
        return bool(self.values.get(_UNDERSTOOD))

    @property
    def trackers(self) -> list[str]:
        """What `--log-to` would say: W&B's project, where it is asked for."""
        if not (self.values.get("wandb") or self.values.get("use-wandb")):
            return []
        parts = (self.values.get("wandb-entity"), self.values.get("wandb-project"))
        place = "/".join(part for part in parts if part) if parts[1] else ""
        return [f"wandb:{place}" if place else "wandb"]

    def changes(self, *, genome_file: bool) -> list[str]:
        """Returns what the flags change, as `--set` takes it, and says what each was taken for."""
        found = []
        for name, value in self.values.items():
            flag = FLAGS[name]
            word = f"--{name}" if value is not False else f"--no-{name}"
            if not flag.key:
                note(f"{'Warning: ' if flag.is_loss and value else ''}{word} of mergekit-evolve: {flag.says}")
                continue
            taken = [f"{key}={text}" for key, text in _changes(name, value, genome_file=genome_file)]
            note(f"{word} of mergekit-evolve: taken as {' '.join(f'--set {each}' for each in taken)}")
            found += taken
        return found


def _changes(name: str, value: Any, *, genome_file: bool) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - of any flag
    """Yields the keys that a flag sets, and their values as YAML."""
    key = FLAGS[name].key
    if name == "vllm":
        value = "vllm" if value else "torch"
    elif name == "task-search-path":
        folders = list(dict.fromkeys(str(Path(folder).expanduser().absolute()) for folder in value))
        value = folders[0] if len(folders) == 1 else folders
    elif name == "sigma0" and genome_file:  # there a step in the gene's own units, here a share of its range
        value = value / GENE_SPAN
    yield key, json.dumps(value)
    if name == "random-seed" and genome_file:
        yield "space.seed", json.dumps(value)


def takes_evolve_flags(function: F) -> F:
    """Has a command take mergekit-evolve's flags beside its own; it finds them by `flags_of`."""
    function.command_class = EvolveCommand  # type: ignore[attr-defined]
    return function


def flags_of(context: Context) -> EvolveFlags:
    """Returns the flags with which a command was called."""
    found: EvolveFlags = context.meta.get(_PLACE, EvolveFlags())
    return found


class EvolveCommand(TyperCommand):
    """A command that takes mergekit-evolve's flags out of what it was called with, wherever they stand."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - the framework's
        """Keeps the flags for `flags_of`, and has the rest parsed as usual."""
        own = {option for parameter in self.params for option in getattr(parameter, "opts", ())}
        flags, rest = taken_out(args, own)
        ctx.meta[_PLACE] = flags
        return super().parse_args(ctx, rest)


def taken_out(arguments: Sequence[str], own: set[str]) -> tuple[EvolveFlags, list[str]]:
    """Returns mergekit-evolve's flags, and the arguments without them; `own` are the command's options.

    Raises:
        CommandError: A flag has no value, or one that is none of its kind.
    """
    values: dict[str, Any] = {}
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            return EvolveFlags(values), [*rest, word, *waiting]
        text, equals, value = word.partition("=")
        name = _SHORT.get(text, text.removeprefix("--"))
        bare = name.removeprefix("no-")
        if text in own or not word.startswith("-"):
            rest.append(word)
        elif name in _INVENTED and word.startswith("--"):
            detail = f"there is no {text}, here or in mergekit-evolve"
            raise CommandError(detail, _INVENTED[name], code=Exit.USAGE)
        elif bare in FLAGS and FLAGS[bare].kind is None and not equals:
            values[bare] = bare == name
        elif name in FLAGS and FLAGS[name].kind is not None:
            given = value if equals else (waiting.pop(0) if waiting else None)
            _keep(values, name, _value(name, given))
        else:
            rest.append(word)
    return EvolveFlags(values), rest


def _keep(values: dict[str, Any], name: str, value: object) -> None:
    values[name] = [*values.get(name, []), value] if name == "task-search-path" else value


def _value(name: str, text: str | None) -> int | float | str:
    kind = FLAGS[name].kind or str
    try:
        return kind(_given(name, text))
    except ValueError as error:
        what = "a whole number" if kind is int else "a number"
        raise CommandError(
            f"--{name} {text}: that is not {what}", f"write {what}", code=Exit.USAGE
        ) from error


def _given(name: str, text: str | None) -> str:
    if text is None:
        raise CommandError(f"--{name} has no value", f"write --{name} VALUE", code=Exit.USAGE)
    return text
