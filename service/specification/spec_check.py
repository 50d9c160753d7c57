"""Checks a spec against the world: parents on disk, the search space over them, tasks that exist.

All mistakes are found at once, whatever else is wrong, and before any weight is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Any

from evaluators import BenchmarkFacts
from search_spaces import Eyes, Heads, Parent, ParentPool, Recipe, SearchSpace, SpaceOptions, build_space
from search_spaces.catalogue.methods import METHODS
from search_spaces.errors import RecipeFileError, SpaceError
from search_spaces.genome import Real, Variable, initial_genome
from search_spaces.recipes.mergekit.problems import Notice
from search_spaces.recipes.mergekit.recipe_yaml import read_recipe, write_recipe
from search_spaces.spaces.pinned import PinnedSpace
from service.errors import InvalidSpecError, Mistake, NotFoundError, ServiceError
from service.experiment.chat_options import ChatOptions, in_full
from service.experiment.generation_options import GenerationOptions
from service.experiment.spec import MOST_PARENTS, Baselines, ExperimentSpec, Objective
from service.optimizers import NEED_KINSHIP, choose_algorithm
from service.search.plan import Baseline
from service.specification.baselines import PlannedBaseline, baselines_for
from service.specification.criteria_check import criteria_mistakes, optimizer_mistakes, rotation_mistakes
from service.specification.eyes import look
from service.specification.idle_genes import Idle, idle_in
from service.specification.objectives.found import objective_facts, too_few
from service.specification.objectives.lm_eval_names import in_users_words, with_own_names
from service.specification.objectives.pointers import objectives_pointer
from service.specification.objectives.searched_templates import (
    idle_templates,
    searched_templates,
    with_searched_templates,
)
from service.specification.objectives.task_folders import task_folders
from service.specification.own_recipes import incompatibilities, mistakes_in
from service.specification.planning import ExperimentFacts, build_pool, build_space_for, with_eyes, with_heads
from service.specification.reading import (
    average_of,
    from_space_error,
    names_an_experiment,
    pointer_to,
    read_part,
    read_spec,
    with_absolute_paths,
)
from service.specification.transfer import Transfer, nothing_known, with_known
from workers.checkpoints.architecture.foldable import rule_for
from workers.checkpoints.hub.parent_files import inspect_parent
from workers.checkpoints.layout import Layout, parameter_counts
from workers.compatibility.checks import unprepared
from workers.compatibility.parent_concerns import Concerns, concerns_of
from workers.errors import WorkerError
from workers.protocol.kinship_orders import KinshipInquiry, KinshipReport
from workers.protocol.messages import BenchmarkInquiry, BenchmarkProblem, BenchmarkReport, Workforce

MANY_LAYERS = 1000  # taken as the parents' depth where no parent can be looked at
FEW_ITEMS = 30
FEW_CANDIDATES_PER_GENE = 5
MUCH_OVERLAP = 0.05  # share of test items


@dataclass(frozen=True, slots=True)
class Checked:
    """A spec that can be run.

    Attributes:
        facts: `service.specification.planning.ExperimentFacts` as JSON, to be stored beside the spec.
        genes: Names of the search space's variables.
        warnings: What is allowed but seldom wise.
    """

    spec: ExperimentSpec
    facts: dict[str, Any]
    genes: tuple[str, ...]
    warnings: tuple[str, ...]


Earlier = Callable[[str], Sequence[PlannedBaseline] | None]
"""Returns the best recipes of an earlier experiment, by its name; None where there is no such one."""


WinnerOf = Callable[[str], Recipe]
"""Returns the recipe of an experiment's winner, by its name; raises a ServiceError where there is none."""


def _no_winner(name: str) -> Recipe:
    raise NotFoundError("experiment", name)


