"""Evaluations on a terminal, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from evaluators.chat import Chat
from evaluators.evaluations import Evaluated, EvaluationSettings, PairedDifference
from service.cli.terminal.output import clean, data_console, say
from service.cli.terminal.tables import plain_table
from workers.protocol.evaluation_orders import EvaluationReport


def show_report(found: EvaluationReport, settings: EvaluationSettings) -> None:
    """Writes lm-eval's table of each model, then models beside their parents."""
    for each in (*found.models, *found.parents):
        say(f"evomerge ({clean(each.model)}), {_conditions(settings)}, {each.seconds:.1f} s")
        say(each.table)
    if found.differences:
        _show_differences(found)


def report_as_json(found: EvaluationReport) -> dict[str, Any]:
    """Returns lm-eval's results per model, and the paired differences."""
    return {
        "models": [_as_json(each) for each in found.models],
        "parents": [_as_json(each) for each in found.parents],
        "differences": [asdict(each) for each in found.differences],
    }


def _as_json(each: Evaluated) -> dict[str, Any]:
    return {"model": each.model, "cut_prompts": each.cut, "seconds": each.seconds, **each.results}


def _conditions(settings: EvaluationSettings) -> str:
    parts = [
        f"limit: {settings.limit:g}" if settings.limit is not None else "limit: None",
        f"num_fewshot: {settings.shots}",
        f"batch_size: {settings.batch_size}",
    ]
    parts += [_template(settings.chat)] if settings.chat.apply == "on" else []
    parts += [f"gen_kwargs: {dict(settings.generation)}"] if settings.generation else []
    return ", ".join(parts)


def _template(chat: Chat) -> str:
    named = chat.template_file or chat.template
    return f"chat template {named} applied" if named else "chat template applied"


def _show_differences(found: EvaluationReport) -> None:
    table = plain_table(
        "TASK", "METRIC", "MODEL", "VALUE", "PARENT", "ITS VALUE", "DIFFERENCE", "ITEMS + / -", "P"
    )
    for each in found.differences:
        names = (
            each.task,
            each.metric,
            each.model,
            f"{each.value:.4f}",
            each.other,
            f"{each.other_value:.4f}",
        )
        table.add_row(*map(clean, names), *_difference(each))
    data_console().print(table)


def _difference(each: PairedDifference) -> tuple[str, str, str]:
    if each.stderr is None or each.p_value is None:
        return f"{each.difference:+.4f}", "–", "–"
    return (
        f"{each.difference:+.4f} ± {each.stderr:.4f}",
        f"{each.better} / {each.worse} of {each.items}",
        f"{each.p_value:.3f}" if each.p_value >= 0.001 else "< 0.001",
    )
