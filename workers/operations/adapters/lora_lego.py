"""LoRA-LEGO: merges LoRA adapters by clustering their minimal semantic units.

Zhao et al., "Merging LoRAs like Playing LEGO", arXiv:2409.16167, sections 4.1 to 4.3.  A unit is one
rank of one adapter: row i of A with column i of B.  Units of all adapters are clustered; a cluster's
centroid is one rank of the merged adapter.  The authors' code is not public; where the paper is silent
(features, norms) this follows what a third party published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from workers.errors import MergeError, MismatchError

MOST_ROUNDS = 300
Norm = Literal["inf", "2"]


@dataclass(frozen=True, slots=True)
class Lego:
    """How units become an adapter.

    Attributes:
        parameter_reweighting: Stretch a centroid to the mean norm of its members (section 4.3).
        output_reweighting: Scale the product by sqrt(mean rank / merged rank).
        norm: In which members and centroid are measured.
        sign_align: (a, b) and (-a, -b) are one unit: cluster them together, and turn members to their
            centroid's side before averaging.  Not in the paper.
    """

    parameter_reweighting: bool = True
    output_reweighting: bool = True
    norm: Norm = "2"
    sign_align: bool = False


def units_of(factors: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Returns all adapters' units, float64 [sum of ranks, in + out].

    Args:
        factors: (A [rank, in], B [out, rank]) of each adapter, scalings folded into B.

    Raises:
        MismatchError: Factors do not fit together.
    """
    for down, up in factors:
        if down.dim() != 2 or up.dim() != 2 or up.shape[1] != down.shape[0]:
            detail = f"A has shape {list(down.shape)}, B {list(up.shape)}"
            raise MismatchError("factors", detail, "give A [rank, in] and B [out, rank]")
    if len({(down.shape[1], up.shape[0]) for down, up in factors}) != 1:
        raise MismatchError("factors", "adapt layers of different sizes", "merge adapters of one base")
    return torch.cat([torch.cat([down.double(), up.double().T], dim=1) for down, up in factors])


def merge_units(
    units: Tensor, labels: Tensor, *, inputs: int, mean_rank: float, lego: Lego
) -> tuple[Tensor, Tensor]:
    """Returns the merged adapter's A [clusters, in] and B [out, clusters], float64.

    Args:
        units: [units, in + out].
        labels: The cluster of each unit, int64 [units], 0 to clusters - 1, none empty.
        inputs: How many of a unit's entries belong to A.
        mean_rank: Of the adapters.
        lego: What is done besides averaging.
    """
    clusters = int(labels.max()) + 1
    centroids = torch.stack([_centroid(units[labels == cluster], lego) for cluster in range(clusters)])
    down, up = centroids[:, :inputs], centroids[:, inputs:].T
    if lego.output_reweighting:
        up = up * (mean_rank / clusters) ** 0.5
    return down.contiguous(), up.contiguous()


def cluster_units(
    units: Tensor, clusters: int, *, inputs: int, rng: np.random.Generator, sign_align: bool = False
) -> Tensor:
    """Returns the cluster of each unit, int64 [units]: k-means with k-means++ starts.

    Units are compared as [a / |a|, b / |b|].  Where there are fewer different units than clusters,
    there are as many clusters as different units; no cluster is empty, and clusters are numbered by
    their first unit.  (k-means++: Arthur and Vassilvitskii, SODA 2007.)

    Args:
        units: [units, in + out].
        clusters: How many are wanted, at least 1.
        inputs: How many of a unit's entries belong to A.
        rng: Chooses the starts.
        sign_align: A unit and its negative count as equal.

    Raises:
        MergeError: No clusters are wanted, or a unit holds NaN or infinity.
    """
    if clusters < 1:
        raise MergeError("rank", f"is {clusters}", "ask for at least 1")
    if not bool(torch.isfinite(units).all()):
        raise MergeError("units", "hold NaN or infinity", "use another adapter")
    halves = (units[:, :inputs].double(), units[:, inputs:].double())
    features = torch.cat([torch.nn.functional.normalize(half, dim=1) for half in halves], dim=1)
    centers = _starts(features, clusters, rng, sign_align=sign_align)
    labels = torch.full((len(units),), -1)
    for _ in range(MOST_ROUNDS):
        found = _distances(features, centers, sign_align=sign_align).argmin(dim=1)
        if torch.equal(found, labels):
            break
        labels = found
        # A center that lost all its units stays where it is, and is left out in the end.
        for cluster in sorted(set(labels.tolist())):
            members = features[labels == cluster]
            centers[cluster] = _turned(members, centers[cluster], sign_align=sign_align).mean(dim=0)
    first_units = {int(label): None for label in labels.tolist()}
    number = {label: place for place, label in enumerate(first_units)}
    return torch.tensor([number[label] for label in labels.tolist()])


def _starts(features: Tensor, clusters: int, rng: np.random.Generator, *, sign_align: bool) -> Tensor:
    chosen = [int(rng.integers(len(features)))]
    while len(chosen) < clusters:
        distances = _distances(features, features[chosen], sign_align=sign_align).min(dim=1).values
        # Rounding gives equal units a tiny distance.
        weights = torch.where(distances > 1e-12, distances, 0.0).numpy()
        if weights.sum() == 0.0:
            break
        chosen.append(int(rng.choice(len(features), p=weights / weights.sum())))
    return features[chosen].clone()


def _distances(features: Tensor, centers: Tensor, *, sign_align: bool) -> Tensor:
    """Returns squared distances, [units, centers]."""
    inner = features @ centers.T
    if sign_align:
        inner = inner.abs()
    squares = features.square().sum(dim=1, keepdim=True) + centers.square().sum(dim=1)
    return (squares - 2 * inner).clamp(min=0.0)


def _turned(members: Tensor, direction: Tensor, *, sign_align: bool) -> Tensor:
    """Returns the members, those that point away from the direction negated if that is wanted."""
    if not sign_align:
        return members
    away = (members @ direction < 0).unsqueeze(1)
    return torch.where(away, -members, members)


def _centroid(members: Tensor, lego: Lego) -> Tensor:
    order = float("inf") if lego.norm == "inf" else 2.0
    if lego.sign_align:
        largest = int(torch.linalg.vector_norm(members, dim=1).argmax())
        members = _turned(members, members[largest], sign_align=True)
    centroid = members.mean(dim=0)
    if lego.parameter_reweighting:
        size = torch.linalg.vector_norm(centroid, ord=order)
        if size > 0:  # members that cancel out have no direction to be stretched along
            norms = torch.linalg.vector_norm(members, ord=order, dim=1)
            centroid = centroid * (norms.mean() / size)
    return centroid
