"""Declares the methods that work on singular vectors."""

from __future__ import annotations

from search_spaces.method import Method

METHODS: tuple[Method, ...] = ()
