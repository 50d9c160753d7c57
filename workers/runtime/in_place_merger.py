"""Merges recipes in place: recipe -> plan -> config -> live model, whose weights are overwritten."""

from __future__ import annotations

import torch

from evaluators.inference.engines import answer_with
from search_spaces import Recipe
from workers.checkpoints.architecture.configuration import merged_config
from workers.checkpoints.layout import Layout
from workers.merging.fast.caches import Caches
from workers.merging.fast.preparations.prepared_store import users_store
from workers.merging.plan import plan_merge
from workers.runtime.fitted_sources import FittedSources
from workers.runtime.live_model import LiveModel
from workers.runtime.preparation import PreparedWorkload
from workers.runtime.resident_parents import cache_limit
from workers.tokenizers.files import replaced_template


class InPlaceMerger:
    """One live model per parent that lends its shape; each merge overwrites the one before."""

    def __init__(self, prepared: PreparedWorkload) -> None:
        self._prepared = prepared
        self._fitted = FittedSources(prepared.parents)
        self._live_models: dict[str, LiveModel] = {}
        self._caches = Caches(cache_limit(prepared.device), users_store())

    def merge(self, recipe: Recipe) -> tuple[object, object]:
        """Returns the merged model, ready to answer, and its tokenizer.

        Raises:
            WorkerError: The recipe cannot be planned or merged.
        """
        prepared, parents = self._prepared, self._prepared.parents
        fitted, sources = self._fitted.of(recipe)
        plan = plan_merge(recipe, fitted.layouts)
        config = merged_config(plan.owner, recipe, fitted.layouts)
        live = self._live_model(plan.owner)
        model = live.overwrite(config, plan, sources)
        if prepared.device.startswith("cuda"):
            torch.cuda.synchronize(prepared.device)
        if prepared.engine is not None:
            prepared.engine.renew(model, live.tokenizer, plan.input_scales)
            answer_with(model, prepared.engine)
        return model, live.tokenizer_with(replaced_template(recipe, parents.layouts))

    def close(self) -> None:
        """Lets the live models go."""
        self._live_models.clear()
        self._fitted.close()
        self._caches.clear()

    def _live_model(self, owner: Layout) -> LiveModel:
        key = str(owner.parent)
        if key not in self._live_models:
            self._live_models[key] = LiveModel(
                owner,
                dtype=self._prepared.workload.dtype,
                device=self._prepared.device,
                caches=self._caches,
            )
        return self._live_models[key]
