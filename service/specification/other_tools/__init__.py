"""Files of other tools as experiments: which tool's a file is, and its translation.

* `evolve_file`, `evolve_schema`: genome files of mergekit-evolve;
* `mergenetic_file`: configurations of mergenetic;
* `translation`: what all of them come to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.specification.other_tools.evolve_file import translate_evolve
from service.specification.other_tools.evolve_schema import is_genome_file
from service.specification.other_tools.mergenetic_file import is_mergenetic_file, translate_mergenetic
from service.specification.other_tools.translation import (
    Remark,
    Translation,
    UntranslatableError,
    with_small_population,
)

__all__ = ["Remark", "Translation", "UntranslatableError", "translate", "with_small_population"]


def translate(content: Mapping[str, Any], *, allow_benchmarks: bool = False) -> Translation | None:
    """Returns the experiment that another tool's file describes; None where it is none of theirs.

    Args:
        content: The file's.
        allow_benchmarks: Says nothing of public benchmarks.

    Raises:
        UntranslatableError: It is another tool's, and has mistakes.
    """
    if is_genome_file(content):
        return translate_evolve(content, allow_benchmarks=allow_benchmarks)
    if is_mergenetic_file(content):
        return translate_mergenetic(content)
    return None
