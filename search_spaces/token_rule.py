"""Where the embedding of one token comes from, when a recipe says it: mergekit's `tokenizer.tokens`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from search_spaces.parent import Parent


class TokenRule(BaseModel):
    """The row of a token for parents that lack it; with `force` for all parents.

    A token that the merged tokenizer does not know is added to it.

    Attributes:
        source: The parent whose row is taken; its row of the same token unless another is named.
        source_token, source_id: The other token, or the number of the row.
        zero: The row is zero.
        force: Parents that have the token take the row too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=1024)]
    source: Parent | None = None
    source_token: str | None = None
    source_id: Annotated[int, Field(ge=0)] | None = None
    zero: bool = False
    force: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.zero and self.source is not None:
            raise ValueError(f"the row of {self.token!r} is zero and from {self.source}; keep one of them")
        if self.source_token is not None and self.source_id is not None:
            raise ValueError(f"the row of {self.token!r} is named by token and by number; keep one of them")
        if self.source is None and (self.source_token is not None or self.source_id is not None):
            raise ValueError(f"the row of {self.token!r} is another token's of no model; name the model")
        return self
