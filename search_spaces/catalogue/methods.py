"""Every merge method, declared once.

Everything that must know a method reads this table: recipes are checked against it, search
spaces take their genes from it, `workers.merging.KERNELS` must have the same keys.
A parameter is *per parent* (`weight`, `density`) or *shared* by all parents (`t`, `lambda`).
"""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.catalogue import averages, calibrated, competition, spectral, task_vectors
from search_spaces.catalogue.method import Method, MethodParameter
from search_spaces.errors import UnknownNameError

__all__ = ["METHODS", "Method", "MethodParameter", "method_named"]

_FAMILIES = (averages, task_vectors, competition, spectral, calibrated)

METHODS: Mapping[str, Method] = {method.name: method for family in _FAMILIES for method in family.METHODS}


def method_named(name: str, field: str = "method") -> Method:
    """Returns the declaration of a merge method.

    Raises:
        UnknownNameError: No method has this name; the message lists what there is.
    """
    if name not in METHODS:
        raise UnknownNameError(field, "merge method", name, METHODS)
    return METHODS[name]
