"""PlayedExperiment: an experiment that moves when a test says so; the test is its controller."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from evaluators import Score, Split
from search_spaces import Genome, Parent, ParentPool, Recipe, build_space
from service.archives.pareto import ParetoArchive
from service.examination.analysis import Evidence, findings
from service.experiment.candidate import Candidate, FitnessRecord, Timings
from service.experiment.findings import EstimatorFinding, SensitivityFinding
from service.experiment.objectives import ObjectiveFacts, Objectives
from service.experiment.spec import ExperimentSpec
from service.experiment.status import ExperimentStatus
from service.search.journal import GenerationSummary
from service.specification.baselines import PlannedBaseline
from service.specification.planning import ExperimentFacts
from service.store.database import Database
from service.store.examination_record import ExaminationRecord
from service.store.journal import DatabaseJournal
from service.store.leases import acquire_lease
from service.store.repository import Repository
from tests.service.kinds import kind_of
from workers.protocol.failure import Failure
from workers.protocol.messages import Failed, Scored

LAYERS, ITEMS = 8, 200
FAR = 1e6  # seconds for which no real controller takes the experiment away
FIRST_WITH_ANCESTORS = 12
MEASURES = [
    {"kind": "share", "parent": f"/models/{name}", "low": 0.0, "high": 1.0, "cells": 8}
    for name in ("maths", "japanese")
]
BASELINES = {
    "parent: maths": (1.0, 0.0),
    "parent: japanese": (0.0, 1.0),
    "plain average": (0.5, 0.5),
    "task arithmetic λ=1.0": (1.0, 1.0),
    "TIES (density 0.5)": (0.7, 0.4),
}


class PlayedExperiment:
    """Two parents, two or more objectives, five baselines, and as many candidates as a test plays."""

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        objectives: Sequence[str] = ("arithmetic", "japanese"),
        candidates: int = 60,
        seed: int = 7,
        measured: bool = False,
        rotation: Mapping[str, int] | None = None,
    ) -> None:
        self.database, self.objectives, self.rotation = database, tuple(objectives), rotation
        extras = ({"measures": MEASURES} if measured else {}) | {"rotation": rotation}
        self.spec = ExperimentSpec.model_validate(_spec(name, self.objectives, candidates) | extras)
        pool = ParentPool(self.spec.parents, self.spec.base, LAYERS)
        self.space = build_space(self.spec.space, pool)
        self.rng = np.random.default_rng(seed)
        self.archive = ParetoArchive()
        self.played: list[Candidate] = []
        self.generation = -1
        with database.session() as session:
            repository = Repository(session)
            row = repository.create_experiment(name, self.spec.model_dump(mode="json"), facts=self._facts())
            self.id: UUID = row.id
            epoch = acquire_lease(session, row.id, "a test", seconds=FAR)
        assert epoch is not None
        self.journal = DatabaseJournal(database, self.id, epoch)
        self.move(ExperimentStatus.RUNNING)

    def move(self, status: ExperimentStatus, **why: Any) -> None:
        """Gives the experiment another status."""
        with self.database.session() as session:
            repository = Repository(session)
            repository.move(repository.experiment(self.id), status, **why)

    def play_baselines(self) -> None:
        """Scores generation 0."""
        self._play(
            [
                Candidate(
                    uuid4(), number, 0, self._genome(genes), self._recipe(genes), label, kind=kind_of(label)
                )
                for number, (label, genes) in enumerate(BASELINES.items())
            ]
        )
        self.archive.fix_reference()

    def play(self, count: int) -> list[int]:
        """Scores a generation of this many evolved candidates; returns their numbers."""
        low = 0.15 + 0.5 * math.tanh(len(self.played) / 40)
        genomes = [
            tuple(float(gene) for gene in self.rng.uniform(low, 1.4, len(self.space.variables)))
            for _ in range(count)
        ]
        first = len(self.played)
        return self._play([self._candidate(first + i, genome) for i, genome in enumerate(genomes)])

    def ask_again(self, number: int, generation: int) -> None:
        """Has a candidate answer a later generation's items, too."""
        candidate = self.played[number]
        self.journal.reevaluated(candidate, generation, self._scored(candidate, "search"), Timings())

    def scores_of(self, number: int) -> list[float]:
        """Returns what a candidate scored on the search split, by objective."""
        return [score.value for score in self._scored(self.played[number], "search").scores]

    def fail_one(self, cause: str = "the merged weights gave NaN", excerpt: str = "") -> int:
        """Has a candidate fail on its worker."""
        genome = tuple(float(v.initial) for v in self.space.variables)
        candidate = self._candidate(len(self.played), genome)
        self.played.append(candidate)
        self.journal.proposed([candidate])
        failure = Failure("bad_score", cause, "look at the recipe's weights", excerpt=excerpt)
        failed = Failed(candidate.id, 1, failure, worker="cpu-0")
        self.journal.settled(candidate, failed, Timings())
        self.journal.commit()
        return candidate.number

    def examine(self, winner: int | None = None) -> int:
        """Scores the front and the baselines on unseen items, and names the winner; returns its number.

        Args:
            winner: Its number; None takes the best that was evolved.
        """
        self.move(ExperimentStatus.EXAMINING)
        chosen = {*self.archive.front, *range(len(BASELINES))}
        splits: tuple[Split, ...] = ("selection", "test")
        for split in splits:
            record = ExaminationRecord(self.journal, split)
            for number in sorted(chosen):
                record.settled(self.played[number], self._scored(self.played[number], split), Timings())
        evolved = [number for number in self.archive.front if number >= len(BASELINES)]
        if winner is None:
            winner = max(evolved, key=lambda number: sum(self._values(self.played[number])))
        search, test = (self._scored(self.played[winner], split) for split in ("search", "test"))
        gaps = {s.benchmark: s.value - t.value for s, t in zip(search.scores, test.scores, strict=True)}
        varied = [
            SensitivityFinding(conditions="seed 1", objective=name, value=0.7, change=-0.01, stderr=0.02)
            for name in self.objectives
        ]
        evidence = Evidence(
            winner,
            [self.played[number] for number in sorted(chosen)],
            {
                split: {n: self._scored(self.played[n], split) for n in sorted(chosen)}
                for split in ("search", *splits)
            },
            varied,
        )
        objectives = ExperimentFacts.model_validate(self._facts()).objectives
        found = findings(evidence, Objectives(objectives))
        with self.database.session() as session:
            repository = Repository(session)
            row = repository.experiment(self.id)
            row.winner = {
                "number": winner,
                "optimism": gaps,
                "examination": found.model_dump(mode="json"),
            }
            repository.add_event(self.id, "examination.done", {"winner": winner})
        self.move(ExperimentStatus.SUCCEEDED)
        return winner

    def _play(self, candidates: Sequence[Candidate]) -> list[int]:
        self.generation += 1
        self.played += candidates
        self.journal.proposed(candidates)
        for candidate in candidates:
            scored = self._scored(candidate, "search")
            self.journal.settled(candidate, scored, Timings(ask=0.001, dispatch=0.002))
            fitness = [score.fitness for score in scored.scores]
            self.archive.add(candidate.number, fitness, sum(fitness) / len(fitness))
        if self.archive.reference is None:
            self.archive.fix_reference()
        best = self.archive.best
        progress = GenerationSummary(
            generation=self.generation,
            settled=len(self.played),
            best=best[1] if best else None,
            best_number=best[0] if best else None,
            hypervolume=self.archive.hypervolume,
            front=self.archive.front,
            reference=self.archive.reference,
            estimator=EstimatorFinding(38, 0.031, 0.045, 0.81, used=True) if self.rotation else None,
        )
        numbers = [candidate.number for candidate in candidates]
        self.journal.told([self._appraised(candidate) for candidate in candidates], progress, 0.01)
        self.journal.commit()
        return numbers

    def _appraised(self, candidate: Candidate) -> FitnessRecord:
        if not self.spec.measures:
            return FitnessRecord(candidate.number)
        left, right = self._shares(candidate)
        return FitnessRecord(candidate.number, (left, right))

    def _shares(self, candidate: Candidate) -> tuple[float, float]:
        assert candidate.genome is not None
        left, right = np.array(candidate.genome, dtype=float).reshape(2, -1).mean(axis=1)
        return float(left / 1.5), float(right / 1.5)

    def _candidate(self, number: int, genome: Genome) -> Candidate:
        generation = max(self.generation, 0) + 1
        recipe = self.space.decode(genome)
        made_of = (number - 3, number - 5) if number >= FIRST_WITH_ANCESTORS else ()
        operator = "crossover" if made_of else "sample"
        return Candidate(uuid4(), number, generation, genome, recipe, operator=operator, ancestors=made_of)

    def _values(self, candidate: Candidate) -> list[float]:
        """Scores as a function of the genome alone: each parent helps with its own half."""
        assert candidate.genome is not None
        genes = np.array(candidate.genome, dtype=float).reshape(2, -1)
        left, right = genes.mean(axis=1)
        skills = [_skill(left, right, genes.std()), _skill(right, left, genes.std())]
        while len(skills) < len(self.objectives):
            skills.append(0.5 * skills[0] + 0.3 * skills[1] + 0.1)
        return [min(max(skill, 0.0), 1.0) for skill in skills[: len(self.objectives)]]

    def _scored(self, candidate: Candidate, split: Split) -> Scored:
        flattery = {"search": 0.0, "selection": -0.015, "test": -0.03}[split]
        scores = tuple(
            self._score(name, min(max(value + flattery, 0.0), 1.0))
            for name, value in zip(self.objectives, self._values(candidate), strict=True)
        )
        if self.rotation and split == "search" and not candidate.is_baseline:
            places = tuple(range(self.rotation["items"]))
            scores = tuple(
                replace(s, per_item=s.per_item[: len(places)], item_indices=places) for s in scores
            )
        return Scored(candidate.id, 1, scores, merge_seconds=0.04, evaluate_seconds=0.31, worker="cpu-0")

    def _score(self, name: str, value: float) -> Score:
        right = round(value * ITEMS)
        items = (1.0,) * right + (0.0,) * (ITEMS - right)
        share = right / ITEMS
        return Score(name, "acc,none", share, math.sqrt(share * (1 - share) / ITEMS), True, items)

    def _facts(self) -> dict[str, Any]:
        items: dict[Split, int] = {"search": ITEMS, "selection": ITEMS, "test": ITEMS}
        facts = ExperimentFacts(
            objectives=tuple(
                ObjectiveFacts(
                    name=name, task=name, metric="acc,none", higher_is_better=True, weight=1.0, items=items
                )
                for name in self.objectives
            ),
            layers=LAYERS,
            layer_prefix="model.layers.",
            parameters=300_000,
            parent_bytes=1_200_000,
            baselines=tuple(
                PlannedBaseline(label=label, recipe=self._recipe(genes), kind=kind_of(label))
                for label, genes in BASELINES.items()
            ),
        )
        return facts.model_dump(mode="json")

    def _recipe(self, weights: tuple[float, float]) -> Recipe:
        recipe = self.space.decode(self._genome(weights))
        assert isinstance(recipe, Recipe)
        return recipe

    def _genome(self, weights: tuple[float, float]) -> Genome:
        each = len(self.space.variables) // 2
        return tuple(weight for weight in weights for _ in range(each))


def _skill(own: float, other: float, spread: float) -> float:
    return 0.95 * math.exp(-((own - 1.05) ** 2) / 0.5) * (1 - 0.35 * min(other, 1.5)) + 0.25 * spread + 0.03


def _spec(name: str, objectives: Sequence[str], candidates: int) -> dict[str, Any]:
    return {
        "name": name,
        "parents": [Parent(model="/models/maths"), Parent(model="/models/japanese")],
        "base": Parent(model="/models/base"),
        "space": {"method": "task_arithmetic", "layer_groups": 4, "filters": ["mlp"]},
        "objectives": [{"task": objective} for objective in objectives],
        "optimizer": {"algorithm": "nsga2", "population": 12},
        "budget": {"candidates": candidates},
    }
