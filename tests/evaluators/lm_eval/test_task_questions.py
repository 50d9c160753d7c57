"""What a template makes of an item is remembered; what a task's own function makes of it is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from evaluators.lm_eval.tasks.task_questions import _remember_renderings


class Task:
    """Renders by a template, or by a function of its own."""

    def __init__(self, target: Any) -> None:
        self.config = SimpleNamespace(doc_to_choice="{{c}}", doc_to_target=target)
        self.rendered: list[str] = []

    def doc_to_choice(self, doc: Any, doc_to_choice: Any = None) -> list[str]:
        self.rendered.append("choice")
        return [f"{doc['c']}{n}" for n in range(2)] if doc_to_choice is None else [doc_to_choice]

    def doc_to_target(self, doc: Any) -> int:
        self.rendered.append("target")
        return int(doc["a"])


def test_an_item_is_rendered_once() -> None:
    task, item, other = Task("{{a}}"), {"c": "w", "a": 1}, {"c": "w", "a": 2}
    _remember_renderings(task)
    _remember_renderings(task)
    task.doc_to_choice(item).append("changed by its caller")
    assert task.doc_to_choice(item) == ["w0", "w1"]
    assert (task.doc_to_target(item), task.doc_to_target(item), task.doc_to_target(other)) == (1, 1, 2)
    assert task.rendered == ["choice", "target", "target"]
    assert task.doc_to_choice(item, "another template") == ["another template"]


def test_a_tasks_own_functions_are_called_each_time() -> None:
    task, item = Task(lambda doc: doc["a"]), {"c": "w", "a": 1}
    _remember_renderings(task)
    assert task.doc_to_target(item) + task.doc_to_target(item) == 2
    assert task.rendered == ["target", "target"]
