"""Records what mergekit 0.1.5 takes in a recipe, for `tests/search_spaces/recipes/mergekit/test_schema.py`.

    python -m venv /tmp/mergekit && /tmp/mergekit/bin/pip install mergekit==0.1.5
    /tmp/mergekit/bin/python -m scripts.record_mergekit_schema

mergekit is not needed to run the tests, so it is no dependency.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mergekit.config import MergeConfiguration
from mergekit.merge_methods import registry

RECORDED = Path(__file__).parent.parent / "tests/search_spaces/recipes/mergekit/schema.json"


def schema() -> dict[str, Any]:
    """Returns mergekit's schema of a recipe, in which models are also named by a text, as files do."""
    found = MergeConfiguration.model_json_schema()
    found["$defs"]["ModelReference"] = {"anyOf": [found["$defs"]["ModelReference"], {"type": "string"}]}
    return found


def methods() -> dict[str, dict[str, Any]]:
    """Returns the parameters of each method, those that must be said, and how many models it takes."""
    found = {}
    for method in registry.registered_methods():
        spec, contract = method.spec, method.spec.contract
        found[spec.name] = {
            "parameters": sorted(parameter.name for parameter in spec.parameters),
            "shared": sorted(p.name for p in spec.parameters if p.scope.value == "shared"),
            "base": contract.base.value,
            "inputs": [contract.min_inputs, contract.max_inputs],
        }
    return dict(sorted(found.items()))


def main() -> None:
    """Writes the recording."""
    content = {"methods": methods(), "schema": schema()}
    RECORDED.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