def check_spec(
    raw: Mapping[str, Any],
    workforce: Workforce,
    earlier: Earlier = lambda _: None,
    winner_of: WinnerOf = _no_winner,
    transfer: Transfer = nothing_known,
) -> Checked:
    """Returns the spec with absolute paths, and what was found out on the way.

    Args:
        raw: What the user wrote.
        workforce: Who can say whether the tasks exist.
        earlier: Finds what a warm start takes over.
        winner_of: Finds the merged model that a space of stacked layers begins with.
        transfer: Finds what other experiments know of the same models.

    Raises:
        InvalidSpecError: The spec has mistakes; holds all of them.
    """
    written, raw = raw, with_absolute_paths(with_own_names(raw))
    raw, no_winner = _with_winner(raw, winner_of)
    raw, no_templates = with_searched_templates(raw)
    spec, mistakes = read_spec(raw)
    mistakes += [*no_winner, *no_templates]
    check = _Check(raw, mistakes)
    check.parents()
    check.space()
    check.optimizer()
    check.benchmarks(workforce)
    mistakes += rotation_mistakes(raw, check.entries)
    check.recipes()
    check.warm_start(earlier)
    if spec is None or mistakes:
        # What the schema refused is told once, in the order in which it stands in the spec.
        pointed = in_users_words(mistakes, written)
        raise InvalidSpecError(tuple({(m.pointer, m.code, m.detail): m for m in pointed}.values()))
    kinship = check.kinship(spec, workforce)
    if mistakes:
        raise InvalidSpecError(tuple(mistakes))
    facts = check.facts(spec, kinship)
    space = build_space_for(spec, facts)
    genes = tuple(variable.name for variable in space.variables)
    known = transfer(spec, space)
    if known.mistakes:
        raise InvalidSpecError(known.mistakes)
    minded = [f"{found.field}: {found.detail}; {found.remedy}" for found in check.concerns.warnings]
    told = (*minded, *check.warnings, *_warnings(spec, check.entries, genes), *check.ignored, *known.told)
    return Checked(spec, with_known(facts, known), genes, told)


