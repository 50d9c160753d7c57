"""A checkpoint as transformers loads it: which of its tensors is which of the network's.

What a file calls a tensor is not what it is.  Older files lack a prefix, hold constants that are computed
anew, or keep the one tensor of tied embeddings under the head's name, or twice.  Here the network of the
configuration is built without memory, and transformers' own rules say what each tensor is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    PrefixChange,
    WeightConverter,
    WeightRenaming,
    apply_converters,
    apply_renamings,
    dot_natural_key,
    rename_source_key,
)

from workers.checkpoints.architecture.load_patterns import not_required
from workers.checkpoints.architecture.promised_network import PromisedNetwork, promised_network
from workers.checkpoints.layer_stacks import FURTHER_LAYERS, find_layers, is_sense, is_unread
from workers.checkpoints.layout import (
    Layout,
    TensorEntry,
    has_senses,
    language_config,
    untied_config,
    with_language_config,
)
from workers.checkpoints.parents import equal_tensors
from workers.errors import CheckpointError

_ONE_OF_THEM = "remove the one that is wrong, and save the checkpoint again"


def as_loaded(layout: Layout) -> Layout:
    """Returns a checkpoint's layout as transformers loads it.

    Tensors have the names that transformers saves them under today; constants and parts that are not
    loaded are left out; tied embeddings are there once, under the name of the input embeddings; a head
    that differs from the embeddings is one of its own, whatever config.json says.  The tables with one
    row per token are known.  Of an architecture that transformers has no network for, nothing is known
    but what the names say.

    Raises:
        CheckpointError: Tensors are missing that transformers would draw at random, or the embeddings
            are tied in a way that the files contradict.
    """
    if layout.stored is not None:
        return layout
    network = promised_network(layout.config)
    if network is None:
        return replace(layout, tables=(), stored=layout)
    return _Loading(layout, network).loaded()


@dataclass(frozen=True, slots=True)
class _Found:
    """A stored tensor's place in the network; `converted` ones are a part of it, or in another form."""

    place: str
    converted: bool


