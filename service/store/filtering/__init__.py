"""Filters and orders that people write: a text, its grammar, and the columns that it may name."""
