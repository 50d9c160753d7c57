"""The fast way to a merged tensor on a CPU: one pass over the parents, compiled, in place.

`ways.py` chooses between the compiled passes and, for small tensors, numpy; `engine.py` finds the pass
that makes a tensor, `numba_kernels.py` are the loops, the rest is what they must know first: magnitudes by
rank, random masks, inner products, and what of that to keep.
"""
