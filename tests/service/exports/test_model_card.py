from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from huggingface_hub import ModelCard

from evaluators import Split
from search_spaces import Parent
from service.experiment.candidate import CandidateKind, CandidateStatus
from service.experiment.findings import ComparisonFinding, ExaminationFindings, ObjectiveFinding, SplitFinding
from service.experiment.objectives import ObjectiveFacts
from service.experiment.status import ExperimentStatus
from service.exports.card.markdown import escape
from service.exports.card.model_card import model_card
from service.exports.card.subject import Release, Subject
from service.reports.views import (
    CandidateDetail,
    ExperimentDetail,
    FrontPoint,
    ProgressView,
    ScoreView,
    TimingsView,
    WinnerView,
)
from tests.chat_tokenizers import chat_tokenizer
from tests.tiny_models import save_tiny_model
from workers.compatibility.licences.verdict import ParentTerms, judge
from workers.protocol.card_marks import VERIFIED

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECIPE = "merge_method: ties\nmodels: []\n"


def score(value: float, benchmark: str = "words") -> ScoreView:
    return ScoreView(
        benchmark=benchmark, metric="acc,none", value=value, stderr=0.02, higher_is_better=True, items=200
    )


def experiment(**changes: Any) -> ExperimentDetail:
    progress = ProgressView(
        counts={CandidateStatus.SCORED: 12}, settled=12, total=12, rate=None, eta_seconds=None, best=0.9,
        best_number=7, best_baseline=0.5, generation=2, hypervolume=[], reference=None,
    )  # fmt: skip
    objective = ObjectiveFacts(
        name="words", task="words", metric="acc,none", higher_is_better=True, weight=1.0,
        items={"search": 200, "selection": 200, "test": 200},
    )  # fmt: skip
    content: dict[str, Any] = {
        "id": uuid4(), "name": "skills", "status": ExperimentStatus.SUCCEEDED, "reason": None,
        "algorithm": "cma_es", "created_at": NOW, "started_at": NOW, "ended_at": NOW, "progress": progress,
        "objectives": [objective], "parents": ["org/left", "/home/me/right"], "base": "org/base@0123abc",
        "winner": WinnerView(number=7, label=None, optimism={"words": 0.05}), "failure": None, "may": [],
        "spec": {"seed": 3},
    }  # fmt: skip
    return ExperimentDetail.model_validate(content | changes)


def candidate(scores: dict[Split, list[ScoreView]], **changes: Any) -> CandidateDetail:
    content: dict[str, Any] = {
        "number": 7, "generation": 2, "label": None, "status": CandidateStatus.SCORED, "digest": "d" * 64,
        "scores": scores, "on_front": True, "timings": TimingsView(), "attempts": 1, "worker": "w0",
        "created_at": NOW, "settled_at": NOW, "recipe": RECIPE, "genome": None,
    }  # fmt: skip
    return CandidateDetail.model_validate(content | changes)


def subject(**changes: Any) -> Subject:
    scores: dict[Split, list[ScoreView]] = {
        "search": [score(0.95)], "selection": [score(0.92)], "test": [score(0.9)]
    }  # fmt: skip
    baseline = FrontPoint(
        number=0,
        kind=CandidateKind.PARENT,
        label="parent: left",
        scores={"search": [score(0.4)], "test": [score(0.45)]},
    )
    content: dict[str, Any] = {
        "experiment": experiment(), "candidate": candidate(scores), "baselines": [baseline],
        "recipe": RECIPE, "method": "ties", "address": "me/skills", "version": "1.2.3",
    }  # fmt: skip
    return Subject(**content | changes)


