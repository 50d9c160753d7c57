"""A spec's check says how models will be asked, and which chat settings do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search_spaces import Parent
from service.errors import InvalidSpecError
from service.experiment.objectives import ObjectiveFacts
from service.specification.spec_check import Checked, check_spec
from tests.chat_tokenizers import chat_tokenizer
from tests.evaluators.task_writing import CHOICE, GENERATION, three_splits, write_task
from tests.tiny_models import save_tiny_model
from tests.workforces import inline_pool
from workers.pools.inline_pool import InlinePool

__all__ = ["inline_pool"]
ODD = {
    "broken": "{{ raise_exception('not today') }}",
    "qwen3-mute": None,
    "qwen3-loud": "{{ messages[-1].content ~ '!' }}",
    "qwen3-strict": "{{ messages[-1].content if messages[0].role == 'user' else raise_exception('no') }}",
}
NAMES = ("plain", "qwen3", "gemma", "qwen3-instruct", *ODD)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of the families, and of none; tasks that compare and that generate."""
    folder = tmp_path_factory.mktemp("shelf")
    for seed, name in enumerate(NAMES):
        save_tiny_model(folder / name, seed)
        if name != "plain":
            tokenizer = chat_tokenizer("qwen3" if name == "broken" else name.partition("-")[0])
            if name in ODD:
                tokenizer.chat_template = ODD[name]
            tokenizer.save_pretrained(folder / name)
    write_task(folder / "tasks", "choice", three_splits(12), **CHOICE)
    write_task(folder / "tasks", "says", three_splits(12), **GENERATION)
    write_task(folder / "tasks", "told", three_splits(12), **GENERATION, description="w1 w2")
    return folder


@pytest.fixture
def check(shelf: Path, inline_pool: InlinePool) -> Any:
    def checked(
        *parents: str, task: str = "says", chat: Any = None, metric: str | None = None, **changes: Any
    ) -> Checked:
        objective = {"task": task, "allow_few_items": True, "metric": metric}
        raw: dict[str, Any] = {
            "name": "small",
            "parents": [str(shelf / name) for name in parents],
            "space": {"kind": "parameter", "method": "linear"},
            "objectives": [objective if chat is None else objective | {"chat": chat}],
            "tasks_path": str(shelf / "tasks"),
            "budget": {"candidates": 50},
        }
        return check_spec(raw | changes, inline_pool)

    return checked


def prompts(checked: Checked) -> list[str]:
    return list(checked.facts["objectives"][0]["prompts"].values())


def test_a_template_is_applied_where_there_is_one_and_it_is_of_use(check: Any) -> None:
    assert prompts(check("plain")) == ["plain text"]
    assert prompts(check("qwen3")) == ["its chat template"]
    assert prompts(check("qwen3", task="choice")) == ["plain text"]
    assert prompts(check("qwen3-instruct", task="choice")) == ["its chat template"]
    assert prompts(check("qwen3", chat="off")) == ["plain text"]
    assert prompts(check("qwen3", chat="off", task="choice")) == ["plain text"]
    assert prompts(check("qwen3", task="choice", chat={"thinking": False})) == [
        "its chat template, thinking off"
    ]


def test_objectives_may_say_otherwise_than_the_experiment_and_in_lm_evals_words(
    check: Any, shelf: Path
) -> None:
    assert prompts(check("qwen3", apply_chat_template=False)) == ["plain text"]
    assert prompts(check("qwen3", chat="on", system_instruction="w1")) == [
        "its chat template, system message"
    ]
    (shelf / "own.jinja").write_text("{% for m in messages %}{{ m['content'] }} {% endfor %}")
    own = check("plain", chat={"template": str(shelf / "own.jinja")})
    assert prompts(own)[0].startswith("chat template ")
    assert prompts(check("plain", chat={"template": "alpaca"})) == ["given chat template"]


