"""What the evaluation benchmark asks: a model of random weights, a real tokenizer, local questions.

The text is that of Python's own manual, which every installation has; so nothing is fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pydoc_data.topics import topics
from random import Random
from typing import Any

import torch
from lm_eval.api.instance import Instance
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel, PreTrainedTokenizerFast

_VOCABULARY = 16_384  # the head's; the tokenizer has as many or fewer


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama's size."""

    hidden: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    vocabulary: int = _VOCABULARY

    def config(self) -> LlamaConfig:
        """Returns transformers' configuration of it."""
        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_heads,
            max_position_embeddings=2048,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )

    @property
    def body(self) -> int:
        """How many weights multiply each token that is read."""
        size = self.hidden // self.heads
        attention = self.hidden * size * (2 * self.heads + 2 * self.key_heads)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    @property
    def head(self) -> int:
        """How many multiply each token that is scored."""
        return self.hidden * self.vocabulary


SMALL = Shape(hidden=512, inner=1408, layers=6, heads=8, key_heads=4)  # 34 million weights
SEVEN_BILLION = Shape(hidden=4096, inner=14336, layers=32, heads=32, key_heads=8, vocabulary=32_000)


def make_network(shape: Shape, dtype: torch.dtype, device: str) -> PreTrainedModel:
    """Returns a model of random weights."""
    torch.manual_seed(0)
    with torch.device(device):
        network: PreTrainedModel = AutoModelForCausalLM.from_config(shape.config(), dtype=dtype)
    network.eval()
    return network


def words_of_the_manual() -> list[str]:
    """Returns the words of Python's manual, in order."""
    text = "\n".join(topics[name] for name in sorted(topics))
    return re.findall(r"[A-Za-z']+[.,;:]?", text)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Returns byte pairs, trained on the manual."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=_VOCABULARY, special_tokens=special, show_progress=False)
    inner.train_from_iterator(topics.values(), trainer)
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **names)


class Questions:
    """Questions as lm-eval would put them; the same seed gives the same ones."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = Random(seed)  # noqa: S311 - questions, not secrets
        self._words = words_of_the_manual()

    def zero_shot(self, count: int) -> list[Instance]:
        """Returns questions of four choices, each of several tokens, without examples."""
        asked = ((number, self._question(25, 50)) for number in range(count))
        return [one for number, text in asked for one in self._choices(number, text, (5, 10))]

    def five_shot(self, count: int) -> list[Instance]:
        """Returns the same kind of question, shorter, after five examples that never change."""
        header = self._examples(5)
        asked = ((number, header + self._question(12, 25)) for number in range(count))
        return [one for number, text in asked for one in self._choices(number, text, (3, 6))]

    def one_token(self, count: int) -> list[Instance]:
        """Returns questions in the form of MMLU: five examples, choices listed, a letter as the answer."""
        header = "".join(f"{self._listed()} {self._rng.choice('ABCD')}\n\n" for _ in range(5))
        return [
            _choice(number, place, text, f" {letter}")
            for number, text in ((number, header + self._listed()) for number in range(count))
            for place, letter in enumerate("ABCD")
        ]

    def prompts(self, count: int, new_tokens: int, *, examples: int) -> list[Instance]:
        """Returns prompts of many lengths, after examples that never change, to be continued greedily."""
        header = self._examples(examples)
        settings = {"until": ["\n\n", "Question:"], "max_gen_toks": new_tokens, "do_sample": False}
        texts = [f"{header}{self._question(10, 60)}" for _ in range(count)]
        return [_prompt(number, text, settings) for number, text in enumerate(texts)]

    def _choices(self, number: int, context: str, words: tuple[int, int]) -> list[Instance]:
        return [_choice(number, place, context, f" {self._text(*words)}") for place in range(4)]

    def _examples(self, count: int) -> str:
        return "".join(f"{self._question(12, 25)} {self._text(3, 6)}\n\n" for _ in range(count))

    def _question(self, fewest: int, most: int) -> str:
        return f"Question: {self._text(fewest, most)}\nAnswer:"

    def _listed(self) -> str:
        lines = "".join(f"{letter}. {self._text(2, 6)}\n" for letter in "ABCD")
        return f"{self._text(8, 20)}\n{lines}Answer:"

    def _text(self, fewest: int, most: int) -> str:
        start = self._rng.randrange(len(self._words) - most)
        return " ".join(self._words[start : start + self._rng.randint(fewest, most)])


def _choice(number: int, place: int, context: str, continuation: str) -> Instance:
    meaning = ("choices", number, 1)
    return Instance("loglikelihood", {}, (context, continuation), place, metadata=meaning)


def _prompt(number: int, text: str, settings: dict[str, Any]) -> Instance:
    return Instance("generate_until", {}, (text, settings), 0, metadata=("prompts", number, 1))
