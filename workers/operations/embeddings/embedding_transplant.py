"""LEP: gives an instruct model the new vocabulary that its base learned in continued pre-training.

Tikhomirov and Chernyshev, "Facilitating large language model Russian adaptation with Learned Embedding
Propagation", arXiv:2412.21140, section 3.3, equations 7 to 14.  Rows are tokens; D is a linear map from
the base's embeddings to the instruct model's, and the new rows are E_adapted D:

* direct: D = I.
* overlap: D = argmin |E_base[C] D - E_instruct[C]| over the tokens C that both vocabularies have.
* conversion: D = argmin |T E_base D - T E_instruct|; a row of T averages the old tokens that a new
  token's text is made of.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.errors import MergeError, MismatchError


def linear_map(source: Tensor, target: Tensor) -> Tensor:
    """Returns the least-squares D of source D = target with the smallest norm, float64 [width, width].

    Args:
        source: [rows, width].
        target: [rows, width].

    Raises:
        MismatchError: Shapes differ, or there are no rows.
        MergeError: A value is NaN or infinite.
    """
    if source.dim() != 2 or source.shape != target.shape or len(source) == 0:
        detail = f"have shapes {list(source.shape)} and {list(target.shape)}"
        raise MismatchError("embeddings", detail, "give models of one width whose vocabularies overlap")
    if not bool(torch.isfinite(source).all() and torch.isfinite(target).all()):
        raise MergeError("embeddings", "hold NaN or infinity", "use another checkpoint")
    # gelsd: by singular values, so that fewer rows than columns, or zero rows, have an answer too.
    solution: Tensor = torch.linalg.lstsq(
        source.double().cpu(), target.double().cpu(), driver="gelsd"
    ).solution
    return solution


def averaged_rows(embedding: Tensor, pieces: Sequence[Sequence[int]]) -> Tensor:
    """Returns T E: for each new token the mean of the rows that it is made of, float64 [tokens, width].

    Args:
        embedding: [old tokens, width].
        pieces: For each new token the old tokens' ids, at least one.
    """
    owners = torch.tensor([number for number, piece in enumerate(pieces) for _ in piece], dtype=torch.int64)
    rows = torch.tensor([row for piece in pieces for row in piece], dtype=torch.int64)
    total = torch.zeros(len(pieces), embedding.shape[1], dtype=torch.float64)
    total.index_add_(0, owners, embedding.double().cpu().index_select(0, rows))
    counts = torch.tensor([len(piece) for piece in pieces], dtype=torch.float64)
    return total / counts.unsqueeze(1)


def transplanted(adapted: Tensor, transform: Tensor | None) -> Tensor:
    """Returns the new rows, E_adapted D, float64 [new tokens, width]; None stands for the identity."""
    wide = adapted.double().cpu()
    return wide if transform is None else wide @ transform
