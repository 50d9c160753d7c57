"""How an experiment ended, as trackers are told: the winner's scores, recipe and card."""

from __future__ import annotations

from importlib.metadata import version

from service.client.client import Client
from service.experiment.candidate import CandidateKind
from service.exports.card.model_card import model_card
from service.exports.card.subject import Subject
from service.reports.views import ExperimentDetail
from service.trackers.points import score_values
from service.trackers.tracker import RunEnding
from workers.protocol.card_marks import filled_in


def ending_of(client: Client, experiment: ExperimentDetail, step: int) -> RunEnding:
    """Returns how an experiment ended."""
    winner = experiment.winner
    if winner is None:
        return RunEnding(step, experiment.status.value, {}, {})
    candidate = client.candidate(experiment.id, winner.number)
    values = {"winner": float(winner.number)}
    for split in ("selection", "test"):
        values |= score_values(candidate.scores.get(split, []), split)
    recipe = client.recipe(experiment.id, winner.number)
    card = model_card(
        Subject(
            experiment=experiment,
            candidate=candidate,
            baselines=client.front(experiment.id, "test").baselines,
            recipe=recipe,
            address=experiment.name,
            version=version("evomerge"),
            verified=candidate.kind is not CandidateKind.BASE,
        )
    )
    card = filled_in(card, "no checkpoint is written until the candidate is exported")
    return RunEnding(step, experiment.status.value, values, {"recipe.yml": recipe, "card.md": card})
