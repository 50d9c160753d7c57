"""Questions about images, put to the live model and to the exported one."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
import yaml
from datasets import Dataset, Features, Value
from datasets import Image as DataImage
from lm_eval import simple_evaluate
from lm_eval.models.hf_vlms import HFMultimodalLM
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from evaluators import Benchmark, BenchmarkFacts, Score
from evaluators.evaluations import EvaluationSettings
from evaluators.lm_eval.model import EvomergeLM
from evaluators.lm_eval.tasks.task_building import build_benchmark
from evaluators.lm_eval.whole_tasks.plain_evaluation import PlainEvaluation
from evaluators.splits import ItemShares
from search_spaces import Recipe
from tests.evaluators.task_writing import write_task
from tests.seeing_models import save_looking_model, save_pictures
from tests.tiny_models import save_tiny_model
from tests.workers.recipes import linear_recipe, parent_at
from workers.errors import TaskError
from workers.export.export import export
from workers.export.merge_to_disk import merge_to_disk
from workers.pools.actor import evaluate_here
from workers.pools.jobs import report_on_benchmarks
from workers.protocol.evaluation_orders import EvaluationOrder
from workers.protocol.messages import BenchmarkInquiry, BenchmarkProblem, ExportOrder, Workload
from workers.protocol.stored_answers import StoredAnswers
from workers.runtime.in_place_merger import InPlaceMerger
from workers.runtime.preparation import PreparedWorkload, prepare_workload

ITEMS = 6
WRITTEN: dict[str, Any] = {
    "output_type": "generate_until",
    "doc_to_text": "<image> {{q}}",
    "doc_to_target": "{{a}}",
    "doc_to_image": ["image"],
    "generation_kwargs": {"until": ["w3"], "max_gen_toks": 6},
    "metric_list": [{"metric": "rouge_l", "aggregation": "mean", "higher_is_better": True}],
}
CHOSEN: dict[str, Any] = {
    "output_type": "multiple_choice",
    "doc_to_text": "<image> {{q}}",
    "doc_to_target": 1,
    "doc_to_choice": ["w1", "w2 w3", "w4"],
    "doc_to_image": "image",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


@dataclass(frozen=True)
class Gallery:
    folder: Path
    tasks: Path
    first: Path
    second: Path
    reading: Path

    def recipe(self, *parents: Path, vision: Path | None = None) -> Recipe:
        made = linear_recipe(parents, tuple(1 / len(parents) for _ in parents))
        return made.model_copy(
            update={"tokenizer": parent_at(self.first), "vision": vision and parent_at(vision)}
        )


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("gallery")
    tasks = folder / "tasks"
    names = save_pictures(tasks / "pictures", 3 * ITEMS)
    rows = {
        split: [
            {"image": f"pictures/{names[3 * i + offset]}", "q": f"w{i} w{5 + offset}", "a": "w0 w20 w8 w25"}
            for i in range(ITEMS)
        ]
        for offset, split in enumerate(("search", "selection", "test"))
    }
    write_task(tasks, "written", rows, relative=True, **WRITTEN)
    write_task(tasks, "chosen", rows, relative=True, **CHOSEN)
    return Gallery(
        folder,
        tasks,
        save_looking_model(folder / "first", 1),
        save_looking_model(folder / "second", 2),
        save_tiny_model(folder / "reading", 3),
    )


def prepared(gallery: Gallery, recipe: Recipe, task: str, chat: str = "off") -> PreparedWorkload:
    benchmark = Benchmark(name=task, task=task, include_path=str(gallery.tasks), chat={"apply": chat})
    parents = tuple(map(parent_at, (gallery.first, gallery.second, gallery.reading)))
    return prepare_workload(Workload(uuid4(), parents, (benchmark,)))


def score_of(ready: PreparedWorkload, merger: InPlaceMerger, recipe: Recipe) -> Score:
    model, tokenizer = merger.merge(recipe)
    (score,) = ready.evaluator.evaluate(model, tokenizer, "search")
    return score


@pytest.mark.parametrize("chat", ["off", pytest.param("on", marks=pytest.mark.slow)])
def test_answers_are_those_of_lm_evals_multimodal_model_on_the_export(
    chat: str, gallery: Gallery, tmp_path: Path
) -> None:
    recipe = gallery.recipe(gallery.first, gallery.reading)
    ready = prepared(gallery, recipe, "written", chat)
    score = score_of(ready, InPlaceMerger(ready), recipe)
    merge_to_disk(ExportOrder(recipe, str(tmp_path / "merged")))
    theirs = HFMultimodalLM(
        pretrained=str(tmp_path / "merged"), dtype="float32", batch_size=ITEMS, device="cpu"
    )
    (subtask,) = build_benchmark(
        Benchmark(name="written", task="written", include_path=str(gallery.tasks))
    ).subtasks
    spoken: dict[str, Any] = {
        "apply_chat_template": chat == "on",
        "chat_template": theirs.apply_chat_template,
    }
    values = []
    for item in subtask.items["search"]:
        context = subtask.task.fewshot_context(item, num_fewshot=0, **spoken)
        request = subtask.task.construct_requests(doc=item, ctx=context, metadata=("written", 0, 1), **spoken)
        values.append(subtask.task.process_results(item, theirs.generate_until([request], disable_tqdm=True)))
    assert score.per_item == tuple(value["rouge_l"] for value in values)
    assert len(set(score.per_item)) > 1


def test_an_export_loads_with_processor_and_nothing_missing(gallery: Gallery, tmp_path: Path) -> None:
    merge_to_disk(ExportOrder(gallery.recipe(gallery.reading, gallery.first), str(tmp_path / "merged")))
    assert (tmp_path / "merged" / "processor_config.json").is_file()
    loaded: Any = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged", output_loading_info=True)
    model, report = loaded
    assert not report["missing_keys"] | report["unexpected_keys"]
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "merged")
    asked = processor(text=["<image> w1"], images=[Image.new("RGB", (8, 8))], return_tensors="pt")
    with torch.inference_mode():
        assert torch.isfinite(model(**asked).logits).all()


def test_choices_have_the_log_likelihoods_of_whole_rows(gallery: Gallery) -> None:
    recipe = gallery.recipe(gallery.first, gallery.second)
    ready = prepared(gallery, recipe, "chosen")
    model, tokenizer = InPlaceMerger(ready).merge(recipe)
    (score,) = ready.evaluator.evaluate(model, tokenizer, "search")
    processor: Any = AutoProcessor.from_pretrained(gallery.first)
    network: Any = model
    (subtask,) = build_benchmark(
        Benchmark(name="chosen", task="chosen", include_path=str(gallery.tasks))
    ).subtasks
    right = []
    for item in subtask.items["search"]:
        totals = []
        for choice in CHOSEN["doc_to_choice"]:
            images = subtask.task.doc_to_image(item)
            asked = processor(text=[f"<image> {item['q']} {choice}"], images=images, return_tensors="pt")
            with torch.inference_mode():
                logprobs = network(**asked).logits[0, :-1].log_softmax(-1)
            tokens, count = asked["input_ids"][0, 1:], len(choice.split())
            totals.append(float(logprobs.gather(-1, tokens[:, None])[-count:].sum()))
        right.append(float(max(range(3), key=totals.__getitem__) == 1))
    assert score.per_item == tuple(right)


def test_images_are_seen_once_per_vision_tower(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = gallery.recipe(gallery.first, gallery.reading)
    ready = prepared(gallery, recipe, "written")
    merger = InPlaceMerger(ready)
    network: Any = merger.merge(recipe)[0]
    seen: list[int] = []
    look: Callable[..., Any] = network.base_model.get_image_features

    def counted(pixel_values: Any, image_sizes: Any = None, **options: Any) -> Any:
        seen.append(len(pixel_values))
        return look(pixel_values, **options)

    monkeypatch.setattr(network.base_model, "get_image_features", counted)
    first = score_of(ready, merger, recipe)
    assert sum(seen) == ITEMS
    other = gallery.recipe(gallery.reading, gallery.second)
    score_of(ready, merger, other)
    score_of(ready, merger, gallery.recipe(gallery.first, gallery.reading, gallery.second))
    assert sum(seen) == ITEMS
    crossed = gallery.recipe(gallery.first, gallery.reading, vision=gallery.second)
    assert score_of(ready, merger, crossed) != first
    assert sum(seen) == 2 * ITEMS
    assert score_of(ready, merger, recipe) == first
    assert sum(seen) == 2 * ITEMS


def test_images_inside_the_data_are_asked_about_like_files(gallery: Gallery, tmp_path: Path) -> None:
    columns = Features({"image": DataImage(), "q": Value("string"), "a": Value("string")})
    for split in ("search", "selection", "test"):
        lines = (gallery.tasks / f"written_{split}.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        rows = [row | {"image": str(gallery.tasks / row["image"])} for row in rows]
        Dataset.from_list(rows, features=columns).to_parquet(str(tmp_path / f"{split}.parquet"))
    files = {split: f"{split}.parquet" for split in ("search", "selection", "test")}
    task = {"task": "written", "dataset_path": "parquet", "dataset_kwargs": {"data_files": files}}
    (tmp_path / "written.yaml").write_text(yaml.safe_dump({**task, "test_split": "search", **WRITTEN}))
    recipe = gallery.recipe(gallery.first, gallery.reading)
    found = []
    for folder in (gallery.tasks, tmp_path, tmp_path):
        ready = prepared(dataclasses.replace(gallery, tasks=folder), recipe, "written")
        found.append(score_of(ready, InPlaceMerger(ready), recipe))
    assert found[0].per_item == found[1].per_item
    assert found[1] == found[2]  # the items' fingerprint among it: no address in memory is part of it
    benchmark = Benchmark(name="written", task="written", include_path=str(tmp_path), splits=ItemShares())
    shares = [build_benchmark(benchmark).subtasks[0].items["search"] for _ in range(2)]
    assert [item["q"] for item in shares[0]] == [item["q"] for item in shares[1]]


@pytest.mark.slow
def test_an_export_answers_what_was_asked_in_a_conversation_about_images(
    gallery: Gallery, tmp_path: Path
) -> None:
    recipe = gallery.recipe(gallery.first, gallery.reading)
    ready = prepared(gallery, recipe, "written", "on")
    score = score_of(ready, InPlaceMerger(ready), recipe)
    kept = dataclasses.replace(score, item_indices=tuple(range(ITEMS)))
    order = ExportOrder(
        recipe, str(tmp_path / "merged"), answers=StoredAnswers(ready.workload.benchmarks, (kept,))
    )
    assert f"written {ITEMS} of {ITEMS} the same" in export(order).verified


def test_lm_evals_own_evaluation_asks_the_live_model(gallery: Gallery) -> None:
    recipe = gallery.recipe(gallery.first, gallery.reading)
    ready = prepared(gallery, recipe, "written")
    model, tokenizer = InPlaceMerger(ready).merge(recipe)
    network: Any = model
    cutter: Any = tokenizer
    (score,) = ready.evaluator.evaluate(network, cutter, "search")
    benchmark = Benchmark(name="written", task="written", include_path=str(gallery.tasks))
    (subtask,) = build_benchmark(benchmark).subtasks
    lm = EvomergeLM(network, cutter)
    assert lm.MULTIMODAL
    requests = [request for question in subtask.questions("search") for request in question.requests]
    answers = lm.generate_until(requests)
    marks = [subtask.task.process_results(r.doc, [a]) for r, a in zip(requests, answers, strict=True)]
    assert score.per_item == tuple(mark["rouge_l"] for mark in marks)


def test_a_checkpoint_is_evaluated_on_images_as_lm_evals_multimodal_model_is(gallery: Gallery) -> None:
    settings = EvaluationSettings(("written", "chosen"), (str(gallery.tasks),), keep_samples=True)
    model = parent_at(gallery.first)
    (found,) = evaluate_here(EvaluationOrder((model,), settings), lambda _: None).models
    theirs = HFMultimodalLM(pretrained=str(gallery.first), dtype="float32", batch_size=ITEMS, device="cpu")
    tasks = PlainEvaluation(dataclasses.replace(settings, tasks=("written",))).tasks
    expected: Any = simple_evaluate(model=theirs, tasks=["written"], task_manager=tasks)
    ours = found.results["samples"]["written"]
    for one, other in zip(ours, expected["samples"]["written"], strict=True):
        assert (one["rouge_l"], one["resps"]) == (other["rouge_l"], other["resps"])
    ready = prepared(gallery, gallery.recipe(gallery.first), "chosen")
    score = score_of(ready, InPlaceMerger(ready), gallery.recipe(gallery.first))
    assert [sample["acc"] for sample in found.results["samples"]["chosen"]] == list(score.per_item)
    with pytest.raises(TaskError, match="written, chosen asks about images, and the model only reads"):
        evaluate_here(EvaluationOrder((parent_at(gallery.reading),), settings), lambda _: None)


def test_drawn_answers_about_images_can_be_had_again(gallery: Gallery) -> None:
    recipe = gallery.recipe(gallery.first, gallery.reading)
    parents = tuple(map(parent_at, (gallery.first, gallery.second, gallery.reading)))
    benchmark = Benchmark(
        name="written",
        task="written",
        include_path=str(gallery.tasks),
        metric="avg@3",
        generation={"temperature": 1.0, "repeats": 3},
    )
    ready = prepare_workload(Workload(uuid4(), parents, (benchmark,)))
    merger = InPlaceMerger(ready)
    first = score_of(ready, merger, recipe)
    score_of(ready, merger, gallery.recipe(gallery.second))
    assert score_of(ready, merger, recipe) == first


def told(
    gallery: Gallery, tasks: Path, recipe: Recipe, task: str = "written"
) -> BenchmarkFacts | BenchmarkProblem:
    benchmark = Benchmark(name=task, task=task, include_path=str(tasks))
    (entry,) = report_on_benchmarks(BenchmarkInquiry((benchmark,), merged=recipe)).entries
    return entry


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is there")
def test_a_package_that_the_processor_lacks_is_named_before_any_weights(
    gallery: Gallery, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(gallery.first, model)
    processor = {
        "processor_class": "Qwen2VLProcessor",
        "image_processor": {"image_processor_type": "Qwen2VLImageProcessor"},
        "video_processor": {"video_processor_type": "Qwen2VLVideoProcessor"},
    }
    (model / "processor_config.json").write_text(json.dumps(processor))
    found = told(gallery, gallery.tasks, linear_recipe([model], (1.0,)))
    assert isinstance(found, BenchmarkProblem)
    assert found.detail == f"the image processor of {model} needs torchvision, which is not installed"
    assert f"belongs to torch {torch.__version__}" in found.remedy
    settings = EvaluationSettings(("written",), (str(gallery.tasks),))
    with pytest.raises(TaskError, match="needs torchvision"):
        evaluate_here(EvaluationOrder((parent_at(model),), settings), lambda _: None)


def test_what_cannot_be_asked_is_told_before_any_weights(gallery: Gallery, tmp_path: Path) -> None:
    recipe = gallery.recipe(gallery.first, gallery.reading)
    assert isinstance(told(gallery, gallery.tasks, recipe), BenchmarkFacts)
    rows = {
        s: [{"image": f"{s}{n}.png", "q": f"w{n}", "a": "w1"} for n in range(2)]
        for s in ("search", "selection", "test")
    }
    write_task(tmp_path, "written", rows, relative=True, **WRITTEN)
    missing = told(gallery, tmp_path, recipe)
    assert isinstance(missing, BenchmarkProblem)
    assert missing.detail == f"there is no image {tmp_path / 'search0.png'}"
    for split in rows:
        for number in range(2):
            Image.new("RGB", (8, 8)).save(tmp_path / f"{split}{number}.png")
    assert isinstance(told(gallery, tmp_path, recipe), BenchmarkFacts)
    (tmp_path / "test1.png").write_bytes(b"\x89PNG and no more")
    broken = told(gallery, tmp_path, recipe)
    assert isinstance(broken, BenchmarkProblem)
    assert f"{tmp_path / 'test1.png'} cannot be read as an image" in broken.detail
    blind = told(gallery, gallery.tasks, linear_recipe([gallery.reading], (1.0,)))
    assert isinstance(blind, BenchmarkProblem)
    assert "the merged model only reads" in blind.detail
    write_task(tmp_path / "placeless", "written", rows, **WRITTEN | {"doc_to_text": "{{q}}"})
    for split in rows:
        for number in range(2):
            Image.new("RGB", (8, 8)).save(tmp_path / "placeless" / f"{split}{number}.png")
    placeless = told(gallery, tmp_path / "placeless", recipe)
    assert isinstance(placeless, BenchmarkProblem)
    assert "1 images and 0 times <image>" in placeless.detail
