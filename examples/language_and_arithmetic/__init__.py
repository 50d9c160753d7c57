"""Two skills in two parents, scored together: a problem small enough for a laptop's processor.

The miniature of arXiv 2403.13187: one expert reckons but only in English, the other speaks an invented
language but does not reckon, and what is scored, reckoning in that language, no parent can do.

    python -m examples.language_and_arithmetic OUT_DIR
"""

from __future__ import annotations

from examples.language_and_arithmetic.making import DemoFiles, make_everything

__all__ = ["DemoFiles", "make_everything"]
