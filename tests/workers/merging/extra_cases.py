"""Merges of the literature whose results are known: one folder per method, `<case>/<tensor>` inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from search_spaces.catalogue.methods import METHODS
from workers.merging.kernel import Ingredients
from workers.merging.methods import KERNELS, SURVEYS

OWN = Path(__file__).parent / "golden_extra"


def extra_folder(method: str) -> Path:
    """Returns the folder of a method's cases."""
    return OWN / method


def parameters_of(method: str) -> dict[str, Any]:
    """Returns what params.json says of a method's cases."""
    content: dict[str, Any] = json.loads((extra_folder(method) / "params.json").read_text())
    return content


def expected_of(method: str, case: str) -> dict[str, Tensor]:
    """Returns a case's tensors by name."""
    return under(load_file(extra_folder(method) / "expected.safetensors"), case)


def inputs_of(method: str, group: str) -> dict[str, Tensor]:
    """Returns the tensors of one group of a method's own inputs."""
    return under(load_file(extra_folder(method) / "inputs.safetensors"), group)


def common_inputs(name: str) -> dict[str, Tensor]:
    """Returns the base, model_a, model_b or model_c that most cases share."""
    return load_file(extra_folder("_inputs") / f"{name}.safetensors")


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with `prefix/`, without it."""
    return {n[len(prefix) + 1 :]: t for n, t in tensors.items() if n.startswith(f"{prefix}/")}


class WholeMerge:
    """Merges all tensors of some parents by one method, as a worker does: survey first, then kernels."""

    def __init__(
        self,
        method: str,
        parents: Sequence[Mapping[str, Tensor]],
        base: Mapping[str, Tensor] | None,
        *,
        records: Mapping[str, Sequence[Mapping[str, Tensor]]] | None = None,
        base_records: Mapping[str, Mapping[str, Tensor]] | None = None,
        **values: float | str | Sequence[float],
    ) -> None:
        self.method, self.parents, self.base = method, parents, base
        self.records, self.base_records, self.values = records or {}, base_records or {}, values

    def merged(self) -> dict[str, Tensor]:
        """Returns the merged tensors by name."""
        portions = self.portions()
        survey = SURVEYS.get(self.method)
        findings = survey.look(portions) if survey is not None else None
        return {p.name: KERNELS[self.method](p.ingredients(findings)) for p in portions}

    def portions(self) -> list[_Portion]:
        """Returns the merged model's tensors before they are merged, as a survey sees them."""
        return [_Portion(self, name) for name in self.parents[0]]


class _Portion:
    def __init__(self, merge: WholeMerge, name: str) -> None:
        self.merge, self.name = merge, name
        self.shape = tuple(merge.parents[0][name].shape)
        self.per_parent: dict[str, tuple[float, ...]] = {}
        self.shared: dict[str, float] = {}
        self.choices: dict[str, str] = {}
        for parameter in METHODS[merge.method].parameters:
            value = merge.values.get(parameter.name, parameter.default)
            if value is None:
                raise AssertionError(f"the case gives no {parameter.name}")
            if parameter.kind == "choice":
                word = value if isinstance(value, str) else parameter.choices[int(parameter.default or 0)]
                self.choices[parameter.name] = word
            elif parameter.scope == "shared":
                self.shared[parameter.name] = float(str(value))
            else:
                numbers = [value] * len(merge.parents) if isinstance(value, int | float) else value
                self.per_parent[parameter.name] = tuple(float(str(number)) for number in numbers)

    def load(self) -> Ingredients:
        return self.ingredients(None)

    def ingredients(self, findings: object) -> Ingredients:
        merge, name = self.merge, self.name
        return Ingredients(
            parents=tuple(parent[name] for parent in merge.parents),
            base=None if merge.base is None else merge.base[name],
            per_parent=self.per_parent,
            shared=self.shared,
            choices=self.choices,
            seeds=tuple(range(len(merge.parents))),
            name=name,
            records={k: tuple(r.get(name) for r in found) for k, found in merge.records.items()},
            base_records={k: found.get(name) for k, found in merge.base_records.items()},
            findings=findings,
        )
