"""Merging in miniature: models of scikit-learn's digits, trained in a second, scored in a millisecond.

They show the direction of a published result, not its size: which method beats which, and by about how
much a score that was searched for promises too much.
"""
