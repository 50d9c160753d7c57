"""evomerge's public names: what programs import.

    from evomerge import Client, ExperimentSpec, Recipe, merge, optimize

A name's module is imported when the name is first asked for.  Importing the package imports nothing else;
`merge` and `evaluate`, when they are called, import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evomerge.evaluation import evaluate as evaluate
    from evomerge.merging import merge as merge
    from search_spaces.errors import RecipeFileError as RecipeFileError
    from search_spaces.recipes.mergekit.recipe_yaml import read_recipe as read_recipe
    from search_spaces.recipes.mergekit.recipe_yaml import write_recipe as write_recipe
    from search_spaces.recipes.parent import Parent as Parent
    from search_spaces.recipes.recipe import Recipe as Recipe
    from search_spaces.recipes.recipe import Slice as Slice
    from search_spaces.recipes.recipe import Source as Source
    from service.client.async_client import AsyncClient as AsyncClient
    from service.client.client import Client as Client
    from service.client.errors import ApiError as ApiError
    from service.client.errors import ClientError as ClientError
    from service.client.errors import ServerUnreachableError as ServerUnreachableError
    from service.experiment.spec import ExperimentSpec as ExperimentSpec
    from service.inprocess.errors import UnsuccessfulError as UnsuccessfulError
    from service.inprocess.front import Front as Front
    from service.inprocess.optimize import optimize as optimize
    from service.inprocess.plotting import plot_archive as plot_archive
    from service.inprocess.plotting import plot_progress as plot_progress
    from service.inprocess.result import Result as Result
    from workers.errors import WorkerError as WorkerError
    from workers.protocol.evaluation_orders import EvaluationReport as EvaluationReport
    from workers.protocol.messages import Exported as Exported

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "EvaluationReport",
    "ExperimentSpec",
    "Exported",
    "Front",
    "Parent",
    "Recipe",
    "RecipeFileError",
    "Result",
    "ServerUnreachableError",
    "Slice",
    "Source",
    "UnsuccessfulError",
    "WorkerError",
    "evaluate",
    "merge",
    "optimize",
    "plot_archive",
    "plot_progress",
    "read_recipe",
    "write_recipe",
]

_MODULES: Mapping[str, str] = {
    "ApiError": "service.client.errors",
    "AsyncClient": "service.client.async_client",
    "Client": "service.client.client",
    "ClientError": "service.client.errors",
    "EvaluationReport": "workers.protocol.evaluation_orders",
    "ExperimentSpec": "service.experiment.spec",
    "Exported": "workers.protocol.messages",
    "Front": "service.inprocess.front",
    "Parent": "search_spaces.recipes.parent",
    "Recipe": "search_spaces.recipes.recipe",
    "RecipeFileError": "search_spaces.errors",
    "Result": "service.inprocess.result",
    "ServerUnreachableError": "service.client.errors",
    "Slice": "search_spaces.recipes.recipe",
    "Source": "search_spaces.recipes.recipe",
    "UnsuccessfulError": "service.inprocess.errors",
    "WorkerError": "workers.errors",
    "evaluate": "evomerge.evaluation",
    "merge": "evomerge.merging",
    "optimize": "service.inprocess.optimize",
    "plot_archive": "service.inprocess.plotting",
    "plot_progress": "service.inprocess.plotting",
    "read_recipe": "search_spaces.recipes.mergekit.recipe_yaml",
    "write_recipe": "search_spaces.recipes.mergekit.recipe_yaml",
}


if not TYPE_CHECKING:  # a type checker that saw this function would believe every misspelt name

    def __getattr__(name: str) -> object:
        """Imports the module of a public name, and keeps what the name stands for."""
        if name not in _MODULES:
            raise AttributeError(f"evomerge has no {name!r}; it has: {', '.join(_MODULES)}")
        found = getattr(import_module(_MODULES[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """Names what can be imported."""
    return sorted({*globals(), *_MODULES})