@dataclass(slots=True)
class _Check:
    """One check of one spec, part by part; each part that can be read is checked on its own."""

    raw: Mapping[str, Any]
    mistakes: list[Mistake]
    layouts: dict[Parent, Layout] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)  # parts of recipes that are not read
    entries: list[BenchmarkFacts] = field(default_factory=list)
    pool: ParentPool | None = None
    merged: Recipe | None = None
    templates: tuple[Parent, ...] = ()  # that the search chooses from
    eyes: Eyes | None = None
    heads: Heads | None = None
    idle: Idle = field(default_factory=Idle)
    variables: tuple[Variable, ...] = (Real("any", 0.0, 1.0, 0.5),)  # until the space is known
    taken_over: list[PlannedBaseline] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    concerns: Concerns = field(default_factory=Concerns)

    def named_parents(self) -> dict[Parent, str]:
        """Returns the parents and the base that can be read, with their pointers."""
        given = self.raw.get("parents")
        listed = given[:MOST_PARENTS] if isinstance(given, list) else []
        places = [(f"/parents/{i}", item) for i, item in enumerate(listed)] + [
            ("/base", self.raw.get("base"))
        ]
        found: dict[Parent, str] = {}
        for pointer, item in places:
            if item is not None and (parent := read_part(Parent, item)) is not None:
                found.setdefault(parent, pointer)
        return found

    def parents(self) -> None:
        """Looks at the checkpoints, and whether they fit together."""
        named = self.named_parents()
        for parent, pointer in named.items():
            try:
                self.layouts[parent] = inspect_parent(parent)
            except WorkerError as error:
                self.mistakes.append(_from_worker_error(error, pointer))
            except OSError as error:
                remedy = "correct the path, or the folder's permissions"
                self.mistakes.append(Mistake(pointer, "unreadable", f"{parent}: {error.strerror}", remedy))
        pointers = {str(parent): pointer for parent, pointer in named.items()}
        given = self.raw.get("base")  # one that cannot be read is a mistake, but not a missing base
        base = None if given is None else read_part(Parent, given) or Parent(model="unreadable")
        mixed = tuple(parent for parent in named if parent != base)
        seen = look(self.layouts, self.raw.get("vision"), base or next(iter(mixed), None))
        self.eyes, self.heads, mismatches = seen.eyes, seen.heads, seen.mismatches
        self.warnings += seen.told
        self.mistakes += seen.mistakes if len(named) == len(self.layouts) else ()
        for mismatch in mismatches:
            self.mistakes.append(_from_worker_error(mismatch, pointers.get(mismatch.field, "/parents")))
        if not mismatches:
            self._concerns(pointers)
        layout = self._shaping()
        if mixed:
            shape = (layout.layers, layout.layer_prefix) if layout else (MANY_LAYERS, "model.layers.")
            self.pool = ParentPool(mixed, base, *shape, *(parameter_counts(layout) if layout else ()))

    def _shaping(self) -> Layout | None:
        """Returns the checkpoint whose tensors' names merged models have."""
        first = next(iter(self.layouts.values()), None)
        return first if self.eyes is None else self.layouts[self.eyes.owner]

    def _concerns(self, pointers: Mapping[str, str]) -> None:
        """Finds out in what else than tensors and tokens the parents differ."""
        given = self.raw.get("base")
        base = None if given is None else read_part(Parent, given)
        ordered = sorted(self.layouts, key=lambda parent: parent != base)
        space = self.raw.get("space")
        kind = space.get("kind") if isinstance(space, Mapping) else None
        self.concerns = concerns_of(
            [self.layouts[parent] for parent in ordered],
            averaged=kind not in ("layer_stacking", "structured_stacking"),
            based=base is not None,
        )
        for finding in self.concerns.refusals:
            pointer = pointers.get(finding.field, "/parents")
            detail = f"{finding.field}: {finding.detail}"
            self.mistakes.append(Mistake(pointer, "parents_differ", detail, finding.remedy))

    def space(self) -> None:
        """Builds the space again and again, each time without the last option that was refused."""
        raw = self.raw.get("space", {})
        while self.pool is not None:
            options: SpaceOptions | None = read_part(SpaceOptions, raw)  # type: ignore[arg-type]  # a union
            if options is None:
                return
            try:
                space = with_heads(with_eyes(build_space(options, self.pool), self.eyes), self.heads)
                self.idle = idle_in(space, self.pool, self.layouts)
                self.warnings += self.idle.told
                self.variables = PinnedSpace(space, self.idle.genes).variables
                self.templates = searched_templates(options, self.layouts)
                self._foldable(options)
                self._decoded(space)
                self._prepared(space)
                self._matching(options)
                return
            except SpaceError as error:
                mistake = from_space_error(error)
                self.mistakes.append(mistake)
                before, raw = raw, _without(raw, mistake.pointer)
                if raw == before:
                    return

    def _decoded(self, space: SearchSpace) -> None:
        """Notes what a merged model is like, if all that it is made of can be looked at."""
        recipe = space.decode(initial_genome(space.variables))
        if isinstance(recipe, Recipe) and {*recipe.all_parents, recipe.tokenizer_owner} <= set(self.layouts):
            self.merged = recipe

    def _prepared(self, space: SearchSpace) -> None:
        """Checks that the parents' records are there, if the method reads any."""
        recipe = space.decode(initial_genome(space.variables))
        if not isinstance(recipe, Recipe) or any(p not in self.layouts for p in recipe.all_parents):
            return
        # A record is found by its model's weights: those of the Hub may not be on this disk yet.
        with suppress(FileNotFoundError):
            self.mistakes += [
                _from_worker_error(error, "/space/method") for error in unprepared(recipe, self.layouts)
            ]

    def _matching(self, options: SpaceOptions) -> None:
        """Checks that every filter is part of some tensor's name: its genes would change nothing."""
        inner = getattr(options, "parameter", options)
        pointer = "/space/filters" if inner is options else "/space/parameter/filters"
        names = [name for layout in self.layouts.values() for name in layout.tensors]
        for place, part in enumerate(getattr(inner, "filters", ()) if names else ()):
            if not any(part in name for name in names):
                detail = f"{part!r} is part of no tensor's name"
                remedy = f"use a part of one, as of {names[len(names) // 2]}"
                if options.kind == "mergekit_evolve":  # whose files run as they are
                    self.warnings.append(f"filters: {detail}, so its genes change nothing; {remedy}")
                    continue
                self.mistakes.append(Mistake(f"{pointer}/{place}", "idle_filter", detail, remedy))

    def _foldable(self, options: SpaceOptions) -> None:
        """Checks that what is searched with scales can be exported."""
        stacking = getattr(options, "stacking", options)
        pointer = "/space/scales" if stacking is options else "/space/stacking/scales"
        layout = self._shaping()
        if layout is not None and getattr(stacking, "scales", False):
            try:
                rule_for(layout.architecture)
            except WorkerError as error:
                self.mistakes.append(_from_worker_error(error, pointer))

    def optimizer(self) -> None:
        """Checks the optimizer's settings, and what candidates are to be measured by."""
        mixed = self.pool.parents if self.pool is not None else ()
        self.mistakes += optimizer_mistakes(self.raw, self.variables, mixed)
        self.mistakes += criteria_mistakes(self.raw, tuple(self.named_parents()))

    def benchmarks(self, workforce: Workforce) -> None:
        """Asks a worker whether the tasks can be built."""
        given = self.raw.get("objectives")
        items = enumerate(given) if isinstance(given, list) else ()
        objectives = {i: o for i, item in items if (o := read_part(Objective, item)) is not None}
        folders, missing = task_folders(self.raw)
        self.mistakes += missing
        chat = read_part(ChatOptions, in_full(self.raw.get("chat", {})))
        said = self.raw.get("generation")
        generation = None if said is None else read_part(GenerationOptions, said)
        asked = tuple(each.benchmark(folders, chat, generation) for each in objectives.values())
        if not objectives:
            return
        parents = () if self.merged is None else tuple(self.layouts)
        if self.eyes is not None:  # who only reads is asked as the language model of one that sees
            parents = self.eyes.seeing if parents else ()
        inquiry = BenchmarkInquiry(asked, self.merged, parents, templates=self.templates)
        try:
            report = workforce.run_job(inquiry)
        except WorkerError as error:
            self.mistakes.append(_from_worker_error(error, "/objectives"))
            return
        for i, entry in zip(
            objectives, report.entries if isinstance(report, BenchmarkReport) else (), strict=True
        ):
            if isinstance(entry, BenchmarkProblem):
                pointer = objectives_pointer(self.raw, i, entry.field)
                remedy = entry.remedy.replace("include_path", "tasks_path")  # as specs call it
                self.mistakes.append(Mistake(pointer, entry.code, entry.detail, remedy))
            else:
                self.entries.append(entry)
                self.mistakes += too_few(entry, objectives[i], pointer_to("objectives", i))
        self.mistakes += idle_templates(self.templates, self.entries)

    def recipes(self) -> None:
        """Reads the user's own recipes, and whether the parents can cook them."""
        baselines = read_part(Baselines, self.raw.get("baselines", {}))
        for name, text in baselines.recipes.items() if baselines is not None else ():
            pointer = pointer_to("baselines", "recipes", name)
            notices: list[Notice] = []
            try:
                recipe = read_recipe(text, notices)
            except RecipeFileError as error:
                self.mistakes += mistakes_in(error, pointer)
            else:
                self.ignored += [f"baselines.recipes.{name}, {notice}" for notice in notices]
                self.mistakes += self._incompatibilities(recipe, pointer)

    def warm_start(self, earlier: Earlier) -> None:
        """Takes over the best recipes of earlier experiments, if the parents can cook them."""
        names = self.raw.get("warm_start")
        for place, name in enumerate(names if isinstance(names, list) else ()):
            if not isinstance(name, str):
                continue
            pointer, found = pointer_to("warm_start", place), earlier(name)
            if not found:
                detail = (
                    f"there is no experiment {name!r}" if found is None else f"{name} has scored nothing yet"
                )
                remedy = "name an experiment of this server that has scored candidates"
                self.mistakes.append(Mistake(pointer, "not_found", detail, remedy))
            for baseline in found or ():
                self.mistakes += self._incompatibilities(baseline.recipe, pointer)
                self.taken_over.append(baseline)

    def _incompatibilities(self, recipe: Recipe, pointer: str) -> Iterator[Mistake]:
        """Yields what a recipe takes that the experiment's parents do not have."""
        if self.pool is None:
            return
        space = self.raw.get("space")
        stacked = isinstance(space, dict) and space.get("kind", "parameter") != "parameter"
        layers = self.pool.layers if self.layouts else None
        yield from incompatibilities(
            recipe, tuple(self.named_parents()), layers=layers, stacked=stacked, pointer=pointer
        )

    def kinship(self, spec: ExperimentSpec, workforce: Workforce) -> tuple[tuple[float, ...], ...] | None:
        """Has a worker read all parents and say how alike they are, where the optimizer asks for it.

        Returns:
            The correlation of any two parents' task vectors, shape [parents, parents].
        """
        if spec.optimizer.algorithm not in NEED_KINSHIP or self.pool is None:
            return None
        places = range(len(self.pool.parents))
        try:
            report = workforce.run_job(KinshipInquiry(self.pool.parents, spec.base))
        except WorkerError as error:
            self.mistakes.append(_from_worker_error(error, "/parents"))
            return None
        if not isinstance(report, KinshipReport):
            return None
        return tuple(
            tuple(1.0 if i == j else report.between(i, j).correlation for j in places) for i in places
        )

    def facts(
        self, spec: ExperimentSpec, kinship: tuple[tuple[float, ...], ...] | None = None
    ) -> dict[str, Any]:
        """Returns what is stored beside a spec without mistakes."""
        layout = self._shaping() or next(iter(self.layouts.values()))
        shape = {"layers": layout.layers, "layer_prefix": layout.layer_prefix}
        taken_over = [Baseline(each.label, each.recipe) for each in self.taken_over]
        planned = baselines_for(spec, build_pool(spec, shape), taken_over, (self.eyes, self.heads))
        chosen = choose_algorithm(
            spec.optimizer.algorithm,
            self.variables,
            len(spec.objectives),
            measures=len(spec.measures),
            budget=spec.budget.candidates,
        )
        view = partial(objective_facts, templates=self.templates)
        facts = ExperimentFacts(
            algorithm=chosen.name,
            algorithm_reason=chosen.reason,
            objectives=tuple(map(view, spec.objectives, self.entries)),
            parameters=parameter_counts(layout)[0],
            layer_parameters=parameter_counts(layout)[1],
            parent_bytes=sum(each.bytes for each in self.layouts.values()),
            baselines=tuple(PlannedBaseline(label=b.label, recipe=b.recipe, kind=b.kind) for b in planned),
            kinship=kinship,
            eyes=self.eyes,
            heads=self.heads,
            changes=self.idle.changes,
            pinned=self.idle.genes,
            **shape,
        )
        return facts.model_dump(mode="json")


