"""Images of a user's own task: files that a column names, from the folder of the task's data.

Here "task" is lm-eval's word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from evaluators.errors import EvaluationError
from evaluators.inference.images.seen_prompts import PLACEHOLDER, is_image
from evaluators.lm_eval.tasks.task_questions import Item, Task, foreign_code
from evaluators.permissions import check_place

_FIELD = "task"


class ImageFiles:
    """Gives an item's images: stands where lm-eval asks a task for them.

    Args:
        columns: Whose texts are file names, one or a list.
        folder: Where relative names begin.
    """

    def __init__(self, columns: tuple[str, ...], folder: Path) -> None:
        self._columns, self._folder = columns, folder

    def __call__(self, doc: Item, doc_to_image: object = None) -> list[Any]:  # noqa: ARG002 - lm-eval's
        """Returns the images, in the columns' order.

        Raises:
            EvaluationError: A file is missing, broken, or lies where none may be read.
        """
        return [self._read(name) for column in self._columns for name in _names(doc.get(column), column)]

    def _read(self, name: str) -> Image.Image:
        path = self._folder / name
        check_place(_FIELD, path)
        try:
            with Image.open(path) as image:
                image.load()
                return image.copy()
        except FileNotFoundError as error:
            detail = f"there is no image {path}"
            raise EvaluationError(_FIELD, detail, "write paths from the folder of the data's file") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise EvaluationError(
                _FIELD, f"{path} cannot be read as an image ({said})", "save it again, as PNG or JPEG"
            ) from error


def use_image_files(task: Task) -> None:
    """Has a task's image columns read as files, where they hold names and not images.

    Raises:
        EvaluationError: They lie in several folders, so that it is open where paths begin.
    """
    named = task.config.doc_to_image
    columns = (named,) if isinstance(named, str) else tuple(named) if isinstance(named, list) else ()
    if not columns or not all(isinstance(column, str) and column in task.features for column in columns):
        return
    first = next(iter(_docs(task)), None)
    if first is None or any(_holds_images(first.get(column)) for column in columns):
        return
    data_files = (task.config.dataset_kwargs or {}).get("data_files")
    folders = {Path(file).parent for file in _files(data_files)}
    if len(folders) != 1:
        listed = ", ".join(sorted(map(str, folders))) or "none"
        detail = f"{task.config.task} names images, and its data files lie in several folders: {listed}"
        raise EvaluationError(_FIELD, detail, "put them into one folder, from which paths are read")
    task.doc_to_image = ImageFiles(columns, folders.pop())


def check_images(task: Task, items: Iterator[Item]) -> None:
    """Reads all images of some items, so that what is missing or broken is told before any weights.

    Raises:
        EvaluationError: Names the first that cannot be read, or has no place in its prompt.
    """
    for item in items:
        given = task.doc_to_image(item)
        seen = list(given) if isinstance(given, list | tuple) else [] if given is None else [given]
        for one in seen:
            if not is_image(one):
                detail = f"doc_to_image of {task.config.task} gives a {type(one).__name__}, not an image"
                remedy = "name a column of images, or of files' names in data of your own"
                raise EvaluationError(_FIELD, detail, remedy)
        if isinstance(task.doc_to_image, ImageFiles):
            _check_places(task, item, len(seen))


def _check_places(task: Task, item: Item, images: int) -> None:
    with foreign_code(task.config.task):
        text = str(task.doc_to_text(item))
    if (places := text.count(PLACEHOLDER)) != images:
        detail = f"an item of {task.config.task} has {images} images and {places} times {PLACEHOLDER}"
        remedy = f"write {PLACEHOLDER} once per image in doc_to_text"
        raise EvaluationError(_FIELD, f"{detail}: {text[:80]!r}", remedy)


def _docs(task: Task) -> Iterator[Item]:
    return iter(task.eval_docs)


def _holds_images(value: object) -> bool:
    return any(map(is_image, value)) if isinstance(value, list) else is_image(value)


def _names(value: object, column: str) -> Iterator[str]:
    for name in value if isinstance(value, list) else () if value in (None, "") else (value,):
        if not isinstance(name, str):
            detail = f"{column} is {name!r:.80}, which is no file's name"
            raise EvaluationError(_FIELD, detail, "write a path, a list of paths, or nothing")
        yield name


def _files(data_files: object) -> Iterator[str]:
    if isinstance(data_files, Mapping):
        data_files = list(data_files.values())
    if isinstance(data_files, list):
        for each in data_files:
            yield from _files(each)
    elif isinstance(data_files, str):
        yield data_files
