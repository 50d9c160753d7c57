"""Genes and scores of a search's candidates as matrices, and how much each gene matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from search_spaces.genome import Variable
from service.reports.analysis.importance import importances
from service.reports.score_columns import ScoreColumns
from service.reports.search_views import GeneView, ImportancesView, ObjectiveGenes
from service.store.columns import genomes
from service.store.models import ExperimentRow

MOST_CANDIDATES = 5_000  # the newest, from which it is told


@dataclass(frozen=True, slots=True)
class GeneMatrices:
    """What candidates are made of and worth.

    Attributes:
        units: (n, d) Genes in the unit cube.
        values: (n, m) Scores on the search split.
        fitness: (n, m) The same, larger is better.
    """

    units: NDArray[np.float64]
    values: NDArray[np.float64]
    fitness: NDArray[np.float64]


def gene_matrices(
    session: Session, row: ExperimentRow, columns: ScoreColumns, variables: Sequence[Variable]
) -> GeneMatrices:
    """Returns genes and scores of the newest candidates of a search that have both, generation 0 apart."""
    found = dict(genomes(session, row.id, limit=MOST_CANDIDATES))
    rows = [
        place
        for place in np.flatnonzero(columns.complete & ~columns.is_baseline).tolist()
        if int(columns.numbers[place]) in found
    ]
    units = [
        [v.to_unit(gene) for v, gene in zip(variables, found[int(columns.numbers[place])], strict=True)]
        for place in rows
    ]
    values = columns.values[rows].reshape(len(rows), len(columns.objectives))
    cube = np.array(units, dtype=np.float64).reshape(len(rows), len(variables))
    return GeneMatrices(cube, values, values * columns.signs)


def importances_view(columns: ScoreColumns, found: GeneMatrices, names: Sequence[str]) -> ImportancesView:
    """Returns how much each gene matters to each objective; nothing where there are too few candidates."""
    objectives = []
    for place, objective in enumerate(columns.objectives):
        genes = importances(found.units, found.fitness[:, place], names)
        shown = [
            GeneView(
                gene=g.gene, share=g.share, chance=g.chance, direction=g.direction, is_clear=bool(g.is_clear)
            )
            for g in genes
        ]
        objectives.append(ObjectiveGenes(objective=objective.name, genes=shown))
    return ImportancesView(candidates=len(found.values), objectives=objectives)
