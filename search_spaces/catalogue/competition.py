"""Declares the methods in which the parents compete for every entry: PCB, consensus, SCE."""

from __future__ import annotations

from search_spaces.method import Method

METHODS: tuple[Method, ...] = ()
