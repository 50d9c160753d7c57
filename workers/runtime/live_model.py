"""LiveModel: a network in memory whose weights are overwritten in place for every candidate.

Nothing is built, loaded or written between two candidates: only numbers change, and only those of
tensors that the new recipe makes differently.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from evaluators.inference.images.sight import see_with
from workers.checkpoints.architecture.configuration import own_dtype
from workers.checkpoints.layout import Layout
from workers.errors import MergeError
from workers.merging.batches import BatchedTensor, batched, get_ready, merge_batch
from workers.merging.fast.applicable import has_fast_way
from workers.merging.fast.caches import Caches
from workers.merging.fast.held_inputs import HeldInputs
from workers.merging.fast.preparations.countdown import Countdown
from workers.merging.fast.preparations.prepared_tensors import side_by_side, values_of
from workers.merging.fast.threads import Map, one_by_one, together
from workers.merging.methods import PREPARATIONS, SURVEYS
from workers.merging.plan import MergePlan, TensorPlan
from workers.merging.stream import Sources, copied_from, merge_into, survey
from workers.runtime.loaded_tokenizer import load_tokenizer, with_template
from workers.runtime.network import Network, ParameterPlace, key_of
from workers.tokenizers.sight import sight_for

MOST_NETWORKS = 8  # of different depths, kept for candidates to come; they share their weights' memory
_LARGE = 1 << 23  # entries of a tensor that all threads make together


@dataclass(slots=True)
class _Slot:
    """Memory for one tensor, what was last written there (plan, the number of the survey), and of what."""

    tensor: Tensor
    made_by: tuple[TensorPlan, int] | None = None
    held: HeldInputs | None = None


class LiveModel:
    """The networks and the tokenizer of one owner, reused by all its candidates.

    Candidates of another depth get a network of their own; the last few stay, and share memory.

    Attributes:
        owner: The checkpoint whose configuration and tokenizer the model takes.
        made: How many tensors the last candidate had computed.
        together: How many of these in one pass.
        shared: How many it took from a parent without a copy.
    """

    def __init__(
        self, owner: Layout, *, dtype: str | None = None, device: str = "cpu", caches: Caches | None = None
    ) -> None:
        """Loads the tokenizer.

        Args:
            owner: As above.
            dtype: Of the weights; None takes the owner's own.
            device: Of the weights.
            caches: What merging remembers between candidates.

        Raises:
            PreparationError: The tokenizer cannot be loaded.
        """
        self.owner, self.device = owner, device
        self.dtype: torch.dtype = getattr(torch, dtype or own_dtype(owner))
        self.tokenizer = load_tokenizer(owner)
        self._sight = sight_for(owner.folder, owner.config)
        self._spoken: dict[str, Any] = {}
        self.made = self.shared = self.together = 0
        self._caches = caches
        self._networks: OrderedDict[str, Network] = OrderedDict()
        self._memory: dict[str, Tensor] = {}
        self._slots: dict[ParameterPlace, _Slot] = {}
        self._survey_key: Hashable = None
        self._survey_number = 0
        self._findings: object = None

    def tokenizer_with(self, template: str | None) -> Any:  # noqa: ANN401 - transformers
        """Returns the tokenizer with another chat template, the same for the same one; None keeps its own."""
        if template is None:
            return self.tokenizer
        if template not in self._spoken:
            self._spoken[template] = with_template(self.tokenizer, template)
        return self._spoken[template]

    @torch.no_grad()
    def overwrite(self, config: Mapping[str, Any], plan: MergePlan, sources: Sources) -> Any:  # noqa: ANN401
        """Returns the merged model; it is valid until the next call.

        Args:
            config: The merged model's config.json.
            plan: How to make its tensors.
            sources: Of the parents' weights.

        Raises:
            MergeError: The tensors are not those that the configuration promises, or cannot be made.
        """
        network = self._network(config)
        places = _places(network, plan)
        network.check_complete(places)
        findings = self._survey(plan, sources)
        self.made = self.shared = self.together = 0
        changed: list[tuple[TensorPlan, _Slot]] = []
        shown: dict[str, Tensor] = {}
        first: dict[Hashable, ParameterPlace] = {}
        repeats = len({tensor.inputs for tensor in places.values()}) < len(places)
        for place, tensor in places.items():
            # A layer that comes again is computed once, and lies in memory once.
            twin = (
                first.setdefault(_content(tensor, plan.owner), place) if repeats and place.is_whole else place
            )
            if twin is not place:
                shown[place.parameter] = shown[twin.parameter]
                self.shared += 1
                continue
            parents_own = _parents_own(tensor, place, self.device, sources)
            if parents_own is not None:
                shown[place.parameter] = parents_own
                self.shared += 1
                continue
            slot = self._slot(place)
            shown[place.parameter] = self._memory[place.parameter]
            if slot.made_by != (tensor, self._survey_number):
                changed.append((tensor, slot))
        self._make(changed, sources, findings)
        self.made = len(changed)
        for parameter, memory in shown.items():
            network.put(parameter, memory)
        network.scale_inputs(plan.owner.layer_prefix, plan.input_scales)
        if self._sight is not None:
            self._sight.eyes = tuple((t.name, t.inputs) for t in plan.tensors if t.name in plan.owner.copied)
            see_with(network.model, self._sight)
        return network.model

    def _make(self, changed: Sequence[tuple[TensorPlan, _Slot]], sources: Sources, findings: object) -> None:
        """Computes tensors in place: small ones several at a time, large ones with all threads."""
        several: list[tuple[TensorPlan, _Slot]] = []
        alone: list[tuple[TensorPlan, _Slot]] = []
        for item in self._not_batched(changed, sources, findings):
            small = has_fast_way(item[0]) and item[1].tensor.numel() < _LARGE
            divisible = self.device == "cpu" and (small or item[0].kernel in PREPARATIONS)
            (several if divisible else alone).append(item)

        countdown = Countdown(
            "merging:", len(changed), entries=sum(slot.tensor.numel() for _, slot in changed)
        )

        def make(item: tuple[TensorPlan, _Slot], work: Map) -> None:
            tensor, slot = item
            slot.made_by = None  # until it is wholly written
            held = slot.held
            slot.held = merge_into(slot.tensor, tensor, sources, findings, self._caches, work, held=held)
            slot.made_by = (tensor, self._survey_number)
            countdown.step(slot.tensor.numel())

        for item in alone:
            make(item, together)
        several.sort(key=lambda item: -item[1].tensor.numel())  # so that no thread is left with a long one
        side_by_side([tensor for tensor, _ in several])(lambda item: make(item, one_by_one), several)
        get_ready(((slot.tensor, tensor, slot.held) for tensor, slot in several), sources)

    def _not_batched(
        self, changed: Sequence[tuple[TensorPlan, _Slot]], sources: Sources, findings: object
    ) -> list[tuple[TensorPlan, _Slot]]:
        """Makes tensors that can be made together; returns the others."""
        batch: list[BatchedTensor] = []
        slots: list[_Slot] = []
        others: list[tuple[TensorPlan, _Slot]] = []
        for tensor, slot in changed:
            one = batched(slot.tensor, tensor, slot.held, sources)
            if one is None:
                others.append((tensor, slot))
                continue
            slot.made_by = None  # until it is wholly written
            batch.append(one)
            slots.append(slot)
        if batch:
            merge_batch(batch, sources, findings, self._caches, together)
        self.together = len(batch)
        for one, slot in zip(batch, slots, strict=True):
            slot.made_by = (one.plan, self._survey_number)
        return others

    def _survey(self, plan: MergePlan, sources: Sources) -> object:
        """Returns what the method must know of the whole model; looks only where that has changed."""
        key = _survey_key(plan)
        if key != self._survey_key:
            self._survey_key = None
            self._findings = survey(plan, sources, self._caches)
            self._survey_key = key
            self._survey_number += 1
        return self._findings

    def _slot(self, place: ParameterPlace) -> _Slot:
        """Returns the memory of a place, allocated when it is needed first."""
        memory = self._memory.get(place.parameter)
        if memory is None or memory.shape != place.whole or memory.dtype != place.dtype:
            memory = torch.empty(place.whole, dtype=place.dtype, device=self.device)
            self._memory[place.parameter] = memory
            self._slots = {p: slot for p, slot in self._slots.items() if p.parameter != place.parameter}
        if place not in self._slots:
            self._slots[place] = _Slot(place.inside(memory))
        return self._slots[place]

    def _network(self, config: Mapping[str, Any]) -> Network:
        key = key_of(config)
        if key not in self._networks:
            while len(self._networks) >= MOST_NETWORKS:
                self._networks.popitem(last=False)
            network = Network(config, dtype=self.dtype, device=self.device)
            generation = self.owner.folder / "generation_config.json"
            if generation.is_file():
                network.model.generation_config = GenerationConfig.from_pretrained(self.owner.folder)
            self._networks[key] = network
        self._networks.move_to_end(key)
        return self._networks[key]


def _places(network: Network, plan: MergePlan) -> dict[ParameterPlace, TensorPlan]:
    """Returns which tensor of the plan goes where in the network.

    Raises:
        MergeError: The network has no place for one, or one of another shape.
    """
    places = {}
    for tensor in plan.tensors:
        place = network.place_of(tensor.name)
        if place is None:
            continue
        if place.shape != tuple(tensor.shape):
            detail = f"has shape {list(tensor.shape)}, the network takes {list(place.shape)}"
            raise MergeError(tensor.name, detail, "merge models of one size")
        places[place] = tensor
    return places


def _content(plan: TensorPlan, owner: Layout) -> Hashable:
    """Returns what a tensor follows from, whichever layer it is for: equal ones are equal tensors."""
    name = plan.name if owner.layer_of(plan.name) is None else owner.in_layer(plan.name, 0)
    numbers = (*plan.per_parent.items(), *plan.shared.items(), *plan.choices.items(), *plan.seeds)
    return name, plan.shape, plan.kernel, plan.inputs, plan.base, numbers, plan.dtype, plan.out_dtype


def _parents_own(plan: TensorPlan, place: ParameterPlace, device: str, sources: Sources) -> Tensor | None:
    """Returns the parent's tensor that a merged one equals in every respect, or None."""
    source = copied_from(plan)
    if source is None or not place.is_whole:
        return None
    tensor = sources.read(source.parent, source.tensor)
    formats = {getattr(torch, name) for name in (plan.dtype, plan.out_dtype) if name is not None}
    as_it_is = formats | {tensor.dtype} == {place.dtype} and tuple(tensor.shape) == place.shape
    return tensor if as_it_is and tensor.device == torch.device(device) else None


def _survey_key(plan: MergePlan) -> Hashable:
    """Returns what the findings of the method's survey follow from; () where it makes none."""
    computed = [tensor for tensor in plan.tensors if tensor.kernel in SURVEYS]
    kernel = computed[0].kernel if computed else None
    if kernel is None:
        return ()
    names = SURVEYS[kernel].depends_on
    return kernel, tuple((t.name, t.inputs, t.base, t.dtype, values_of(t, names)) for t in computed)