def metadata(card: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(card.split("---")[1])
    return content


def section(card: str, title: str) -> str:
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_metadata_names_parents_of_the_hub_and_the_kind_of_model() -> None:
    found = metadata(model_card(subject()))
    assert found["base_model"] == ["org/left", "org/base"]  # a local folder has no page to link to
    assert found["base_model_relation"] == "merge"
    assert found["library_name"] == "transformers"
    assert found["pipeline_tag"] == "text-generation"
    assert found["tags"] == ["merge", "mergekit", "evomerge"]


def test_local_parents_are_named_without_their_place() -> None:
    card = model_card(subject(experiment=experiment(parents=["/home/me/left", "/home/me/right"], base=None)))
    assert "base_model" not in metadata(card)
    assert "- left\n- right" in section(card, "Parents")
    assert "/home/me" not in card


def test_only_held_out_scores_are_results() -> None:
    card = model_card(subject())
    results = section(card, "Results")
    assert "0.900 ± 0.020" in results
    assert "| parent: left | 0.450 ± 0.020 |" in results
    assert "0.950" not in results
    assert "words +0.050" in results
    assert "0.950 ± 0.020" in section(card, "Scores during the search")


def test_a_model_that_was_not_examined_claims_no_results() -> None:
    card = model_card(subject(candidate=candidate({"search": [score(0.95)]})))
    assert "not examined" in section(card, "Results")
    assert "0.950" not in section(card, "Results")


def test_the_card_tells_how_the_model_was_found() -> None:
    card = model_card(subject())
    for fact in (
        "`ties`",
        "cma\\_es",
        "candidate 7",
        "of 12 tried",
        "seed 3",
        "won on search and selection items",
    ):
        assert fact in card
    assert RECIPE.strip() in section(card, "Recipe")
    assert 'from_pretrained("me/skills")' in section(card, "Usage")


def test_the_card_of_a_parent_that_won_says_that_no_merge_beat_it() -> None:
    winner = WinnerView(number=0, kind=CandidateKind.PARENT, label="parent: left", optimism={})
    one = candidate({"test": [score(0.9)]}, number=0, kind=CandidateKind.PARENT, label="parent: left")
    parent = Parent(model="org/left")
    card = model_card(subject(experiment=experiment(winner=winner), candidate=one, copy_of=parent))
    found = metadata(card)
    assert found["base_model"] == ["org/left"]
    assert "base_model_relation" not in found
    assert found["tags"] == ["evomerge"]
    assert "# skills, candidate 0: a copy of left" in card
    assert "not a merge" in card
    assert "no merge beat this parent clearly on search and selection items, of 12 candidates tried" in card
    assert "A merge of" not in card


def test_a_checkpoint_that_was_never_loaded_says_so() -> None:
    assert "without being loaded" in model_card(subject(verified=False))
    assert "without being loaded" not in model_card(subject())
    assert VERIFIED in model_card(subject())


def test_the_metadata_is_what_the_hubs_own_library_reads() -> None:
    terms = (
        ParentTerms("org/left", "llama3.1", languages=("en", "ja"), datasets=("org/texts",)),
        ParentTerms("right", "mit", languages=("en",)),
        ParentTerms("org/base", "llama3.1"),
    )
    card = model_card(subject(terms=terms, licence=judge(terms)))
    data: Any = ModelCard(card).data
    assert (data.license, data.language, data.datasets) == ("llama3.1", ["en", "ja"], ["org/texts"])
    (result,) = data.eval_results or []
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("words", "acc", 0.9)
    assert "200 held-out items, ± 0.020" in result.metric_name
    assert "Built with Llama" in section(card, "Licence")


def test_what_stands_in_the_way_of_publishing_is_on_the_card() -> None:
    terms = (ParentTerms("org/left", "cc-by-nc-4.0"), ParentTerms("right", None))
    card = model_card(subject(terms=terms, licence=judge(terms), accepted=True))
    told = section(card, "Licence")
    assert "org/left is for non-commercial use alone" in told
    assert "right names no licence" in told
    assert "at its author's word" in told
    data: Any = ModelCard(card).data
    assert (data.license, data.license_name) == ("other", "cc-by-nc-4.0-and-unknown")
    assert "licence cc-by-nc-4.0" in section(card, "Parents")


def test_the_card_tells_shares_search_and_versions() -> None:
    release = Release("1.1.0", "2026-01-01", "skills", 7, "d" * 64, ("other weights",))
    card = model_card(
        subject(
            shares={"org/left": 0.25}, item_sets={"words": "ab" * 32}, releases=[release], picture="front.png"
        )
    )
    assert "(https://huggingface.co/org/left), share 25%" in section(card, "Parents")
    assert "words `abababababababab`" in section(card, "How it was found")
    assert "**1.1.0** (2026-01-01)" in section(card, "Versions")
    assert "other weights" in section(card, "Versions")
    assert "](front.png)" in card
    assert "apply_chat_template" in section(card, "Usage")
    assert "not examined for safety" in section(card, "Limitations")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a | b", r"a \| b"),
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>"),
        ("[click](javascript:alert(1))", r"\[click\](javascript:alert(1))"),
        ("# heading", r"\# heading"),
        ("1. item", r"1\. item"),
        ("one\n\n# two", "one # two"),
        ("http://evil.test", r"http\://evil.test"),
        ("`code`", r"\`code\`"),
        ("rtl \u202e txt", "rtl   txt"),
    ],
)
def test_other_peoples_names_are_text(name: str, shown: str) -> None:
    assert escape(name) == shown
    card = model_card(subject(experiment=experiment(name=name)))
    assert f"# {shown}, candidate 7" in card


def test_a_recipe_cannot_leave_its_fence() -> None:
    recipe = "merge_method: ties\n# ```\n# <script>\n"
    assert f"````yaml\n{recipe}````" in model_card(subject(recipe=recipe))


def test_a_name_cannot_leave_the_metadata() -> None:
    card = model_card(subject(experiment=experiment(parents=["org/left: 1 --- # evil", "org/right"])))
    assert metadata(card)["base_model"] == ["org/right", "org/base"]


