"""What is known of lm-eval's tasks without a model: names, data, and what an item looks like.  Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluators.splits import Split

TaskKind = Literal["task", "group", "tag"]


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A name that stands for something to ask.

    Attributes:
        kind: `group`: tasks with a common score, or a collection that lm-eval calls so.  `tag`: tasks
            that were given a word in common.
        tasks: How many tasks it stands for.
        output: What models do: `multiple_choice`, `generate_until`, `loglikelihood`,
            `loglikelihood_rolling`; "" for groups and tags.
        data: The data set, and its part, as `datasets` names them; "" for groups and tags.
    """

    name: str
    kind: TaskKind
    tasks: int
    output: str = ""
    data: str = ""


@dataclass(frozen=True, slots=True)
class OwnTask:
    """One of lm-eval's own names.

    Attributes:
        file: Where it is written; "" for tags.
        members: What a group or tag consists of, one level down.
    """

    entry: TaskEntry
    file: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskList:
    """Entries that were asked for.

    Attributes:
        total: How many there are, those that were not asked for included.
    """

    entries: tuple[TaskEntry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class TaskExample:
    """One item, as a model sees it.

    Attributes:
        task: Whose item it is.
        prompt: What the model reads; "" where it reads nothing before what it scores.
        continuations: What is compared or scored; () where the model writes.
        answer: What the task takes for right; None where it has no such thing.
        tokens: Of the prompt, where the model's tokenizer is known.
    """

    task: str
    prompt: str
    continuations: tuple[str, ...]
    answer: str | None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TaskDescription:
    """All about a task, group or tag.

    Attributes:
        members: What a group or tag consists of, one level down.
        splits: Names and sizes of the data set's splits; of a group's tasks together.
        scored: The split that lm-eval scores.
        divided: How a search divides the scored items.
        metrics: As `metric,filter`; the first is what a search takes unless told otherwise.
        higher_is_better: Of the first metric.
        shots: How many solved examples go before a question.
        generation: Settings under which answers are written, as JSON; "" where none are.
        asked: How questions are put to the model, in words; "" without one.
        example: None where a tag or a collection has no item of its own.
        collection: It has no common score: a search needs an objective for each of its tasks.
    """

    entry: TaskEntry
    members: tuple[str, ...] = ()
    splits: tuple[tuple[str, int], ...] = ()
    scored: str = ""
    divided: tuple[tuple[Split, int], ...] = ()
    metrics: tuple[str, ...] = ()
    higher_is_better: bool | None = None
    shots: int = 0
    generation: str = ""
    asked: str = ""
    example: TaskExample | None = None
    warnings: tuple[str, ...] = ()
    collection: bool = False


@dataclass(frozen=True, slots=True)
class FetchedData:
    """A data set that lies in the cache.

    Attributes:
        data: As `TaskEntry.data`.
        tasks: Which of the asked tasks read it.
        items: Of all its splits.
        size: Bytes in the cache.
    """

    data: str
    tasks: tuple[str, ...]
    items: int
    size: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What tasks need, fetched.

    Attributes:
        folder: The cache, which all workers of this machine and user share.
    """

    folder: str
    data: tuple[FetchedData, ...]


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One item, as the model saw it.

    Attributes:
        item: Its place in the split's order.
        prompt: With examples and chat template; empty where texts are scored whole.
        text: What was generated; of choices the likeliest.
        choices: What was compared, with log-likelihoods in nats; () where text was generated.
        target: The right answer, as the task writes it.
    """

    item: int
    prompt: str
    text: str
    choices: tuple[tuple[str, float], ...]
    target: str