def _with_winner(raw: Mapping[str, Any], winner_of: WinnerOf) -> tuple[dict[str, Any], list[Mistake]]:
    """Returns the spec with the recipe of the experiment that `space.winner` names, or with a stand-in."""
    content, space = dict(raw), raw.get("space")
    if not isinstance(space, dict) or not names_an_experiment(name := space.get("winner")):
        return content, []
    try:
        return content | {"space": space | {"winner": write_recipe(winner_of(name))}}, []
    except ServiceError as error:
        remedy = "name an experiment of this server that has succeeded, or give a recipe's YAML"
        mistake = Mistake("/space/winner", error.code, error.detail, remedy)
        return content | {"space": space | {"winner": average_of(raw.get("parents"))}}, [mistake]


def _from_worker_error(error: WorkerError, pointer: str) -> Mistake:
    return Mistake(pointer, error.code, f"{error.field}: {error.detail}", error.remedy)


def _without(raw: object, pointer: str) -> object:
    """Returns the space's options without what a pointer names; the same where that is not among them."""
    keys = pointer.split("/")[2:]
    if not isinstance(raw, dict) or not keys or not pointer.startswith("/space/") or keys[0] not in raw:
        return raw
    inner = raw[keys[0]]
    if keys == ["method"]:  # what else is wrong depends on it: go on with the one that was meant
        meant = get_close_matches(str(inner), METHODS, n=1)
        return raw | {"method": meant[0]} if meant else raw
    if isinstance(inner, dict) and len(keys) > 1:
        return raw | {keys[0]: {key: value for key, value in inner.items() if key != keys[1]}}
    if isinstance(inner, list) and len(keys) > 1 and (rest := [value for value in inner if value != keys[1]]):
        return raw | {keys[0]: rest}
    return {key: value for key, value in raw.items() if key != keys[0]}


def _warnings(spec: ExperimentSpec, entries: Sequence[BenchmarkFacts], genes: Sequence[str]) -> Iterator[str]:
    """Yields what is allowed but seldom wise."""
    for entry in entries:
        yield from entry.warnings
        if entry.overlap is not None and entry.overlap > MUCH_OVERLAP:
            yield f"{entry.name}: {entry.overlap:.0%} of its test items share passages with search items"
        for split, items in entry.items.items():
            if 1 < items < FEW_ITEMS:
                yield f"{entry.name}: its {split} split has only {items} items, so scores will be coarse"
    if spec.budget.candidates < FEW_CANDIDATES_PER_GENE * len(genes):
        fewer = "use fewer layer groups" if spec.space.kind == "parameter" else "freeze some of them"
        yield f"{spec.budget.candidates} candidates are few for {len(genes)} genes; {fewer}"
