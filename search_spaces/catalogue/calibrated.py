"""Declares the methods that need records of a calibration pass."""

from __future__ import annotations

from search_spaces.method import Method

METHODS: tuple[Method, ...] = ()
