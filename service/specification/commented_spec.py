"""Writes an experiment's file with comments: what each part says, and what else it could say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import yaml

from search_spaces.recipes.strict_yaml import Dumper

WIDTH = 100
EDITORS = "# yaml-language-server: $schema={schema}"

COMMENTS: Mapping[str, str] = {
    "name": "What the experiment is called; commands name it so.",
    "parents": "The models to merge: folders, org/name, org/name@revision, or model+adapter.",
    "base": "Their common ancestor; methods on task vectors (task_arithmetic, ties ...) need it.",
    "vision": "Whose vision tower and projector the merged models get: a parent, or search.",
    "space": "What can be tried (docs/spaces.md): the method, and for how many runs of layers it has genes.",
    "objectives": (
        "What is improved: lm-eval tasks, or other judges (docs/evaluation.md).  Each task's items are\n"
        "divided into three splits: search is climbed, selection picks the winner, test is opened once."
    ),
    "tasks_path": "A folder with lm-eval task files of your own, or a list of folders.",
    "chat": (
        "Whether models are asked as in a conversation (docs/evaluation.md#chat): auto, available, on, off;\n"
        "system, thinking, template and more may follow, here or in an objective."
    ),
    "generation": "How answers are generated, where not as the tasks say.",
    "optimizer": "Who searches (docs/optimizers.md); `auto` takes what suits the space and the objectives.",
    "budget": (
        "How many merges are tried, the baselines not counted.  It can also end by seconds, gpu_hours,\n"
        "target or stagnation."
    ),
    "measures": "What lays out an archive of different good models.",
    "constraints": "What candidates must keep beside improving the objectives.",
    "baselines": "What generation 0 holds beside the parents: the usual recipes, and your own.",
    "warm_start": "Earlier experiments whose winner and front are scored before the search begins.",
    "transfer": "Experiments over the same parents and items whose scores it starts from, or all.",
    "examination": "How many of the best compete on the selection split, and for how many items or minutes.",
    "dtype": "The number format of the merged weights; without it the parents' own.",
    "seed": "The same seed gives the same run.",
    "batch_size": "Questions that are asked at once.",
    "backend": "Who continues prompts: the live network (torch), or vllm with its weights.",
}
"""One for each key that a written file may hold; of others nothing is said."""


def commented(content: Mapping[str, Any], *, schema: str, remarks: Sequence[str] = ()) -> str:
    """Returns a spec as YAML with comments; the first line names the schema for editors.

    Args:
        content: The spec, as JSON.
        schema: Where the JSON Schema lies, from the file.
        remarks: What is said at the head.
    """
    parts = [EDITORS.format(schema=schema)]
    if remarks:
        parts.append("\n".join(_comment("\n".join(wrap(remark, WIDTH))) for remark in remarks))
    order = [*COMMENTS, *sorted(set(content) - set(COMMENTS))]
    for key in order:
        if key in content:
            said = yaml.dump(
                {key: content[key]}, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100
            )
            comment = f"{_comment(COMMENTS[key])}\n" if key in COMMENTS else ""
            parts.append(comment + said.rstrip("\n"))
    return "\n\n".join(parts) + "\n"


def _comment(text: str) -> str:
    return "\n".join(f"# {line}" for line in text.split("\n"))
