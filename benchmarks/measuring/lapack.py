"""What the plain decompositions take that a method cannot do without: LAPACK, called matrix by matrix."""

from __future__ import annotations

from collections import Counter
from time import perf_counter

import torch

from benchmarks.merge_models import Size

_NO_FEATURES = ("embed_tokens.weight", "lm_head.weight")


def svd_seconds(size: Size, spectra: int) -> float:
    """Returns the seconds of so many full decompositions of each of a model's matrices, on all threads.

    One matrix of each shape is decomposed, in float64 and by one thread; embeddings and heads are left out.

    Args:
        size: Of the model.
        spectra: How many task vectors, or sums of them, are decomposed.
    """
    features = {name: shape for name, shape in size.shapes.items() if not name.endswith(_NO_FEATURES)}
    shapes = Counter(shape for shape in features.values() if len(shape) == 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole = sum(_once(shape) * count for shape, count in shapes.items())
    finally:
        torch.set_num_threads(threads)
    return whole * spectra / threads


def _once(shape: tuple[int, ...]) -> float:
    matrix = torch.randn(shape, dtype=torch.float64)
    start = perf_counter()
    torch.linalg.svd(matrix, full_matrices=False)
    return perf_counter() - start
