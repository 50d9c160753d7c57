"""Parts of `python -m benchmarks.real`: the same items asked by plain lm-eval, and what asking costs."""
