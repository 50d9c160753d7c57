"""EvomergeLM: the live network as a model of lm-eval, for use with lm-eval's own `simple_evaluate`.

With `harness.py` and `task_building.py` the adapter to lm-eval.  Here "request" and "task" are
lm-eval's words.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import jinja2
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from evaluators.errors import EvaluationError
from evaluators.inference.images.conversation import with_parts
from evaluators.inference.images.sight import sight_of
from evaluators.inference.language_model import InMemoryModel, Plan
from evaluators.lm_eval.question_set import draws_of, with_images

PlanType = TypeVar("PlanType", bound=Plan)
Long = Literal["cut", "refuse"]

_MOST_PLANS = 8
_log = logging.getLogger(__name__)


class EvomergeLM(LM):  # type: ignore[misc]
    """A causal language model in memory; every task, filter and metric of lm-eval works with it.

    Log-likelihoods and greedy texts are those of lm-eval's own `HFLM` over the same weights, at a
    fraction of its cost: beginnings that requests share are read once.  Tokens are cut and passes laid
    out once per list of requests; weights may be overwritten in place between two evaluations.

    Attributes:
        cut: How many requests so far lost their beginning, because they do not fit the network.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        batch_size: int = 64,
        long: Long = "cut",
        template: str | None = None,
        template_options: Mapping[str, Any] | None = None,
        think_end: str | int | None = None,
    ) -> None:
        """Takes a network as it is.

        Args:
            network: Who is asked.
            tokenizer: Its tokenizer.
            batch_size: A pass holds as many tokens as so many of the longest rows would, or fewer.
            long: What becomes of prompts that do not fit the network: they lose their beginning, which
                is logged and counted, or they are refused.
            template: A chat template's text; None takes the tokenizer's own.
            template_options: What else the chat template is given, `enable_thinking` say.
            think_end: The text, or the token, up to which reasoning is cut off answers.
        """
        super().__init__()
        self.tokenizer, self._batch_size, self._long = tokenizer, batch_size, long
        self._network = network
        own = {} if template is None else {"chat_template": template}
        self._template_options, self._think_end = {**own, **(template_options or {})}, think_end
        self._plans: OrderedDict[Hashable, Plan] = OrderedDict()
        self.cut = 0

    @property
    def network(self) -> PreTrainedModel:
        """Who is asked; may be replaced between two evaluations."""
        return self._network

    @network.setter
    def network(self, network: PreTrainedModel) -> None:
        self._network = network

    def loglikelihood(
        self,
        requests: Sequence[Instance],
        disable_tqdm: bool = False,  # noqa: ARG002
    ) -> list[tuple[float, bool]]:
        """Returns each continuation's log-likelihood, and whether greedy decoding gives it.

        Raises:
            EvaluationError: A continuation cannot be scored, or its result is NaN.
        """
        if any(len(one.args) > 2 for one in requests):
            seen = [with_images(one) for one in requests]
            return self._model().plan_image_continuations(seen).answers(self._network)
        pairs = [(str(one.args[0]), str(one.args[1])) for one in requests]
        plan = self._plan("choices", tuple(pairs), lambda model: model.plan_continuations(pairs))
        self._tell(plan.lost)
        return plan.answers(self._network)

    def loglikelihood_rolling(
        self,
        requests: Sequence[Instance],
        disable_tqdm: bool = False,  # noqa: ARG002
    ) -> list[float]:
        """Returns each whole text's log-likelihood; long texts are read in windows, nothing is lost.

        Raises:
            EvaluationError: A result is NaN.
        """
        texts = [str(one.args[0]) for one in requests]
        plan = self._plan("texts", tuple(texts), lambda model: model.plan_texts(texts))
        return plan.answers(self._network)

    def generate_until(
        self,
        requests: Sequence[Instance],
        disable_tqdm: bool = False,  # noqa: ARG002
    ) -> list[str]:
        """Returns each prompt's continuation up to its first stop text.

        Raises:
            EvaluationError: A prompt leaves no room for an answer, or logits are NaN.
        """
        draws = draws_of(requests)
        own = {} if self._think_end is None else {"think_end": self._think_end}
        if any(len(one.args) > 2 for one in requests):
            asked = [(text, {**wanted, **own}, seen) for text, wanted, seen in map(with_images, requests)]
            return self._model().plan_image_generations(asked, draws).answers(self._network)
        prompts = [(str(one.args[0]), {**one.args[1], **own}) for one in requests]
        key = tuple((text, repr(settings), n) for (text, settings), n in zip(prompts, draws, strict=True))
        plan = self._plan("prompts", key, lambda model: model.plan_generations(prompts, draws))
        self._tell(plan.lost)
        return plan.answers(self._network)

    @property
    def MULTIMODAL(self) -> bool:  # noqa: N802 - lm-eval's
        """Whether it can be asked about images."""
        return sight_of(self._network) is not None

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Returns a conversation as the tokenizer's template writes it.

        A template that knows no system message gets the conversation without it, as in lm-eval; those of
        models that see get it in parts.
        """
        if self.MULTIMODAL:
            chat_history = [with_parts(message) for message in chat_history]
        options: dict[str, Any] = {
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
            **self._template_options,
        }
        try:
            return str(self.tokenizer.apply_chat_template(chat_history, **options))
        except jinja2.exceptions.TemplateError:
            _log.warning("the chat template refuses the conversation; asked again without system message")
            without = [message for message in chat_history if message["role"] != "system"]
            return str(self.tokenizer.apply_chat_template(without, **options))

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Returns the tokenizer's template, or that of this name; None where none is wanted.

        Raises:
            EvaluationError: The tokenizer has no such template.
        """
        if chat_template is False or chat_template is None:
            return None
        known = self.tokenizer.chat_template
        if isinstance(known, dict):
            name = chat_template if isinstance(chat_template, str) else "default"
            if name in known:
                return str(known[name])
            detail = f"the tokenizer has no {name!r} but {sorted(known)}"
        elif known is not None:
            return str(known)
        else:
            detail = "the tokenizer has none"
        raise EvaluationError("chat template", detail, "ask without one, or add it to the tokenizer's files")

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval's request cache is told; made of the files' place."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    @property
    def max_length(self) -> int:
        """How many tokens the network reads at once."""
        return self._model().max_length

    def _model(self) -> InMemoryModel:
        return InMemoryModel(self._network, self.tokenizer, batch_size=self._batch_size)

    def _plan(self, kind: str, asked: Hashable, make: Callable[[InMemoryModel], PlanType]) -> PlanType:
        """Returns how these requests are put to this kind of network, planned when first asked."""
        model = self._model()
        key = kind, model.footing, asked
        plan: Any = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = make(model)
            if len(self._plans) > _MOST_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        found: PlanType = plan
        return found

    def _tell(self, lost: Sequence[int]) -> None:
        """Says how many prompts do not fit.

        Raises:
            EvaluationError: They are refused.
        """
        long = [tokens for tokens in lost if tokens]
        if not long:
            return
        detail = (
            f"{len(long)} of {len(lost)} prompts are up to {max(long)} tokens longer than the model reads"
        )
        if self._long == "refuse":
            raise EvaluationError("task", detail, "ask fewer examples, or let prompts be cut")
        self.cut += len(long)
        _log.warning("%s; they lost their beginning", detail)
