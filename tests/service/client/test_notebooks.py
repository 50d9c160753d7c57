"""What a notebook shows of what the client returns."""

from __future__ import annotations

from pathlib import Path

from evomerge import Client, Front, plot_progress
from tests.service.running import ControlledWorkforce, ended, serving, spec_over


def test_candidates_answers_and_courses_are_shown(tmp_path: Path, paper_parents: dict[str, Path]) -> None:
    with serving(tmp_path / "home", ControlledWorkforce()) as url, Client(url) as client:
        client.create(spec_over(paper_parents))
        experiment = ended(client, "small")
        page = client.candidates("small", order_by="objectives.words desc")._repr_html_()
        assert page.count("<tr>") == 1 + 12
        assert "parent: left" in page
        candidate = client.candidate("small", 7)._repr_html_()
        assert "<pre>merge_method" in candidate
        assert "says 4" in client.try_candidate("small", 7, "2 + 2?")._repr_html_()
        assert len(plot_progress(experiment).data) == 2
        front = Front(client.front("small"))
        assert front.to_polars()["number"].to_list() == list(front.to_pandas().index)
