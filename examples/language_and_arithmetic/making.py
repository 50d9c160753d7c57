"""Makes the whole problem: trains the parents that are not there yet and writes the tasks."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import TypeAlias

import torch
from transformers.utils import logging

from examples.language_and_arithmetic import checkpoints
from examples.language_and_arithmetic.curriculum import Curriculum, write_curriculum
from examples.language_and_arithmetic.tasks import write_tasks
from examples.language_and_arithmetic.training import LESSONS, QUICK_STEPS, Lesson, train

OnProgress = Callable[[str, int, int], None]
"""Told a parent's name, how many of its steps are done, and of how many."""

EXPERTS = ("arithmetic", "language")
_EVERY = 10  # steps between two reports
_Reports: TypeAlias = "Queue[tuple[str, int, int]]"
_reports: list[_Reports] = []  # in a training process: where its progress goes


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where everything lies.

    Attributes:
        base: The common ancestor's checkpoint.
        experts: The parents' checkpoints by name.
        tasks: The folder for lm-eval's `include_path`.
    """

    base: Path
    experts: dict[str, Path]
    tasks: Path


@dataclass(frozen=True, slots=True)
class Job:
    """One parent to be made; small enough to be sent to another process."""

    name: str
    parents: Path
    lessons: dict[str, Lesson]
    seed: int

    @property
    def folder(self) -> Path:
        """Where the checkpoint goes."""
        return self.parents / self.name

    @property
    def steps(self) -> int:
        """How many batches its training takes."""
        return self.lessons[self.name].steps

    def made_by(self, curriculum: Curriculum) -> dict[str, object]:
        """Returns all that the weights depend on; an expert's also depend on the base's."""
        names = dict.fromkeys(("base", self.name))
        lessons = {name: asdict(self.lessons[name]) for name in names}
        questions = {name: curriculum.digest(name) for name in names}
        return {"seed": self.seed, "torch": torch.__version__, "lessons": lessons, "questions": questions}


def make_everything(
    out: Path, seed: int = 0, *, quick: bool = False, on_progress: OnProgress | None = None
) -> DemoFiles:
    """Makes the base, two experts and the tasks; parents that these settings made already are kept.

    Args:
        out: Gets `parents/` and `tasks/`.
        seed: Decides what is held out, and the weights.
        quick: Trains for a moment only and in this process: for tests, the models are no good.
        on_progress: Called in this process.
    """
    curriculum = write_curriculum(seed)
    lessons = {name: replace(lesson, steps=QUICK_STEPS) for name, lesson in LESSONS.items()}
    jobs = {
        name: Job(name, out / "parents", lessons if quick else LESSONS, seed) for name in ("base", *EXPERTS)
    }
    due = [job for job in jobs.values() if not checkpoints.is_made(job.folder, job.made_by(curriculum))]
    report = on_progress or _ignore
    if quick:
        _make_here(due, report)
    elif due:
        _make_apart(due, report)
    write_tasks(curriculum, out / "tasks")
    return DemoFiles(jobs["base"].folder, {name: jobs[name].folder for name in EXPERTS}, out / "tasks")


def _ignore(name: str, done: int, steps: int) -> None:
    """Reports nothing."""


def _make(job: Job, report: OnProgress) -> None:
    """Trains one parent and writes its checkpoint; an expert begins as the base."""
    curriculum = write_curriculum(job.seed)
    start = job.parents / "base"
    model = checkpoints.new_model(job.seed) if job.name == "base" else checkpoints.load_model(start)

    def on_step(done: int) -> None:
        if done % _EVERY == 0 or done == job.steps:
            report(job.name, done, job.steps)

    mixture = getattr(curriculum, job.name)
    # One number per parent and seed, so that no two draw the same batches.
    seed = 10 * job.seed + list(LESSONS).index(job.name)
    train(model, mixture, job.lessons[job.name], seed=seed, on_step=on_step)
    checkpoints.save(model, job.folder, job.made_by(curriculum))


def _make_here(due: list[Job], report: OnProgress) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are rounded differently with more
    try:
        for job in due:
            _make(job, report)
    finally:
        torch.set_num_threads(threads)


def _make_apart(due: list[Job], report: OnProgress) -> None:
    """Trains in processes of one thread each: first the base, then both experts side by side."""
    context = multiprocessing.get_context("spawn")
    reports: _Reports = context.Queue()
    with ProcessPoolExecutor(
        len(EXPERTS), mp_context=context, initializer=_begin, initargs=(reports,)
    ) as pool:
        for wave in ([job for job in due if job.name == "base"], [j for j in due if j.name != "base"]):
            _follow([pool.submit(_make_there, job) for job in wave], reports, report)


def _begin(reports: _Reports) -> None:
    """Readies a training process."""
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    _reports.append(reports)


def _make_there(job: Job) -> None:
    _make(job, lambda name, done, steps: _reports[0].put((name, done, steps)))


def _follow(running: list[Future[None]], reports: _Reports, report: OnProgress) -> None:
    """Passes progress on until all have ended.

    Raises:
        Exception: What ended one of them.
    """
    ended = False
    while not ended:
        ended = not wait(running, timeout=0.2).not_done
        while True:
            try:
                report(*reports.get_nowait())
            except Empty:
                break
    for future in running:
        future.result()