class _Loading:
    """One checkpoint's way into its network."""

    def __init__(self, layout: Layout, network: PromisedNetwork) -> None:
        self._layout, self._network = layout, network
        self._model = network.model
        self._shapes = self._model.state_dict()
        self._transforms = get_model_conversion_mapping(self._model)
        saving = [
            transform.reverse_transform()
            for transform in get_model_conversion_mapping(self._model, add_legacy=False)[::-1]
            if not isinstance(transform, PrefixChange)
        ]
        self._saving_names = [t for t in saving if isinstance(t, WeightRenaming)]
        self._saving_forms = [t for t in saving if isinstance(t, WeightConverter)]

    def loaded(self) -> Layout:
        layout = self._layout
        found = self._places(layout.tensors)
        left_out = self._left_out(found)
        names = {
            stored: self._saved_name(stored, found) for stored in layout.tensors if stored not in left_out
        }
        self._check_apart(names)
        tensors = {
            name: entry if name == stored else replace(entry, stored_as=entry.stored_as or stored)
            for stored, name in names.items()
            for entry in (layout.tensors[stored],)
        }
        places = {names[stored]: where.place for stored, where in found.items() if stored in names}
        tables = self._network.tables()
        tensors, apart = self._tied_once(tensors, places, tables)
        if apart is not None:
            return self._untied(*apart)
        self._check_complete(places, tensors)
        return self._layout_of(tensors, places, tables, left_out)

    def _places(self, names: Mapping[str, TensorEntry]) -> dict[str, _Found]:
        """Returns where stored tensors go, by transformers' own rules for reading files."""
        renamings = [t for t in self._transforms if isinstance(t, WeightRenaming)]
        forms = [t for t in self._transforms if isinstance(t, WeightConverter)]
        prefix = self._model.base_model_prefix
        found = {}
        for name in sorted(names, key=dot_natural_key):
            place, pattern = rename_source_key(name, renamings, forms, prefix, self._shapes)
            if place not in self._shapes and name in self._shapes:
                place, pattern = rename_source_key(name, [], [], prefix, self._shapes)
            if place in self._shapes:
                found[name] = _Found(place, pattern is not None)
        return found

    def _left_out(self, found: Mapping[str, _Found]) -> dict[str, None]:
        """Returns what transformers does not load, and does not complain of, in order."""
        ignored = self._network.ignored
        return {
            name: None
            for name in self._layout.tensors
            if name not in found
            and ((ignored is not None and ignored.search(name) is not None) or self._is_further(name))
        }

    def _is_further(self, name: str) -> bool:
        """Says whether a tensor is of a layer after the last, which the network has not."""
        number = self._layout.layer_of(name)
        return number is not None and number >= self._layout.layers

    def _saved_name(self, stored: str, found: Mapping[str, _Found]) -> str:
        """Returns what transformers calls a tensor when it saves it; what it computes anew stays as it is."""
        where = found.get(stored)
        if where is None or where.converted or apply_converters(where.place, self._saving_forms)[1]:
            return stored
        name = apply_renamings(where.place, self._saving_names)
        again = self._places({name: self._layout.tensors[stored]}).get(name)
        return name if again == where else stored

    def _check_apart(self, names: Mapping[str, str]) -> None:
        first: dict[str, str] = {}
        for stored, name in names.items():
            if first.setdefault(name, stored) != stored:
                detail = f"{first[name]!r} and {stored!r} are one and the same tensor of {self._class}"
                raise self._broken(detail, "save the checkpoint again")

    def _tied_once(
        self, tensors: dict[str, TensorEntry], places: dict[str, str], tables: Sequence[str]
    ) -> tuple[dict[str, TensorEntry], tuple[str, str] | None]:
        """Returns the tensors with tied tables once; else the two that are told to be one and are not."""
        kept = dict(tensors)
        names = {place: name for name, place in places.items()}
        for target, source in self._model.all_tied_weights_keys.items():
            if target not in tables or target not in names:
                continue
            if source not in names:
                name = apply_renamings(source, self._saving_names)
                entry = kept.pop(names[target])
                kept[name] = replace(entry, stored_as=entry.stored_as or names[target])
                places.pop(names.pop(target))
                names[source], places[name] = name, source
            elif equal_tensors(kept[names[target]], names[target], kept[names[source]], names[source]):
                kept.pop(names[target])
                places.pop(names.pop(target))
            else:
                return tensors, (names[source], names[target])
        return kept, None

    def _untied(self, embeddings: str, head: str) -> Layout:
        """Returns the layout with a configuration that says what the files hold."""
        told = f"{head!r} differs from {embeddings!r}, though config.json ties them"
        config = untied_config(self._layout.config)
        if self._layout.config.get("is_encoder_decoder") or config == self._layout.config:
            raise self._broken(told, _ONE_OF_THEM)
        network = promised_network(config)
        if network is None:
            raise self._broken(told, _ONE_OF_THEM)
        try:
            found = _Loading(replace(self._layout, config=config), network).loaded()
        except CheckpointError as error:
            raise self._broken(told, _ONE_OF_THEM) from error
        note = f"{self._layout.parent}: {told}; both are merged, and tie_word_embeddings becomes false"
        return replace(found, notes=(*found.notes, note), stored=self._layout)

    def _check_complete(self, places: Mapping[str, str], tensors: Mapping[str, TensorEntry]) -> None:
        """Refuses a checkpoint without something that its network has: it would be drawn at random."""
        covered = {place for name, place in places.items() if name in tensors}
        groups = self._model.all_tied_weights_keys
        covered |= {target for target, source in groups.items() if source in covered}
        covered |= {source for target, source in groups.items() if target in covered}
        covered |= {target for target, source in groups.items() if source in covered}
        allowed = [re.compile(pattern) for pattern in not_required(self._model)]
        missing = [
            place
            for place in self._shapes
            if place not in covered
            and not any(pattern.search(place) for pattern in allowed)
            and not apply_converters(place, self._saving_forms)[1]
        ]
        if missing:
            detail = (
                f"lacks {len(missing)} tensors of a {self._class}, such as {missing[0]!r}: transformers "
                "would draw them at random"
            )
            raise self._broken(detail, "download or save the checkpoint again")

    def _layout_of(
        self,
        tensors: dict[str, TensorEntry],
        places: Mapping[str, str],
        tables: Sequence[str],
        left_out: Iterable[str],
    ) -> Layout:
        layout = self._layout
        copied = self._beside(tensors, places)
        language = {name: entry for name, entry in tensors.items() if name not in copied}
        config = dict(layout.config)
        layers, prefix = find_layers(layout.parent, config, language, further=False)
        if any(map(self._is_further, left_out)):
            counts = {key: 0 for key in FURTHER_LAYERS if key in language_config(config)}
            config = with_language_config(config, counts)
        saved = {place: name for name, place in places.items() if name in tensors}
        head = self._network.head
        return replace(
            layout,
            config=config,
            tensors=tensors,
            layers=layers,
            layer_prefix=prefix,
            copied=copied,
            tables=tuple(saved[place] for place in tables if place in saved),
            head=saved.get(head, apply_renamings(head, self._saving_names)) if head is not None else None,
            notes=(*layout.notes, *self._notes(left_out)),
            stored=layout,
        )

    def _notes(self, left_out: Iterable[str]) -> list[str]:
        """Returns a sentence on weights that are left out; constants, which are computed anew, need none."""
        layout = self._layout
        weights = [n for n in left_out if is_unread(n, layout.layer_of(n), layout.layers, layout.config)]
        if not weights:
            return []
        told = f"{layout.parent}: {len(weights)} tensors that transformers does not load are left out"
        return [f"{told}, such as {weights[0]!r}"]

    def _beside(self, tensors: Mapping[str, TensorEntry], places: Mapping[str, str]) -> frozenset[str]:
        """Returns the tensors that lie not where the embeddings do: no part of the language model."""
        embeddings, head = self._network.embeddings, self._network.head
        if not has_senses(self._layout.config) or embeddings is None:
            return frozenset()
        inside = self._network.language_prefix
        others = self._network.other_models
        heads = {f"{(head or '').removesuffix('.weight')}.{kind}" for kind in ("weight", "bias")}
        return frozenset(
            name
            for name in tensors
            if (place := places.get(name)) not in heads
            and (
                name in self._layout.copied
                if place is None
                else not place.startswith(inside)
                or place.startswith(others)
                or is_sense(place.removeprefix(inside))
            )
        )

    @property
    def _class(self) -> str:
        return type(self._model).__name__

    def _broken(self, detail: str, remedy: str) -> CheckpointError:
        return CheckpointError(str(self._layout.parent), detail, remedy)