CHAT = "/objectives/0/chat"
WRONG: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no template": ("plain", {"chat": True}, CHAT, "has no chat template"),
    "an unknown one": ("qwen3", {"chat": {"template": "lama"}}, f"{CHAT}/template", "no template 'lama'"),
    "a missing file": ("qwen3", {"chat": {"template": "/t.jinja"}}, f"{CHAT}/template", "cannot be read"),
    "one that raises": ("broken", {}, "/objectives/0", "not today"),
    "a system message": ("gemma", {"chat": {"system": "w1"}}, f"{CHAT}/system", "refuses a system message"),
    "the same to lm-eval": ("gemma", {"system_instruction": "w1"}, "/system_instruction", "refuses a system"),
    "no such switch": ("gemma", {"chat": {"thinking": True}}, f"{CHAT}/thinking", "has no switch"),
    "no such option": (
        "qwen3",
        {"chat": {"template_options": {"effort": "low"}}},
        f"{CHAT}/template_options",
        "no option 'effort'",
    ),
    "a special token": (
        "gemma",
        {"chat": {"think_end": "<end_of_turn>"}},
        f"{CHAT}/think_end",
        "special token",
    ),
    "no such token": ("gemma", {"think_end_token": 999}, "/think_end_token", "no token 999"),
    "no such decoding": ("gemma", {"gen_kwargs": {"temprature": 1}}, "/generation/temprature", "unknown key"),
    "answers that are all alike": (
        "qwen3",
        {"task": "says", "metric": "pass@3"},
        "/objectives/0",
        "the likeliest tokens",
    ),
    "too few answers": (
        "qwen3",
        {"metric": "pass@3", "generation": {"repeats": 2, "temperature": 1}},
        "/generation/repeats",
        "pass@3 needs 3 answers",
    ),
    "beams and draws": (
        "qwen3",
        {"generation": {"num_beams": 2, "temperature": 1}},
        "/generation/num_beams",
        "2 beams are kept, and tokens are drawn",
    ),
    "no room to think": (
        "qwen3",
        {"task": "choice", "enable_thinking": True},
        "/enable_thinking",
        "no room to think",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_chat_settings_that_do_not_fit_are_refused(check: Any, case: str) -> None:
    parent, said, pointer, detail = WRONG[case]
    with pytest.raises(InvalidSpecError) as caught:
        check(parent, **said)
    (mistake,) = caught.value.mistakes
    assert mistake.pointer == pointer
    assert detail in mistake.detail
    assert mistake.remedy


def test_what_differs_between_parents_or_from_what_was_meant_is_told(check: Any) -> None:
    mixed = " ".join(check("qwen3", "qwen3-mute").warnings)
    assert "otherwise (plain text)" in mixed
    differ = " ".join(check("qwen3", "qwen3-loud").warnings)
    assert "the parents' chat templates differ; merged models take that of" in differ
    told = " ".join(check("gemma", task="told").warnings)
    assert "the task's description is left out" in told


def searching(*named: str, shelf: Path | None = None) -> dict[str, Any]:
    wanted = [str((shelf or Path()) / name) for name in named] or "search"
    return {"space": {"kind": "parameter", "method": "linear", "chat_templates": wanted}}


def test_templates_that_differ_may_be_searched_over(check: Any, shelf: Path) -> None:
    checked = check("qwen3", "qwen3-loud", "qwen3-instruct", "qwen3-mute", **searching())
    assert checked.genes[-1] == "chat_template"
    (objective,) = (ObjectiveFacts.model_validate(one) for one in checked.facts["objectives"])
    told = "chat template of qwen3 or qwen3-loud, as its recipe says"
    assert objective.asked.startswith(told)
    assert "the parents' chat templates differ" not in " ".join(checked.warnings)
    assert checked.spec.space.chat_templates == tuple(
        Parent(model=str(shelf / name)) for name in ("qwen3", "qwen3-loud")
    )


IDLE: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, Any], str, str]] = {
    "all the same": (("qwen3", "qwen3-instruct"), (), {}, "", "are the same; leave chat_templates out"),
    "none at all": (("qwen3-mute",), (), {}, "", "no parent has a chat template"),
    "one without": (("qwen3", "qwen3-mute"), ("qwen3", "qwen3-mute"), {}, "/1", "mute has no chat template"),
    "two alike": (("qwen3", "qwen3-instruct"), ("qwen3", "qwen3-instruct"), {}, "/1", "is that of"),
    "no chat": (("qwen3", "qwen3-loud"), (), {"chat": "off"}, "", "but as plain text"),
    "another": (("qwen3", "qwen3-loud"), (), {"chat": {"template": "alpaca"}}, "", "given chat template"),
}


@pytest.mark.parametrize("case", IDLE)
def test_templates_that_change_nothing_are_not_searched_over(check: Any, shelf: Path, case: str) -> None:
    parents, named, said, where, told = IDLE[case]
    with pytest.raises(InvalidSpecError) as caught:
        check(*parents, **searching(*named, shelf=shelf), **said)
    (mistake,) = caught.value.mistakes
    assert mistake.pointer == f"/space/chat_templates{where}"
    assert told in f"{mistake.detail}; {mistake.remedy}"


def test_every_template_that_may_be_chosen_must_take_the_questions(check: Any) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        check("qwen3", "qwen3-strict", chat={"system": "w1"}, **searching())
    (mistake,) = caught.value.mistakes
    assert mistake.pointer == "/objectives/0/chat/system"
    assert "qwen3-strict: the chat template refuses a system message" in mistake.detail
    with pytest.raises(InvalidSpecError, match="not today"):
        check("qwen3", "broken", **searching())


def test_where_the_tokenizers_owner_has_no_template_merges_begin_with_the_first_that_is_searched(
    check: Any, shelf: Path
) -> None:
    checked = check("qwen3", "qwen3-loud", base=str(shelf / "qwen3-mute"), **searching())
    (objective,) = (ObjectiveFacts.model_validate(one) for one in checked.facts["objectives"])
    assert objective.asked.startswith("chat template of qwen3 or qwen3-loud, as its recipe says; ")
    assert "qwen3-mute: plain text" in objective.asked
    taken = {each["label"]: each["recipe"].get("chat_template") for each in checked.facts["baselines"]}
    assert taken["base: qwen3-mute"] is taken["parent: qwen3-loud"] is None
    assert Parent.model_validate(taken["plain average"]) == Parent(model=str(shelf / "qwen3"))


def test_how_answers_are_drawn_is_told_and_may_be_said_as_on_lm_evals_command_line(check: Any) -> None:
    drawn = check("qwen3", metric="pass@2", gen_kwargs="temperature=0.6,top_p=0.9,max_gen_toks=5")
    assert prompts(drawn) == ["its chat template, sampled at temperature 0.6, 2 answers each"]
    assert drawn.spec.generation is not None
    assert (drawn.spec.generation.top_p, drawn.spec.generation.max_gen_toks) == (0.9, 5)
    with pytest.raises(InvalidSpecError):
        check("qwen3", gen_kwargs="temperature")
