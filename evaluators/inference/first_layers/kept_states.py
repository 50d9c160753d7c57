"""What the first layers made of a plan's tokens, kept for candidates that have the same first layers.

Parents that were trained in their last layers only, and stacks that begin alike, give candidates whose
first layers are the same to the last bit.  Those are run for one of them; the others begin with what
came out.  Nothing is estimated: the hidden states are the very ones that would be computed again.

Shapes: B rows of a pass, L its longest, D hidden size.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from evaluators.inference.first_layers.identity import Link, layers_of, links
from evaluators.inference.memory import copy_fits

_WORTH = 256  # tokens; comparing the weights takes as long as reading some ten
_WHOLE = 1024  # tokens, from which on all layers are looked at; else up to the first one that is new
_CHAINS, _DEPTHS = 8, 2  # candidates that are remembered, and states that are kept
_MOST = 1 << 28  # bytes of one depth's states

Chain = tuple[Link, ...]  # what is before the layers, and then the layers
Forward = Callable[..., Any]


@dataclass(slots=True)
class _Run:
    """One asking.

    Attributes:
        skipped: How many layers are left out.
        noted: After how many layers states are noted; 0 for none.
        states: What comes out of the layers that are left out, pass after pass.
        found: What was noted.
    """

    skipped: int = 0
    noted: int = 0
    states: Sequence[Tensor] = ()
    found: list[Tensor] = field(default_factory=list)
    _passes: int = 0

    @property
    def is_plain(self) -> bool:
        """Says whether all layers run, and nothing is noted."""
        return not self.skipped and not self.noted

    def instead_of(self, plain: Forward, number: int) -> Forward:
        """Returns what a layer does now; layers are counted from 1."""
        if number < self.skipped:
            return lambda hidden_states, *_, **__: hidden_states
        if number == self.skipped:
            return self._give
        return self._noting(plain) if number == self.noted else plain

    def _give(self, hidden_states: Tensor, *_: object, **__: object) -> Tensor:
        state = self.states[self._passes]
        if state.shape != hidden_states.shape:
            raise RuntimeError(f"pass {self._passes} reads {hidden_states.shape}, and read {state.shape}")
        self._passes += 1
        return state

    def _noting(self, plain: Forward) -> Forward:
        def forward(*args: object, **options: object) -> object:
            out = plain(*args, **options)
            if isinstance(out, Tensor):
                self.found.append(out)
            return out

        return forward


class KeptStates:
    """The hidden states that a fixed order of passes had after some layers.

    Args:
        tokens: Those that are read, each once and in order.
        positions: B x L of all passes together.
    """

    def __init__(self, tokens: Tensor, positions: int) -> None:
        self._tokens, self._positions = tokens, positions
        self._chains: deque[Chain] = deque(maxlen=_CHAINS)
        self._states: OrderedDict[Chain, list[Tensor]] = OrderedDict()  # by what they came out of
        self.run = _Run()

    def forget(self) -> None:
        """Lets all states go: the passes are others now, or memory ran out."""
        self._chains.clear()
        self._states.clear()

    @contextmanager
    def used(self, network: PreTrainedModel) -> Iterator[None]:
        """Has the network leave out the first layers whose outcome is known, in all passes from here on.

        The weights must not change meanwhile.
        """
        self.run = self._planned(network)
        layers = layers_of(network)[: max(self.run.skipped, self.run.noted)]
        try:
            for number, layer in enumerate(layers, start=1):
                layer.__dict__["forward"] = self.run.instead_of(layer.forward, number)
            yield
        finally:
            for layer in layers:
                layer.__dict__.pop("forward", None)
        if self.run.found:
            self._states[self._chains[-1][: self.run.noted + 1]] = self.run.found
            while len(self._states) > _DEPTHS:
                self._states.popitem(last=False)

    def _planned(self, network: PreTrainedModel) -> _Run:
        """Decides which layers are left out, and after which one states are noted."""
        layers = layers_of(network)
        if self._positions < _WORTH or len(layers) < 2 or network.device.type != "cpu":
            return _Run()
        if any("forward" in layer.__dict__ for layer in layers):
            return _Run()
        found, shared = self._compared(network)
        known = [key for key in self._states if found[: len(key)] == key]
        best = max(known, key=len, default=None)
        if best is not None:
            self._states.move_to_end(best)
        skipped = len(best) - 1 if best is not None else 0
        noted = shared - 1 if shared - 1 > skipped and self._fits(network) else 0
        return _Run(skipped, noted, self._states[best] if best is not None else ())

    def _compared(self, network: PreTrainedModel) -> tuple[Chain, int]:
        """Returns the network's chain, remembered, and how far one before it was the same."""
        found: list[Link] = []
        same, shared = list(self._chains), 0
        for number, link in enumerate(links(network, self._tokens)):
            found.append(link)
            same = [one for one in same if len(one) > number and one[number] == link]
            shared = number + 1 if same else shared
            if not same and self._chains and self._positions < _WHOLE:
                break
        self._chains.append(tuple(found))
        return tuple(found), shared

    def _fits(self, network: PreTrainedModel) -> bool:
        size = self._positions * network.config.get_text_config().hidden_size * network.dtype.itemsize
        return size <= _MOST and copy_fits(network, size)
