"""Prompts: texts to be continued, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evaluators.errors import EvaluationError

LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
DEFAULT_LENGTH = 256  # tokens, as in lm-eval
SEED = 0  # where a task samples: the same weights always give the same texts


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How a text is continued: at most `new_tokens`, up to the first of the `stops`.

    Attributes:
        options: Further arguments of the network's `generate`.
        seed: Of what is drawn where a task samples.
        draw: Which of a prompt's draws this is, where it is asked several times; 0 where nothing is drawn.
        think_end: The text, or the token, that ends reasoning; None where there is none to cut off.
    """

    stops: tuple[str, ...]
    new_tokens: int = DEFAULT_LENGTH
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = SEED
    think_end: str | int | None = None
    draw: int = 0

    @property
    def samples(self) -> bool:
        """Says whether tokens are drawn; otherwise the likeliest are taken."""
        return bool(self.options.get("do_sample"))

    @classmethod
    def of_task(
        cls, wanted: Mapping[str, Any], end_of_text: str | None, *, draw: int = 0
    ) -> GenerationSettings:
        """Reads a task's generation arguments; the first given name of the length counts.

        Raises:
            EvaluationError: Beams are wanted, and tokens drawn; or tokens are drawn at temperature 0.
        """
        options = {
            name: value
            for name, value in wanted.items()
            if name not in ("until", "max_length", "seed", "think_end", *LENGTH_NAMES)
        }
        lengths = [int(wanted[name]) for name in LENGTH_NAMES if wanted.get(name) is not None]
        until = wanted.get("until") or []
        stops = [until] if isinstance(until, str) else list(until)
        if end_of_text and end_of_text not in stops:
            stops.append(end_of_text)
        temperature = float(options.pop("temperature", None) or 0.0)
        options["do_sample"] = bool(options.get("do_sample", temperature > 0))
        if options["do_sample"] and temperature > 0:
            options["temperature"] = temperature
        elif options["do_sample"] and wanted.get("temperature") is not None:
            detail = "do_sample draws tokens, and nothing can be drawn at temperature 0"
            raise EvaluationError(
                "generation.temperature", detail, "write do_sample: false, or a temperature"
            )
        if options["do_sample"] and int(options.get("num_beams") or 1) > 1:
            detail = f"{options['num_beams']} beams are kept, and tokens are drawn"
            remedy = "write num_beams: 1, or take the likeliest tokens with temperature: 0"
            raise EvaluationError("generation.num_beams", detail, remedy)
        return cls(
            tuple(stop for stop in stops if stop),
            next(iter(lengths), DEFAULT_LENGTH),
            options,
            int(wanted.get("seed") or SEED),
            wanted.get("think_end"),
            draw if options["do_sample"] else 0,
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids to continue, and how."""

    tokens: tuple[int, ...]
    settings: GenerationSettings

    def fitted(self, max_length: int) -> Prompt:
        """Returns the prompt as the network reads it: cut from the left, so that the answer fits.

        Raises:
            EvaluationError: There is no room for any prompt, or there is no prompt.
        """
        room = max_length - self.settings.new_tokens
        if room <= 0:
            raise EvaluationError(
                "task",
                f"asks for {self.settings.new_tokens} new tokens, where the model reads {max_length}",
                "lower max_gen_toks in the task's generation_kwargs",
            )
        if not self.tokens:
            raise EvaluationError("task", "a prompt without tokens", "look for empty prompts in its data")
        return Prompt(self.tokens[-room:], self.settings)


@dataclass(frozen=True, slots=True)
class Generated:
    """What a prompt was continued with.

    Attributes:
        text: Without the stop text and what follows it.
        tokens: How many were generated, the stop text's among them.
        truncated: It came to no end within the tokens allowed.
        reasoning: How many of the tokens are reasoning, what ends it included.
    """

    text: str
    tokens: int
    truncated: bool
    reasoning: int = 0
