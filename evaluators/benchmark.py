"""Benchmark: what is asked, with all that changes its result pinned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluators.chat import Chat
from evaluators.splits import SplitRule

Kind = Literal[
    "lm_eval",
    "perplexity",
    "output_length",
    "language",
    "refusals",
    "negative_flips",
    "python",
    "http",
    "model_judge",
    "depth",
    "parameters",
]
NEEDS: dict[str, tuple[str, ...]] = {
    "lm_eval": ("task",),
    "perplexity": ("file",),
    "output_length": ("file",),
    "language": ("file", "language"),
    "refusals": ("file",),
    "negative_flips": ("task", "parent"),
    "python": ("file", "judge"),
    "http": ("file", "judge"),
    "model_judge": ("judge",),
}
"""What each kind of benchmark must be given."""


def missing_fields(kind: str, given: object) -> list[str]:
    """Returns what a benchmark of this kind lacks."""
    missing = [name for name in NEEDS.get(kind, ()) if not getattr(given, name)]
    if kind == "model_judge" and bool(getattr(given, "file")) == bool(getattr(given, "task")):  # noqa: B009
        missing.append("either file or task")
    return missing


class Benchmark(BaseModel):
    """Something a model is asked, and how: an lm-eval task, or another judge.

    Attributes:
        name: What its scores are called in the experiment.
        kind: Who judges.  `lm_eval`: a task.  `perplexity`: of the texts in `file`.  `output_length`
            (tokens), `language` (share of answers in `language`), `refusals` (share), `python` and
            `http` (`judge`), `model_judge` (how far a model in a local folder prefers them to the file's
            references, or to the answers of `parent`): of greedy answers to the prompts in `file`;
            `model_judge` also of the answers to `task`.  `negative_flips`: share of
            `task`'s items that `parent` gets right and the model gets wrong (Echterhoff et al.,
            arXiv 2407.09435).  `depth`, `parameters`: of the merged network, which is asked nothing.
        task: The task's name in lm-eval.
        metric: `acc`, or `acc,filter`, or one of `evaluators/lm_eval/tasks/own_metrics.py` (`pass@k`,
            `reasoning_tokens` ...); None takes the task's first metric.
        include_path: A folder with the user's own task files, or several; of tasks of one name the last
            folder's is taken, as in lm-eval.  None looks in lm-eval's own tasks.
        direction: Whether larger or smaller values are better; None takes the metric's own word.
        num_fewshot: Solved examples put before each question; None leaves it to the task.
        splits: How items are divided; None uses the data set's own search, selection and test
            splits where it has them, and shares of its items otherwise.
        max_items: Most items asked per split, of each kind of item (label, subject) its share.
        file: Prompts, one a line, or texts, one a paragraph; or a `.jsonl` file of objects with
            `prompt` or `text`.
        language: ISO 639-1 code.
        parent: The parent to compare with: its reference, or the last part of its path.
        judge: `module:function` that takes prompts and answers and returns one number each, or the
            address that is sent `{"items": [{"prompt", "answer"}]}` and answers `{"scores": [...]}`, or
            the folder of a language model.
        rubric: What that language model is told of better answers; None takes the usual words.
        new_tokens: Most tokens of an answer to a prompt.
        chat: Whether it is asked as in a conversation, and by which template.
        generation: What goes before the task's own generation settings; `repeats`: how often each item
            is asked.
        filter: Which of the task's filters reads the answers; None takes that of the metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Kind = "lm_eval"
    task: Annotated[str, Field(max_length=200)] = ""
    metric: str | None = None
    include_path: str | tuple[str, ...] | None = None
    direction: Literal["maximize", "minimize"] | None = None
    num_fewshot: Annotated[int, Field(ge=0, le=100)] | None = None
    splits: SplitRule | None = None
    max_items: Annotated[int, Field(ge=1)] | None = None
    file: str | None = None
    language: str | None = None
    parent: str | None = None
    judge: str | None = None
    rubric: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    new_tokens: Annotated[int, Field(ge=1, le=100_000)] = 256
    chat: Chat = Chat()
    generation: dict[str, Any] = Field(default_factory=dict)
    filter: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @property
    def task_folders(self) -> tuple[Path, ...]:
        """The folders with the user's own task files."""
        given = self.include_path or ()
        return tuple(Path(f).expanduser() for f in ((given,) if isinstance(given, str) else given))

    def higher_is_better(self, *, otherwise: bool = False) -> bool:
        """Whether larger values are better: as `direction` says, or `otherwise` where it says nothing."""
        return otherwise if self.direction is None else self.direction == "maximize"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if missing := missing_fields(self.kind, self):
            raise ValueError(f"a benchmark of kind {self.kind} needs {' and '.join(missing)}")
        return self
