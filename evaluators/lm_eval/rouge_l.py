"""ROUGE-L as a metric of lm-eval's: `metric: rouge_l` in a task's file.  lm-eval itself brings none.

Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL 2004, section 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from lm_eval.api.registry import metric_registry, register_metric

NAME = "rouge_l"
# Scripts without spaces between words (Japanese, Chinese, Thai ...) are compared letter by letter.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
)
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


class Words:
    """Cuts texts as the scorer compares them: English as rouge_score does without stemming."""

    def tokenize(self, text: str) -> list[str]:
        """Returns words in lower case, and single letters where a script has no spaces."""
        return _TOKEN.findall(text.lower())


def rouge_l(references: Sequence[str], predictions: Sequence[str], **_options: Any) -> float:  # noqa: ANN401 - lm-eval's
    """Returns the F-measure of the longest common subsequence, 0 to 1; of several references the best."""
    return float(max(_scorer().score(one, predictions[0])["rougeL"].fmeasure for one in references))


def offer_rouge_l() -> None:
    """Has lm-eval know the metric, in this process."""
    if NAME not in metric_registry:
        register_metric(metric=NAME, higher_is_better=True, output_type="generate_until", aggregation="mean")(
            rouge_l
        )


@cache
def _scorer() -> Any:  # noqa: ANN401 - untyped
    from rouge_score.rouge_scorer import RougeScorer  # imports nltk: only tasks with this metric wait for it

    return RougeScorer(["rougeL"], tokenizer=Words())
