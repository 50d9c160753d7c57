"""A way through the pages by keyboard alone, and the form that exports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect
from sqlalchemy import select

from service.experiment.status import ExperimentStatus
from service.store.models import ExportRow
from tests.service.running import ControlledWorkforce
from tests.service.small_experiments import add_experiment, small_spec
from tests.service.web.dashboard.played_experiment import PlayedExperiment
from tests.service.web.dashboard.served import Served, find_browser, served_in
from tests.service.web.dashboard.watched import Watched

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium here; scripts/install_browser.sh installs one"
)


def test_candidates_are_chosen_compared_and_exported_without_a_mouse(
    page: Watched, finished: PlayedExperiment
) -> None:
    view = page.open(f"/e/{finished.id}/candidates")
    keys = view.keyboard

    keys.press("?")
    expect(view.get_by_role("dialog", name="Keys")).to_contain_text("compare what is in the basket")
    keys.press("Escape")
    for key in ("j", "j", "x", "j", "x"):
        keys.press(key)
    expect(view).to_have_url(re.compile(r"sel=\d+,\d+"))
    keys.press("Enter")
    expect(view.locator("#detail")).to_contain_text("Candidate")
    keys.press("Escape")
    expect(view.locator("#detail")).to_be_hidden()
    keys.press("c")
    expect(view.locator("#pairs caption")).to_contain_text("against the others")
    expect(view.locator("#live")).to_have_text("ended")  # keys work once the page's script has run
    keys.press("e")
    expect(view.get_by_role("button", name="Export", exact=True)).to_be_visible()
    expect(view.locator("#live")).to_have_text("ended")
    keys.press("/")
    expect(view.get_by_label("Candidate's number")).to_be_visible()
    expect(view.locator("#live")).to_have_text("ended")
    keys.press("/")
    expect(view.get_by_label("Candidate's number")).to_be_focused()
    keys.type("9")
    keys.press("Enter")
    expect(view.locator("#detail")).to_contain_text("Candidate 9")


def test_an_export_is_asked_for_by_its_form_and_followed(context: BrowserContext, tmp_path: Path) -> None:
    workforce = ControlledWorkforce()
    workforce.job_gate.clear()
    with served_in(tmp_path, workforce=workforce) as service:
        row = add_experiment(service.database, small_spec(budget={"candidates": 8}))
        page = Watched(context.new_page(), service.url)
        view = page.open(f"/e/{row.id}")
        expect(view.locator("h1 .badge")).to_have_text("finished")
        view.get_by_role("link", name="Export").click()

        view.get_by_label("Target").fill("relative/folder")
        view.get_by_role("button", name="Export", exact=True).click()
        expect(view.get_by_role("alert").first).to_be_visible()
        page.complaints.clear()  # the browser itself notes the status

        view.get_by_label("Target").fill(str(tmp_path / "out"))
        view.get_by_label("quantized copy (nf4)").check()
        view.get_by_role("button", name="Export", exact=True).click()
        expect(view.locator("#exports")).to_contain_text(re.compile("queued|running"))
        workforce.job_gate.set()
        expect(view.locator("#exports")).to_contain_text("succeeded")
        view.close()
        with service.database.reading() as session:
            export = session.scalars(select(ExportRow)).one()
            assert export.options["quantize"] == ["nf4"]
            assert export.options["sign"] is False
    assert page.complaints == []
    assert page.foreign_requests == []


def test_an_experiment_is_named_noted_and_deleted_from_its_page(page: Watched, served: Served) -> None:
    paused = PlayedExperiment(served.database, "to be described", candidates=5)
    paused.move(ExperimentStatus.PAUSING)
    paused.move(ExperimentStatus.PAUSED)
    view = page.open(f"/e/{paused.id}")

    view.get_by_role("button", name="Star").click()
    expect(view.get_by_role("button", name="Star")).to_have_attribute("aria-pressed", "true")
    view.get_by_text("More", exact=True).click()
    view.get_by_role("button", name="Name, tags, notes").click()
    view.get_by_label("Name").fill("described")
    view.get_by_label("Tags, separated by commas").fill("one, two, one")
    view.get_by_label("Notes, in Markdown").fill("*Why* it was done")
    view.get_by_role("button", name="Save").click()

    expect(view.locator("h1")).not_to_contain_text("to be described")
    expect(view.locator("#notes em")).to_have_text("Why")
    expect(view.locator(".tag")).to_have_text(["one", "two"])
    view.get_by_text("More", exact=True).click()
    view.once("dialog", lambda dialog: dialog.accept())
    view.get_by_role("button", name="Delete").click()
    expect(view.get_by_role("heading", level=1)).to_have_text("Experiments")
    expect(view.get_by_role("link", name="described", exact=True)).to_have_count(0)
    view.get_by_role("link", name="Deleted ones").click()
    view.get_by_role("row", name="described").get_by_role("button", name="Bring back").click()
    expect(view.get_by_role("button", name="Bring back")).to_have_count(0)
    view.get_by_role("link", name="All experiments").click()
    expect(view.get_by_role("link", name="described", exact=True)).to_be_visible()


def test_the_palette_goes_to_pages_experiments_and_candidates(
    page: Watched, finished: PlayedExperiment
) -> None:
    view = page.open(f"/e/{finished.id}")
    expect(view.locator("#live")).to_have_text("ended")
    keys = view.keyboard

    keys.press("Control+k")
    keys.type("inside")
    keys.press("Enter")
    expect(view.locator("h1")).to_contain_text("Inside a merge")
    expect(view.locator("#live")).to_have_text("ended")
    keys.press("Control+k")
    keys.type("7")
    expect(view.locator("#palette li").first).to_contain_text("Candidate 7")
    keys.press("Enter")
    expect(view.locator("h1")).to_contain_text("andidate 7")
    keys.press("Control+k")
    keys.type("finish")
    expect(view.locator("#palette li").first).to_contain_text("experiment")
    keys.press("ArrowDown")
    keys.press("ArrowUp")
    keys.press("Enter")
    expect(view.locator("h1")).to_contain_text("finished")
