"""What the labels that tests give to candidates stand for."""

from __future__ import annotations

from service.experiment.candidate import MEAN_LABEL, CandidateKind


def kind_of(label: str | None) -> CandidateKind:
    """Returns the kind of a candidate that a test calls this."""
    if label is None:
        return CandidateKind.EVOLVED
    if label == MEAN_LABEL:
        return CandidateKind.MEAN
    if label == "plain average":
        return CandidateKind.AVERAGE
    kind = label.partition(":")[0]
    return CandidateKind(kind) if kind in ("parent", "base") else CandidateKind.BASELINE
