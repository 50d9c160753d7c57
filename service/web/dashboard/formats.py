"""How numbers, durations and times are written for people; the filters of the templates."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from service.experiment.objectives import ObjectiveFacts
from service.reports.views import ScoreView
from service.web.dashboard.markdown import markdown

NARROW, FIRM = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"
_SHARES = ("acc", "exact_match", "em", "f1", "mc1", "mc2", "pass@")
_STEPS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def is_share(metric: str) -> bool:
    """Says whether a metric lies between 0 and 1 by its meaning, so that people read it in percent."""
    return metric.split(",")[0].startswith(_SHARES)


def all_shares(objectives: Sequence[ObjectiveFacts]) -> bool:
    """Says whether a mean over the objectives can be read in percent."""
    return all(is_share(objective.metric) for objective in objectives)


def score(value: float | None, share: bool = True) -> str:
    """Writes a score: `71.3 %` for shares, four significant digits for everything else."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value * 100:.1f}{NARROW}%" if share else f"{value:.4g}"


def with_error(value: ScoreView | None) -> str:
    """Writes a score with its standard error: `71.3 ± 2.1 %`."""
    return "–" if value is None else plus_minus(value.value, value.stderr, is_share(value.metric))


def plus_minus(value: float, stderr: float, share: bool, unit: str = "%") -> str:
    """Writes a number with its standard error; shares in percent, or in another unit as large."""
    if not share:
        return f"{value:.4g}{FIRM}±{FIRM}{stderr:.2g}"
    return f"{value * 100:.1f}{FIRM}±{FIRM}{stderr * 100:.1f}{NARROW}{unit}"


def signed_plus_minus(value: float, stderr: float | None, share: bool) -> str:
    """Writes a difference with its sign and standard error; for shares in percentage points."""
    if stderr is None:
        return difference(value, share)
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + plus_minus(abs(value), stderr, share, "points")


def p_value(value: float) -> str:
    """Writes a p-value to two digits; very small ones as a bound."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def difference(value: float | None, share: bool = True) -> str:
    """Writes a difference with its sign; for shares in percentage points."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value * 100:+.1f}" if share else f"{value:+.3g}"
    return text.replace("-", "−") + (f"{NARROW}points" if share else "")


def duration(seconds: float | None) -> str:
    """Writes a duration in its two largest units: `4 min 12 s`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 0.1:
        return f"{seconds * 1000:.2g}{NARROW}ms"
    if seconds < 10:
        return f"{seconds:.2g}{NARROW}s"
    for (size, unit), (below, small) in zip(_STEPS, (*_STEPS[1:], (1.0, "")), strict=True):
        if seconds >= size:
            whole = int(seconds // size)
            rest = int(seconds % size // below)
            return f"{whole}{NARROW}{unit}" + (f" {rest}{NARROW}{small}" if small and rest else "")
    return f"0{NARROW}s"


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """Writes how long ago a moment was, in its largest unit: `3 min ago`."""
    if moment is None:
        return "–"
    since = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - since).total_seconds()
    for size, unit in _STEPS[:-1]:
        if seconds >= size:
            return f"{int(seconds // size)}{NARROW}{unit} ago"
    return "just now"


def rate(per_second: float | None) -> str:
    """Writes candidates per second, or per minute or hour where that gives readable numbers."""
    if not per_second:
        return "–"
    for factor, unit in ((1.0, "s"), (60.0, "min"), (3_600.0, "h")):
        if per_second * factor >= 1 or unit == "h":
            return f"{per_second * factor:.1f}{NARROW}/{NARROW}{unit}"
    return "–"


def moment(value: datetime | None) -> str:
    """Writes a time to the second, in UTC."""
    return "–" if value is None else value.strftime("%Y-%m-%d %H:%M:%S UTC")


def short_model(reference: str) -> str:
    """Returns the part of a model reference that tells it from its neighbours."""
    return reference.rstrip("/").rsplit("/", 1)[-1] or reference


FILTERS: dict[str, Callable[..., object]] = {
    "score": score,
    "with_error": with_error,
    "plus_minus": plus_minus,
    "difference": difference,
    "signed_plus_minus": signed_plus_minus,
    "p_value": p_value,
    "duration": duration,
    "age": age,
    "rate": rate,
    "moment": moment,
    "short_model": short_model,
    "is_share": is_share,
    "shell": shlex.quote,
    "markdown": markdown,
}
