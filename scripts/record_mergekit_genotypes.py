"""Records what mergekit 0.1.5 makes of genotypes, for `tests/search_spaces/spaces/test_mergekit_evolve.py`.

    python -m venv /tmp/mergekit && /tmp/mergekit/bin/pip install mergekit==0.1.5
    /tmp/mergekit/bin/python -m scripts.record_mergekit_genotypes

mergekit is not needed to run the tests, so it is no dependency.  Of each case one recipe is kept as
mergekit writes it, of the rest the first digits of a hash.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import torch
from mergekit.common import ModelReference
from mergekit.evo.genome import ModelGenome, ModelGenomeDefinition

from tests.search_spaces.spaces.genotypes import CASES, LAYERS, RECORDED, digest, genotype, normal_of_mergekit


def recorded(case: str) -> dict[str, object]:
    """Returns mergekit's recipes of one case."""
    count, said = CASES[case]
    genome = ModelGenome(ModelGenomeDefinition.model_validate(said))
    start = genome.initial_genotype()
    digests = []
    for number in range(count):
        values = torch.tensor(genotype(case, number, start.numel()), dtype=torch.float64).reshape(start.shape)
        config = genome.genotype_merge_config(values)
        digests.append(digest(normal_of_mergekit(config.model_dump(mode="json"))))
        if number == 0:
            example = config.to_yaml()
    return {"start": start.flatten().tolist(), "example": example, "digests": "".join(digests)}


def main() -> None:
    """Writes the recording."""
    ModelReference.config = lambda *_, **__: SimpleNamespace(num_hidden_layers=LAYERS)  # none is on disk
    RECORDED.write_text(json.dumps({case: recorded(case) for case in CASES}, indent=1) + "\n")


if __name__ == "__main__":
    main()
