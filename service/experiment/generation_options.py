"""What a user writes to have answers generated otherwise than a task says."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from service.experiment.criteria import Spec

Text = Annotated[str, Field(max_length=1000)]


class GenerationOptions(Spec):
    """How answers are generated, where not as the task says.

    What an objective leaves out is as the experiment says.

    Attributes:
        do_sample: Draw tokens, instead of taking the likeliest; on where a temperature above 0 is given.
        temperature, top_p, top_k, min_p: What is drawn from, as in transformers.
        repetition_penalty, num_beams: As in transformers.
        max_gen_toks: Most tokens of an answer.
        until: Texts that end an answer.
        repeats: How often each item is asked; the task's filter must read all answers
            (`majority_vote`, `take_first_k` ...), or the metric (`pass@k`, `maj@k`, `avg@k`).
        seed: Of what is drawn: equal seeds give equal answers to an item, whatever is asked beside it.
    """

    do_sample: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    num_beams: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_gen_toks: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    until: Text | tuple[Text, ...] | None = None
    repeats: Annotated[int, Field(ge=1, le=10_000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None

    def over(self, default: GenerationOptions | None) -> dict[str, Any]:
        """Returns what is given, and where that is nothing the default's."""
        given = {} if default is None else default.model_dump(mode="json", exclude_none=True)
        return given | self.model_dump(mode="json", exclude_none=True)
