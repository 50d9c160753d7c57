"""Genotypes of mergekit-evolve, and the one form in which its recipes and ours are compared.

Imports nothing of evomerge or mergekit: what is recorded must not depend on what it is compared with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).with_name("mergekit_genotypes.json")
LAYERS = 8
DIGITS = 6  # hexadecimal, of each digest that is kept
_TWO = ["org/left", "org/right"]
_THREE = ["org/left", "org/right@v2", "./third+org/adapter@main"]
_LISTED = ["org/left", "org/base", "org/right"]

CASES: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    "linear": (400, {"models": _THREE, "merge_method": "linear"}),
    "linear, steps and filters": (
        300,
        {"models": _TWO, "merge_method": "linear", "layer_granularity": 4, "normalize": False,
         "filters": ["self_attn", "mlp"], "allow_negative_weights": True},
    ),
    "linear, smooth, around a base": (
        300,
        {"models": _LISTED, "merge_method": "linear", "base_model": "org/base", "layer_granularity": 2,
         "smooth": True, "tokenizer_source": "union"},
    ),
    "task_arithmetic, steps": (
        500,
        {"models": _THREE, "merge_method": "task_arithmetic", "base_model": "org/base",
         "layer_granularity": 4, "allow_negative_weights": True},
    ),
    "task_arithmetic, smooth, base listed": (
        500,
        {"models": _LISTED, "merge_method": "task_arithmetic", "base_model": "org/base", "smooth": True,
         "layer_granularity": 2, "filters": ["mlp"], "normalize": True, "tokenizer_source": "base"},
    ),
    "ties, filters": (
        500,
        {"models": _TWO, "merge_method": "ties", "base_model": "org/base", "layer_granularity": 4,
         "filters": ["self_attn", "mlp"], "tokenizer_source": "org/right"},
    ),
    "ties, smooth": (
        500,
        {"models": _THREE, "merge_method": "ties", "base_model": "org/base@v1", "layer_granularity": 1,
         "smooth": True, "normalize": False},
    ),
    "dare_ties, base listed": (
        500,
        {"models": _LISTED, "merge_method": "dare_ties", "base_model": "org/base", "layer_granularity": 4,
         "tokenizer_source": "base", "allow_negative_weights": True},
    ),
    "dare_ties, smooth, one model": (
        500,
        {"models": ["org/left"], "merge_method": "dare_ties", "base_model": "org/base", "smooth": True,
         "layer_granularity": 2, "filters": ["self_attn", "mlp"], "allow_negative_weights": True},
    ),
    "slerp": (500, {"models": _TWO, "merge_method": "slerp"}),
    "slerp, groups": (
        500,
        {"models": [*_THREE, "org/base"], "merge_method": "slerp", "base_model": "org/base",
         "layer_granularity": 2, "tokenizer_source": "base", "normalize": True},
    ),
}  # fmt: skip
"""How many genotypes are compared, and the `genome:` of the file: 1,000 for each method."""


def genotype(case: str, number: int, genes: int) -> list[float]:
    """Returns numbers in [-2.5, 3.5), the same on every machine and with every numpy."""
    drawn = hashlib.shake_256(f"{case} {number}".encode()).digest(8 * genes)
    return [float(one) for one in np.frombuffer(drawn, dtype="<u8") / 2.0**64 * 6.0 - 2.5]


def digest(normal: Mapping[str, Any]) -> str:
    """Returns the first digits of the hash of a normal form."""
    text = json.dumps(normal, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def normal_of_mergekit(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a mergekit recipe (its plain data) makes, without what changes no model.

    Left out are `int8_mask`, slerp's `normalize` and per-model `weight`, the base as a source of the
    methods that add task vectors to it, and that all layers of one slice may be written as `models:`.
    """
    method, base = config["merge_method"], config.get("base_model")
    parts = config.get("slices") or [{"sources": config["models"]}]
    source = base if (found := config.get("tokenizer_source")) == "base" else found
    adds = method in ("task_arithmetic", "ties", "dare_ties")
    return {
        "method": method,
        "dtype": config.get("dtype"),
        "base": base if adds else None,
        "normalize": None if method == "slerp" else bool(config["parameters"]["normalize"]),
        "tokenizer": source if method != "linear" else source or base,
        "slices": [
            {
                "base": part.get("base_model"),
                "layers": list(part["sources"][0].get("layer_range") or [0, LAYERS]),
                "sources": [
                    [s["model"], {} if method == "slerp" else _settings(s.get("parameters") or {})]
                    for s in part["sources"]
                    if not (adds and s["model"] == base)
                ],
                "shared": _settings(part.get("parameters") or {}),
            }
            for part in parts
        ],
    }


def normal_of_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the same of a recipe of ours (its JSON)."""
    method = recipe["method"]
    return {
        "method": method,
        "dtype": recipe["dtype"],
        "base": None if method == "slerp" else recipe["base"],
        "normalize": None if method == "slerp" else bool(recipe["parameters"]["normalize"][0]["value"]),
        "tokenizer": recipe["vocabulary"] or recipe["tokenizer"],
        "slices": [
            {
                "base": part["base"],
                "layers": list(part["sources"][0]["layers"] or [0, LAYERS]),
                "sources": [[s["parent"], _settings(s["parameters"])] for s in part["sources"]],
                "shared": _settings(part["parameters"]),
            }
            for part in recipe["slices"]
        ],
    }


def _settings(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns every parameter as a list of (filter, values to eight digits)."""
    return {
        name: [[one.get("filter"), _digits(one["value"])] for one in _conditional(value)]
        for name, value in parameters.items()
    }


def _conditional(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return value
    return [{"value": value}]


def _digits(value: Any) -> list[float]:
    return [float(f"{one:.8g}") + 0.0 for one in (value if isinstance(value, list) else [value])]
