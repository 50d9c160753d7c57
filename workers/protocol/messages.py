"""What crosses the wire between the controller and its workers.  Torch-free.

A worker gets one `Workload` per experiment, then `Assignment`s, and answers each with `Scored` or
`Failed`.  Jobs (`ExportOrder`, `BenchmarkInquiry`) need a worker's libraries but no parents in
memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from evaluators import Benchmark, BenchmarkFacts, ItemIndices, Race, Score, Split
from evaluators.conditions import STANDARD, Conditions
from evaluators.task_facts import TaskDescription, TaskList
from search_spaces import Parent, Recipe
from workers.protocol.calibration_orders import Calibrated, CalibrationOrder, Learned, LearningOrder
from workers.protocol.failure import Failure
from workers.protocol.kinship_orders import KinshipInquiry, KinshipReport
from workers.protocol.prompt_orders import PromptAnswers, PromptOrder, SampleAnswers, SampleOrder
from workers.protocol.publications import Publication, PublicationInquiry
from workers.protocol.stored_answers import StoredAnswers
from workers.protocol.task_orders import TaskInquiry, TaskSearch
from workers.protocol.transform_orders import TransformOrder


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """How an experiment shares the workers with others.

    Attributes:
        minimum: It does not begin with fewer, and keeps as many while it has something to ask.
        maximum: Of workers at once; None takes all that are free.
        priority: One of 2 gets twice the workers of one of 1.
    """

    minimum: int = 1
    maximum: int | None = None
    priority: float = 1.0


@dataclass(frozen=True, slots=True)
class Workload:
    """What all assignments of one experiment share; a worker prepares it once.

    Attributes:
        parents: The checkpoints to hold in memory, the base included.
        dtype: Of the live model's weights; None takes the parents' own.
        device: `auto` takes a GPU where there is one.
        batch_size: Sequences per forward pass.
        backend: Who continues prompts: the live network itself (`torch`), or `vllm` with its weights.
        count: How many workers; None fills the machine.
        gpus_per_worker: A share lets several workers use one GPU.
        share: Beside other experiments.
    """

    experiment: UUID
    parents: tuple[Parent, ...]
    benchmarks: tuple[Benchmark, ...]
    evaluator: str = "lm_eval"
    dtype: str | None = None
    device: str = "auto"
    batch_size: int = 64
    backend: Literal["torch", "vllm"] = "torch"
    count: int | None = None
    gpus_per_worker: float = 1.0
    share: WorkerShare = field(default=WorkerShare(), compare=False)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One candidate to merge and score; the attempt tells a repeated one from the first.

    Attributes:
        items: Per benchmark, the places of the items to ask in the split's order; None asks all.
        race: Whom the candidate races: it is asked in batches, and no more once it has lost.
        known: Earlier scores of the same recipe on the same split: their items are not asked again.
        conditions: Under which the items are put; the search knows the standard ones only.
    """

    candidate: UUID
    number: int
    recipe: Recipe
    split: Split = "search"
    attempt: int = 1
    timeout: float = 3600.0  # seconds, then the worker is killed
    items: ItemIndices | None = None
    race: Race | None = None
    known: tuple[Score, ...] = ()
    conditions: Conditions = STANDARD


@dataclass(frozen=True, slots=True)
class Scored:
    """The candidate's scores, one per benchmark, and the seconds they took.

    Attributes:
        pruned: It lost a race: its values are estimates from the items in `Score.item_indices`.
        asked: How many items were put to the model; None where it was not counted.
    """

    candidate: UUID
    attempt: int
    scores: tuple[Score, ...]
    merge_seconds: float
    evaluate_seconds: float
    worker: str
    pruned: bool = False
    asked: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """That a candidate has no scores, and why."""

    candidate: UUID
    attempt: int
    failure: Failure
    worker: str = ""


Outcome = Scored | Failed


Progress = Callable[[int, int], None]
"""Called for every tensor of a checkpoint that is written: how many now are, and their bytes."""
Announce = Callable[[int], None]
"""Called at the beginning with how many bytes there will be."""


ExportFormat = Literal["hf", "mergekit", "gguf"]
QuantizedKindName = Literal["int8", "nf4"]


@dataclass(frozen=True, slots=True)
class HubTarget:
    """A repository on the Hugging Face Hub.  The token comes from the environment, never from here.

    Attributes:
        replace: A model that the repository holds may be replaced.
        create_pr: Open a pull request instead of changing the main branch.
        tag: Of the version that the commit becomes, such as `v1.1.0`; one that is there already is left.
        collection: Title of a collection of the repository's owner that it joins; made when there is none.
    """

    repository: str
    private: bool = True
    message: str = "Add a model merged by evomerge"
    replace: bool = False
    create_pr: bool = False
    tag: str | None = None
    collection: str | None = None


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """A recipe to write as an ordinary checkpoint folder.

    Attributes:
        folder: The checkpoint's final place; it appears complete or not at all.
        card: The text of its README.md.
        extra_files: Further texts to lay beside it, by file name; `pictures`: likewise, as bytes.
        hub: Where to push it, if anywhere.
        remote: An address that fsspec knows (`s3://bucket/path`) to copy it to; `replace_remote`: where
            something lies there already, too.
        format: `hf`: a checkpoint.  `mergekit`: its recipe and descriptions alone.  `gguf`: a checkpoint with
            a GGUF file beside it.
        quantize: Kinds of quantized copies to write beside it (`int8`, `nf4`).
        sign: Add a signature of all files, by the key of the worker's machine.
        memory_limit: Bytes that the process may have resident; None sets no limit.
        restart: Begin anew where an earlier process was killed, instead of going on.
        device: Where the tensors are merged; `auto` is the first GPU, where there is one.
        strict: Refuse filters that choose no tensor, whatever they are.
        verify: Have it loaded by transformers in a fresh process before it gets its name.
        answers: What it must answer then as its candidate did; None asks nothing.
    """

    recipe: Recipe
    folder: str
    card: str = ""
    extra_files: dict[str, str] = field(default_factory=dict)
    shard_bytes: int = 5_000_000_000
    replace: bool = False
    hub: HubTarget | None = None
    memory_limit: int | None = None
    restart: bool = False
    device: str = "cpu"
    strict: bool = False
    verify: bool = True
    answers: StoredAnswers | None = None
    pictures: dict[str, bytes] = field(default_factory=dict)
    remote: str | None = None
    replace_remote: bool = False
    format: ExportFormat = "hf"
    quantize: tuple[str, ...] = ()
    sign: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """A checkpoint that now exists.

    Attributes:
        notes: In what a parent is not as its files say, and what a push changed in a repository.
        verified: What loading it in a fresh process showed; empty where that was not asked for.
    """

    folder: str
    files: tuple[str, ...]
    bytes: int
    digest: str
    url: str | None = None
    notes: tuple[str, ...] = ()
    verified: str = ""


