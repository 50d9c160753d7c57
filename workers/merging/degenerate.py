"""Where geometry decides nothing: how large a share of a parent angles alone may give.

Vectors that point against each other have no shortest arc, no mean direction and no angle to correct by.
Close to that the formulas still give numbers, the larger the nearer, and multiply what rounding left of a
sum that is zero.  Methods whose shares follow from angles take their degenerate form there: the straight
line, the first parent, or the base, as each says.

    |s_i| <= 32 max(1, sum_j |w_j|)        s_i the share of parent i, w_j what the recipe says

Two vectors reach it 178.2 degrees apart, where slerp has always taken the line.
"""

from __future__ import annotations

from collections.abc import Iterable

LARGEST_SHARE = 32.0
"""Of one parent, in weights that sum to 1.  So n parents stay within 32 n times the largest entry."""

PARALLEL = 0.9995
"""|cosine| from which on two vectors lie on one line: sin(theta / 2) / sin(theta) is 31.6 there."""


def blows_up(shares: Iterable[float], weights: Iterable[float] = (1.0,)) -> bool:
    """Says whether shares that follow from angles are out of proportion to what was asked for.

    Args:
        shares: Of the parents, as the angles give them.
        weights: As the recipe gives them; they may be large of themselves.
    """
    allowed = LARGEST_SHARE * max(1.0, sum(abs(weight) for weight in weights))
    return any(abs(share) > allowed for share in shares)
