"""Answers to a file's prompts that a model from a local folder compares with others."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.benchmark import Benchmark
from evaluators.inference.language_model import InMemoryModel
from evaluators.judges.item_files import references_of
from evaluators.judges.judge_runner import AnswersRunner, Network, Tokenizer
from evaluators.judges.local_judge import Pair
from evaluators.judges.preference import METRIC, Preference
from evaluators.splits import Split


class PreferredAnswers(AnswersRunner):
    """How far answers are preferred to the file's references, or to a parent's answers."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.preference = Preference(benchmark)
        given = references_of(benchmark) if benchmark.parent is None else {}
        super().__init__(benchmark, "prompt", METRIC, higher_is_better=True)
        self._references = {
            split: tuple(given.get(prompt, "") for prompt in prompts) for split, prompts in self.items.items()
        }

    def refer(self, model: Network, tokenizer: Tokenizer, split: Split, *, batch_size: int) -> None:
        """Takes in what the parent answers."""
        indices = range(len(self.items[split]))
        asked = InMemoryModel(model, tokenizer, batch_size=batch_size)
        self.preference.refer(split, self.answers(asked, split, indices))

    def fingerprint(self, split: Split, tokenizer: Tokenizer | None = None) -> str:
        """Returns a hash of all that a verdict depends on besides the model."""
        of_answers = super().fingerprint(split, tokenizer)
        return f"{of_answers} {self.preference.marking(split, self._references[split])}"

    def values(
        self, answers: Sequence[str], split: Split, indices: Sequence[int], asked: InMemoryModel
    ) -> list[float]:
        """Returns the verdicts."""
        others = self.preference.others(split, self._references[split])
        pairs = [
            Pair(self.items[split][index], answer, others[index])
            for index, answer in zip(indices, answers, strict=True)
        ]
        return self.preference.of(pairs, asked.network.device)