@dataclass(frozen=True, slots=True)
class ExportInquiry:
    """Asks what an order would write and change, without writing anything."""

    order: ExportOrder


@dataclass(frozen=True, slots=True)
class ForeseenExport:
    """What an export would write and change.

    Attributes:
        files: Bytes by name; None where it is known only afterwards.
        change: What would become of the target, in a sentence.
        refusals: Why the export would be refused as things stand.
        notes: What must be said of it.
    """

    files: dict[str, int | None]
    change: str
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transformed:
    """A checkpoint that an operation on checkpoints made, and the operation's report as JSON text."""

    exported: Exported
    report: str


@dataclass(frozen=True, slots=True)
class BenchmarkInquiry:
    """Asks whether benchmarks can be built, before anything expensive.

    Attributes:
        merged: A recipe as the search makes them, whose tokenizer and chat template make prompts.
        parents: Models that are asked as they are.
        templates: Those whose chat templates merged models may have.
    """

    benchmarks: tuple[Benchmark, ...]
    merged: Recipe | None = None
    parents: tuple[Parent, ...] = ()
    templates: tuple[Parent, ...] = ()
    evaluator: str = "lm_eval"


@dataclass(frozen=True, slots=True)
class BenchmarkProblem:
    """Why a benchmark cannot be built."""

    name: str
    field: str
    code: str
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """One entry per benchmark asked about, in order."""

    entries: tuple[BenchmarkFacts | BenchmarkProblem, ...]


Inquiry = (
    ExportInquiry
    | PublicationInquiry
    | BenchmarkInquiry
    | KinshipInquiry
    | TaskSearch
    | TaskInquiry
    | PromptOrder
    | SampleOrder
)
Job = ExportOrder | TransformOrder | CalibrationOrder | LearningOrder | Inquiry
JobResult = (
    Exported
    | ForeseenExport
    | Publication
    | BenchmarkReport
    | Transformed
    | Calibrated
    | Learned
    | KinshipReport
    | TaskList
    | TaskDescription
    | PromptAnswers
    | SampleAnswers
)
WorkforceKind = Literal["ray", "inline"]


Interrupted = Callable[[], bool]
"""Asked every so often by something long: whether to give it up."""


def never() -> bool:
    """Gives nothing up."""
    return False


class Workforce(Protocol):
    """The workers, which merge and score: Ray actors, or this process (the `inline` kind).

    An answer counts only once the controller has stored it, so a lost one is simply asked again.  Several
    experiments share the workers: each has a workforce of its own, which `for_experiment` returns.
    """

    @property
    def slots(self) -> int:
        """How many assignments could be worked on at once if no other experiment had any."""
        ...

    @property
    def held(self) -> int:
        """How many workers there are for it now."""
        ...

    @property
    def in_process(self) -> bool:
        """Says whether the workers share this process, and take it along when they crash."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why no worker works for now, though all will again; None otherwise."""
        ...

    def prepare(self, workload: Workload, interrupted: Interrupted = never) -> None:
        """Readies the workers for an experiment; the previous one's parents are let go.

        Parents may have to be downloaded first: `interrupted` is asked every so often whether to give up.

        Raises:
            PreparationError: No worker could get ready; says why.
            WorkInterruptedError: `interrupted` said so.
        """
        ...

    def for_experiment(self) -> Workforce:
        """Returns a workforce for one experiment, which shares the workers with those of others."""
        ...

    def places(self, gpus_per_worker: float) -> int:
        """Returns how many experiments can have a worker at once, as far as is known."""
        ...

    def claim(self, wanted: int) -> int:
        """Says how many assignments there are to be worked on; returns how many may be out now.

        Workers that an experiment does not want are lent to others.
        """
        ...

    def submit(self, assignment: Assignment) -> None:
        """Hands an assignment to a free worker, or queues it."""
        ...

    def next_outcome(self, timeout: float) -> Outcome | None:
        """Returns the next answer, or None when none came within `timeout` seconds."""
        ...

    def drop(self) -> None:
        """Forgets all assignments under way; their answers will not come."""
        ...

    def release(self) -> None:
        """Forgets all assignments, and lets the workers go, ready as they are, to other experiments."""
        ...

    def run_job(self, job: Job, interrupted: Interrupted = never) -> JobResult:
        """Does a job that needs no parents in memory, beside others.

        Raises:
            WorkerError: It could not be done, or not in the time that it may take.
            WorkInterruptedError: `interrupted` said so.
        """
        ...

    def close(self) -> None:
        """Lets everything go."""
        ...
