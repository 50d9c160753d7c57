"""Experiments inside a program or a notebook: what `evomerge run` does, as a call that returns a result."""

from __future__ import annotations

from service.inprocess.front import Front
from service.inprocess.optimize import optimize
from service.inprocess.result import Result

__all__ = ["Front", "Result", "optimize"]
