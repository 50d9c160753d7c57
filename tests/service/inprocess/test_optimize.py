"""An experiment in one call: from the spec to front, winner, pictures and an exported checkpoint."""

from __future__ import annotations

import builtins
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from evomerge import (
    Client,
    ClientError,
    ExperimentSpec,
    Front,
    Recipe,
    Result,
    UnsuccessfulError,
    optimize,
)
from service.cli.experiments import watch
from service.experiment.status import ExperimentStatus
from service.inprocess.errors import MissingPackageError
from tests.service.running import ControlledWorkforce, serving, spec_over
from tests.service.scripted_workforce import NAN

Parents = dict[str, Path]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ControlledWorkforce]]:
    """A home whose service asks a scripted workforce."""
    home, workforce = tmp_path_factory.mktemp("served"), ControlledWorkforce()
    with serving(home, workforce):
        yield home, workforce


@pytest.fixture(scope="module")
def result(served: tuple[Path, ControlledWorkforce], paper_parents: Parents) -> Result:
    return optimize(spec_over(paper_parents), home=served[0])


def test_a_result_has_what_the_experiment_found(result: Result) -> None:
    assert result.experiment.status is ExperimentStatus.SUCCEEDED
    assert result.winner is not None
    assert result.examination is result.winner.examination
    assert isinstance(result.recipe, Recipe)
    assert result.front.split == "search"
    assert len(result.front) == len(result.front.points) > 0
    assert any(sentence.startswith("words: test ") for sentence in result.sentences())


def test_a_front_is_a_data_frame_with_a_row_per_candidate(result: Result) -> None:
    frame = result.front.to_pandas()
    assert frame.index.is_unique
    assert set(frame.index[frame["on_front"]]) == {point.number for point in result.front.points}
    assert result.winner is not None
    assert list(frame.index[frame["winner"]]) == [result.winner.number]
    first = result.front.points[0]
    words = next(s for s in first.scores["search"] if s.benchmark == "words")
    assert frame.loc[first.number, "search:words"] == words.value
    assert frame.loc[first.number, "search:words:stderr"] == words.stderr
    assert frame["test:sums"].notna().any()
    assert len(result.front.to_pandas(dominated=True)) == result.experiment.progress.settled


def test_without_pandas_the_package_to_install_is_named(
    result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = builtins.__import__

    def refusing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "pandas":
            raise ModuleNotFoundError(name)
        return importing(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refusing)
    with pytest.raises(MissingPackageError, match=r"to_pandas\(\) needs pandas.*pip install pandas"):
        result.front.to_pandas()


def test_pictures_are_the_dashboards(result: Result) -> None:
    figure = result.plot()
    assert {"Winner", "Parents"} <= {trace.name for trace in figure.data}
    assert figure.layout.xaxis.title.text.startswith("words")
    assert result.plot(y="words").layout.xaxis.title.text.startswith("sums")
    assert [trace.name for trace in result.plot_progress().data][:2] == ["Hypervolume", "Best mean"]
    with pytest.raises(ClientError, match="no objective 'verbs'; the objectives are: words, sums"):
        result.plot("verbs")


def test_notebooks_show_tables_with_names_escaped(
    served: tuple[Path, ControlledWorkforce], paper_parents: Parents
) -> None:
    odd = spec_over(paper_parents, name="odd", notes="")
    odd["objectives"][0]["name"] = "<b>words</b>"
    shown = optimize(odd, home=served[0])._repr_html_()
    assert "&lt;b&gt;words&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert "★" in shown


def test_the_clients_views_show_tables_in_notebooks(
    served: tuple[Path, ControlledWorkforce], result: Result
) -> None:
    from service.cli.installation.announcement import announced_url

    with Client(announced_url(served[0])) as client:
        assert "parent: left" in client.front("small")._repr_html_()
        assert "succeeded" in client.experiment("small")._repr_html_()
        assert "small" in client.experiments()._repr_html_()
        assert Front(client.front("small", "test")).split == "test"


def test_the_same_call_returns_the_result_again(
    served: tuple[Path, ControlledWorkforce], result: Result, paper_parents: Parents
) -> None:
    again = optimize(ExperimentSpec.model_validate(spec_over(paper_parents)), home=served[0])
    assert again.experiment.id == result.experiment.id
    with pytest.raises(ClientError, match="already an experiment called 'small' with another seed"):
        optimize(spec_over(paper_parents, seed=8), home=served[0])


def test_a_file_is_read_like_evomerge_run_reads_it(
    served: tuple[Path, ControlledWorkforce], paper_parents: Parents, tmp_path: Path
) -> None:
    file = tmp_path / "filed.yml"
    content = {key: value for key, value in spec_over(paper_parents).items() if key != "name"}
    file.write_text(yaml.safe_dump(content))
    assert optimize(str(file), home=served[0]).experiment.name == "filed"


def test_all_mistakes_of_a_mapping_are_told_with_their_places(
    served: tuple[Path, ControlledWorkforce], paper_parents: Parents
) -> None:
    wrong = spec_over(paper_parents, name="wrong", budget={"candidates": -1}, sed=3)
    with pytest.raises(ClientError) as refused:
        optimize(wrong, home=served[0])
    assert "the spec has 2 mistakes" in str(refused.value)
    assert "/budget/candidates" in str(refused.value)
    assert "/sed" in str(refused.value)
    with pytest.raises(ClientError, match="list is no experiment; give an ExperimentSpec"):
        optimize([], home=served[0])  # type: ignore[arg-type]


def test_a_failed_experiment_is_an_error_that_says_why(tmp_path: Path, paper_parents: Parents) -> None:
    workforce = ControlledWorkforce(script=dict.fromkeys(range(40), NAN))
    with serving(tmp_path / "home", workforce), pytest.raises(UnsuccessfulError, match="small ended failed"):
        optimize(spec_over(paper_parents), home=tmp_path / "home")


def test_an_interruption_leaves_what_was_scored_and_the_same_call_goes_on(
    tmp_path: Path, paper_parents: Parents, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, workforce = tmp_path / "home", ControlledWorkforce()
    workforce.pace = 0.02
    shown: list[int] = []

    def interrupt(display: watch.LineDisplay, view: Any) -> None:
        shown.append(view.progress.settled)
        raise KeyboardInterrupt

    with serving(home, workforce):
        with monkeypatch.context() as patched:
            patched.setattr(watch.LineDisplay, "show", interrupt)
            with pytest.raises(KeyboardInterrupt):
                optimize(spec_over(paper_parents), home=home)
        assert shown
        done = optimize(spec_over(paper_parents), home=home)
    assert done.experiment.progress.settled == 12


@pytest.mark.slow
def test_real_models_are_searched_and_exported_in_this_process(
    tiny_parents: Parents, word_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # no service of this machine is meant
        monkeypatch.setenv("EVOMERGE_PORT", str(taken.getsockname()[1]))
        spec = spec_over(
            tiny_parents, tasks_path=str(word_task), objectives=[{"task": "words", "allow_few_items": True}]
        )
        spec["budget"] = {"candidates": 4}
        threads = threading.active_count()
        result = optimize(spec, home=tmp_path / "home", workforce="inline", workers=1)
        written = result.export(tmp_path / "merged", even_a_parent=True)
    assert Path(str(written.folder), "model.safetensors").is_file()
    assert result.plot().data
    assert threading.active_count() <= threads + 1  # the service has gone
