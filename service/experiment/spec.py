"""ExperimentSpec: what a user writes to describe an experiment, as YAML or JSON.

The spec is checked in two steps.  This file checks what it says by itself; `service.specification.spec_check`
checks it against the parents on disk and the tasks that lm-eval knows.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from evaluators import Benchmark
from evaluators.benchmark import Kind, missing_fields
from evaluators.sampling.racing import BATCH, Z
from evaluators.splits import SplitRule
from search_spaces import ParameterSpaceOptions, Parent, SpaceOptions
from search_spaces.recipes.recipe import DType
from service.experiment.chat_options import ChatOptions, Chatting
from service.experiment.criteria import Constraint, Measure, Name, Spec
from service.experiment.criteria import label_of as label_of
from service.experiment.generation_options import GenerationOptions
from service.experiment.names import ExperimentName

MOST_PARENTS = 32
SMALLEST_WINDOW = 2  # candidates out at once in a steady state
MOST_MEASURES = 10
MOST_OBJECTIVES = 20  # more than the hypervolume can be estimated for in reasonable time


class Objective(Spec):
    """A benchmark that the search improves.

    Attributes:
        kind: Who judges; `evaluators.Benchmark` says what each kind needs of the fields below.
        name: What it is called; the task's name by default.
        metric: The task's, or `pass@k`, `maj@k`, `avg@k` of repeated answers, or `generated_tokens`,
            `reasoning_tokens`, `answer_tokens`; None takes the task's first.
        direction: Whether larger or smaller scores are better; None takes the metric's own.
        weight: Its share in the weighted sum that single-objective optimizers climb.
        allow_few_items: Search on fewer than 50 items, whose scores are mostly luck.
        chat: Whether it is asked as in a conversation, and how; what is left out is as the experiment says.
        generation: How answers are generated, where not as the task or the experiment says.
        filter: Which of the task's filters reads the answers (`strict-match`, `flexible-extract` ...).
    """

    kind: Kind = "lm_eval"
    task: Name | None = None
    name: Name | None = None
    metric: str | None = None
    num_fewshot: Annotated[int, Field(ge=0, le=100)] | None = None
    splits: SplitRule | None = None
    max_items: Annotated[int, Field(ge=1)] | None = None
    direction: Literal["maximize", "minimize"] | None = None
    weight: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    allow_few_items: bool = False
    file: Name | None = None
    language: Name | None = None
    parent: Name | None = None
    judge: Name | None = None
    rubric: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    new_tokens: Annotated[int, Field(ge=1, le=100_000)] = 256
    chat: Chatting | None = None
    generation: GenerationOptions | None = None
    filter: Name | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if missing := missing_fields(self.kind, self):
            wanted = " and ".join(missing)
            raise ValueError(f"an objective of kind {self.kind} needs {wanted}; give it {wanted}")
        asks_task = self.kind in ("lm_eval", "negative_flips") or (self.kind == "model_judge" and self.task)
        if (self.generation and not asks_task) or (self.filter and (not asks_task or self.judge)):
            raise ValueError("generation and filter are of tasks; leave them out, or write new_tokens")
        if self.rubric is not None and self.kind != "model_judge":
            raise ValueError("a rubric is for kind model_judge; leave it out")
        return self

    @property
    def label(self) -> str:
        """The name under which its scores appear."""
        return self.name or (self.task if self.kind == "lm_eval" and self.task else self.kind)

    def benchmark(
        self,
        include_path: str | tuple[str, ...] | None,
        chat: ChatOptions | None = None,
        generation: GenerationOptions | None = None,
    ) -> Benchmark:
        """Returns what is asked of the model.

        Args:
            include_path: The folder with the user's own tasks, or several.
            chat: How the experiment's objectives are asked that do not say it themselves.
            generation: How they generate, likewise.
        """
        return Benchmark(
            name=self.label,
            kind=self.kind,
            task=self.task or "",
            file=self.file,
            language=self.language,
            parent=self.parent,
            judge=self.judge,
            rubric=self.rubric,
            new_tokens=self.new_tokens,
            metric=self.metric,
            direction=self.direction,
            include_path=include_path,
            num_fewshot=self.num_fewshot,
            splits=self.splits,
            max_items=self.max_items,
            chat=(self.chat or ChatOptions()).over(chat).chat,
            generation=(self.generation or GenerationOptions()).over(generation),
            filter=self.filter,
        )


class OptimizerOptions(Spec):
    """Which optimizer, and its settings.

    Attributes:
        algorithm: A key of `service.optimizers.OPTIMIZERS`, or `auto`: the one that suits the problem.
        population: Candidates per generation; None leaves it to the algorithm.
        sigma: First step of CMA-ES as a share of each range (Akiba et al. use 1/6).
        options: Settings that only this algorithm has.
        steady_state: Asks for a candidate as soon as one was told, so that no worker waits for a
            generation; None leaves it to the algorithm.
        window: Candidates that may be out at once in a steady state; None takes what keeps the workers
            busy that there are at the start.  The same window gives the same run with any workers.
        order: `committed` tells candidates by number, `completed` as they come: no worker ever waits,
            but the run cannot be had again.
    """

    algorithm: str = "auto"
    population: Annotated[int, Field(ge=2, le=10_000)] | None = None
    sigma: Annotated[float, Field(gt=0, le=1)] = 1 / 6
    options: dict[Name, bool | int | float | str] = Field(default_factory=dict)
    steady_state: bool | None = None
    window: Annotated[int, Field(ge=SMALLEST_WINDOW, le=100_000)] | None = None
    order: Literal["committed", "completed"] = "committed"


class Budget(Spec):
    """When the search ends.

    Attributes:
        candidates: Evolved candidates, the baselines of generation 0 not counted.
        seconds: Wall-clock time of searching, if limited; what is under way is finished.
        gpu_hours: The workers' time times their GPUs, if limited; what is under way is finished.
        failures: Failed candidates after which the experiment is given up.
        target: Weighted mean of the objectives (as fitness: what is minimized counts negative) at
            which the search has done enough.
        stagnation: Evolved candidates in a row without a better one, or a larger front, after which
            nothing more is expected.
        least_gain: What further candidates, at most 40, must be expected to add to the weighted mean of the
            objectives, for the search to go on; only where the algorithm has a forecast.
    """

    candidates: Annotated[int, Field(ge=1, le=1_000_000)]
    seconds: Annotated[float, Field(gt=0)] | None = None
    gpu_hours: Annotated[float, Field(gt=0)] | None = None
    failures: Annotated[int, Field(ge=0)] = 20
    target: float | None = None
    stagnation: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    least_gain: Annotated[float, Field(gt=0)] | None = None


class Examination(Spec):
    """What is re-evaluated after the search, on items the optimizer never saw.

    Attributes:
        finalists: Best candidates that compete on the selection split.
        mean: Whether the mean of the optimizer's distribution, if it has one, competes as well.
        scale: Whether usual recipes at the scale of the best merge compete as well: what they reach is no
            merit of the search.  At most four are scored.
        max_items: Items asked in all, over models and splits; none does not limit them.
        max_minutes: Time that it may take, over all resumes; none does not limit it.
    """

    finalists: Annotated[int, Field(ge=1, le=100)] = 8
    mean: bool = True
    scale: bool = True
    max_items: Annotated[int, Field(ge=1)] | None = None
    max_minutes: Annotated[float, Field(gt=0)] | None = None


class Baselines(Spec):
    """What generation 0 holds beside the parents and their plain average.

    Attributes:
        standard_recipes: The usual recipes: task arithmetic over a grid of weights, TIES,
            DARE-TIES and slerp, as far as the parents allow.
        recipes: The user's own, as mergekit YAML files' contents.
    """

    standard_recipes: bool = True
    recipes: dict[Name, str] = Field(default_factory=dict)


class Racing(Spec):
    """Stops asking a candidate once it has lost to the best so far on the same items.

    Attributes:
        z: Standard errors by which it must lie behind.
        batch: Items between two looks.
        told: What the optimizer is told of it: its `estimate`, the `worst` seen so far, or nothing
            (`discard`).
    """

    z: Annotated[float, Field(gt=0)] = Z
    batch: Annotated[int, Field(ge=2, le=100_000)] = BATCH
    told: Literal["estimate", "worst", "discard"] = "estimate"


class Halving(Spec):
    """Has a generation answer few items, its better part more, and so on: successive halving.

    Attributes:
        first: Items on the first rung.
        eta: Each rung asks `eta` times as many items of one in `eta` of the candidates.
        told: What the optimizer is told of those that were stopped early, as in `Racing`.
    """

    first: Annotated[int, Field(ge=2, le=100_000)] = 25
    eta: Annotated[float, Field(gt=1, le=100)] = 2.0
    told: Literal["estimate", "worst", "discard"] = "estimate"


class Rotation(Spec):
    """Asks every generation another part of the items, and the best so far as well.

    Attributes:
        items: About how many search items of each objective a generation is asked.
        elites: How many of the best so far are asked them again, so that none stays for its luck.
    """

    items: Annotated[int, Field(ge=5, le=1_000_000)] = 50
    elites: Annotated[int, Field(ge=0, le=1000)] = 2


class Workers(Spec):
    """How many workers an experiment has, beside others.

    Attributes:
        min: It waits until it can have as many, and keeps them while it has something to ask.
        max: More than these it never has; none takes all that are free.
    """

    min: Annotated[int, Field(ge=1, le=10_000)] = 1
    max: Annotated[int, Field(ge=1, le=10_000)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"min is {self.min}, more than max ({self.max}); lower min or raise max")
        return self


class ExperimentSpec(Spec):
    """An experiment: parents, what can be tried, what is scored, who searches and for how long.

    Attributes:
        tasks_path: A folder with the user's own lm-eval tasks, or a list of folders; of tasks of one name
            the last folder's is taken.
        measures: What lays out the archive of a quality-diversity search.
        constraints: What candidates must keep beside improving the objectives.
        vision: The parent whose vision tower and projector the merged models get, or `search`, which tries
            those of all parents that see; None takes the base's or the first parent's where it sees, else
            those of the only parent that sees.
        failure_policy: What the optimizer is told of a candidate without scores: the `worst` seen so
            far, that and a `penalty` that puts it behind all others, or nothing (`discard`).
        warm_start: Earlier experiments whose winner and front join the baselines.
        transfer: Earlier experiments over the same parents and items (`all`: every one) whose scored models
            join generation 0: their scores are known.
        racing: Stops candidates that have lost early; None asks every candidate all items.
        halving: Leaves the weaker part of a generation behind; None asks every candidate all items.
        rotation: Asks generations a part of the items each; None asks every candidate all of them.
        chat: Whether models are asked as in a conversation, and how; objectives may say otherwise.
        generation: How answers are generated, where not as the tasks say.
        dtype: Of the merged weights; None keeps the parents' own.
        backend: Who continues prompts: the live network (`torch`), or `vllm` with its weights.
        evaluation_timeout: Seconds after which a candidate's worker is killed.
        workers: How many it has where several experiments share them.
        priority: Its share of them: one of 2 gets twice what one of 1 gets, and begins first.
    """

    schema_version: Literal[1] = 1
    name: ExperimentName
    parents: Annotated[tuple[Parent, ...], Field(min_length=1, max_length=MOST_PARENTS)]
    base: Parent | None = None
    vision: Literal["search"] | Parent | None = None
    space: SpaceOptions = ParameterSpaceOptions()
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1, max_length=MOST_OBJECTIVES)]
    tasks_path: str | Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_PARENTS)] | None = None
    chat: Chatting = ChatOptions()
    generation: GenerationOptions | None = None
    optimizer: OptimizerOptions = OptimizerOptions()
    budget: Budget
    measures: Annotated[tuple[Measure, ...], Field(max_length=MOST_MEASURES)] = ()
    constraints: Annotated[tuple[Constraint, ...], Field(max_length=MOST_OBJECTIVES)] = ()
    failure_policy: Literal["worst", "penalty", "discard"] = "worst"
    baselines: Baselines = Baselines()
    warm_start: Annotated[tuple[Name, ...], Field(max_length=MOST_PARENTS)] = ()
    transfer: Literal["all"] | Annotated[tuple[Name, ...], Field(max_length=MOST_PARENTS)] = ()
    racing: Racing | None = None
    halving: Halving | None = None
    rotation: Rotation | None = None
    examination: Examination = Examination()
    dtype: DType | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    backend: Literal["torch", "vllm"] = "torch"
    evaluation_timeout: Annotated[float, Field(gt=0, le=7 * 86400)] = 3600.0
    workers: Workers = Workers()
    priority: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    notes: Annotated[str, Field(max_length=10_000)] = ""

    @field_validator("parents")
    @classmethod
    def _no_parent_twice(cls, parents: tuple[Parent, ...]) -> tuple[Parent, ...]:
        for parent in parents:
            if parents.count(parent) > 1:
                raise ValueError(f"{parent} stands there twice; name each parent once")
        return parents

    @field_validator("objectives")
    @classmethod
    def _no_name_twice(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        labels = [objective.label for objective in objectives]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two objectives are called {label!r}; give one of them another `name`")
        return objectives

    @property
    def all_parents(self) -> tuple[Parent, ...]:
        """The parents and the base, each once."""
        return tuple(dict.fromkeys((*self.parents, *((self.base,) if self.base else ()))))

    @property
    def benchmarks(self) -> tuple[Benchmark, ...]:
        """One benchmark per objective, in order."""
        return tuple(
            objective.benchmark(self.tasks_path, self.chat, self.generation) for objective in self.objectives
        )

    @property
    def weights(self) -> tuple[float, ...]:
        """One weight per objective, in order."""
        return tuple(objective.weight for objective in self.objectives)