def test_the_card_tells_what_the_examination_found_and_what_to_mind() -> None:
    comparison = ComparisonFinding(
        number=0, label="parent: le|ft", role="parent", objective="words", difference=-0.05, stderr=0.02,
        better=1, worse=11, p_value=0.0063, test="mcnemar", best_parent=True, regression=True,
    )  # fmt: skip
    objective = ObjectiveFinding(
        name="words", metric="acc,none", higher_is_better=True, search=None, selection=None,
        test=SplitFinding(value=0.9, stderr=0.02, items=200, truncated=0.1),
        optimism=0.05, optimism_stderr=0.03, overlap=0.01,
    )  # fmt: skip
    found = ExaminationFindings(objectives=(objective,), comparisons=(comparison,), warnings=("mind this",))
    winner = WinnerView(number=7, label=None, optimism={"words": 0.05}, examination=found)
    text = model_card(subject(experiment=experiment(winner=winner)))
    for words in (
        "## Examination",
        "10.0% truncated",
        "parent: le\\|ft (the best parent)",
        "-0.050 ± 0.020, 1 items won, 11 lost, p = 0.0063 (mcnemar); worse than it, significantly",
        "- mind this",
    ):
        assert words in text


def test_a_warning_of_an_objective_follows_every_candidate() -> None:
    (objective,) = experiment().objectives
    public = objective.model_copy(update={"warnings": ("searched on a public test set",)})
    other = experiment(objectives=[public], winner=None)
    assert "searched on a public test set" in model_card(subject(experiment=other))
    assert "## Examination" not in model_card(subject())


CHAT: dict[str, Any] = {
    "objectives": [{"task": "words", "chat": {"thinking": False}}],
    "chat": {"apply": "on", "system": 'Say "w1"\nand no more.', "think_end": "</think>"},
    "generation": {"temperature": 0.6, "top_p": 0.95, "max_gen_toks": 8, "until": []},
}


def spoken(**changes: Any) -> ObjectiveFacts:
    prompts = {"/home/me/left": "its chat template, system message, thinking off, sampled at temperature 0.6"}
    return ObjectiveFacts(
        name="words", task="words", metric="acc,none", higher_is_better=True, weight=1.0,
        items={"search": 200, "selection": 200, "test": 200}, **{"prompts": prompts} | changes,
    )  # fmt: skip


def test_the_card_tells_under_which_conditions_the_scores_were_reached() -> None:
    told = section(
        model_card(subject(experiment=experiment(objectives=[spoken()], spec=CHAT))), "How it was asked"
    )
    assert "- words: chat template of left, system message, thinking off" in told
    assert "what stands before `</think>` is not marked" in told
    assert "sampled at temperature 0.6" in told
    assert "top\\_p 0.95, max\\_gen\\_toks 8" in told
    assert 'Say "w1"\nand no more.' in told
    assert "/home/me" not in told
    plain = spoken(prompts={"left": "plain text", "right": "its chat template"})
    card = model_card(subject(experiment=experiment(objectives=[plain], spec={"seed": 3})))
    assert (
        section(card, "How it was asked").strip()
        == "- words: plain text (compared with right: its chat template)"
    )
    assert "if tokenizer.chat_template:" in section(card, "Usage")
    assert "## How it was asked" not in model_card(subject())


def test_of_templates_that_were_searched_over_the_card_tells_the_models_own() -> None:
    chosen = spoken(templates=("/home/me/left", "/home/me/right"))
    recipe = RECIPE + "chat_template: /home/me/right\n"
    for text, owner in ((recipe, "right"), (RECIPE, "left")):
        card = model_card(subject(experiment=experiment(objectives=[chosen], spec=CHAT), recipe=text))
        assert f"- words: chat template of {owner}, system" in section(card, "How it was asked")


def test_a_file_of_the_users_is_named_without_its_place() -> None:
    facts = spoken(prompts={"left": "chat template /home/me/own.jinja"})
    said = {"chat": {"template": "/home/me/own.jinja"}}
    card = model_card(subject(experiment=experiment(objectives=[facts], spec=said)))
    assert "- words: chat template own.jinja" in section(card, "How it was asked")
    assert "/home/me" not in section(card, "How it was asked")


@pytest.mark.parametrize("talks", [True, False])
def test_the_program_in_the_card_asks_the_model_as_it_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, talks: bool
) -> None:
    save_tiny_model(tmp_path / "merged", 3, spread=4.0)
    chat_tokenizer("qwen3").save_pretrained(tmp_path / "merged")
    facts, spec = (spoken(), CHAT) if talks else (spoken(prompts={}), {"seed": 3})
    card = model_card(
        subject(experiment=experiment(objectives=[facts], spec=spec), address=str(tmp_path / "merged"))
    )
    program = section(card, "Usage").split("```python\n")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(program, found)
    read = found["tokenizer"].decode(found["inputs"]["input_ids"][0])
    assert ("system" in read) is talks
    assert ("<think> </think>" in " ".join(read.split())) is talks
    assert found["answer"].shape[1] - found["inputs"]["input_ids"].shape[1] <= (8 if talks else 64)
    assert capsys.readouterr().out
    for words in ("do_sample=True, temperature=0.6, top_p=0.95", "max_new_tokens=8", '.split("</think>")'):
        assert (words in program) is talks
