"""Eyes in one parent, a language in the other: a problem small enough for a laptop's processor.

The miniature of the second result of arXiv 2403.13187: a small LLaVA answers questions about pictures, but
only in English; a language model speaks an invented language and has no vision tower.  What is scored,
questions about pictures in that language, no parent can do.

    python -m examples.language_and_vision OUT_DIR
"""

from __future__ import annotations

from examples.language_and_vision.making import Files, make_everything

__all__ = ["Files", "make_everything"]
