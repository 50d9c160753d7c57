"""The fast way to a merged tensor on a CPU: one pass over the parents, compiled, in place.

`engine.py` finds the pass that makes a tensor, `passes.py` and `blocks.py` are the loops, the rest is
what they must know first: magnitudes by rank, random masks, inner products, and what of that to keep.
"""
