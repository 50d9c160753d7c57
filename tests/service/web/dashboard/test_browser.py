"""The dashboard in a real browser: live, quiet, and usable on a phone and in the dark."""

from __future__ import annotations

import re
from pathlib import Path
from time import monotonic
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from service.experiment.status import ExperimentStatus
from service.reports.score_columns import read_columns
from service.store.repository import Repository
from service.web.dashboard.frame import PAGES as SLUGS
from tests.service.running import ControlledWorkforce
from tests.service.small_experiments import add_experiment, small_spec
from tests.service.web.dashboard.played_experiment import PlayedExperiment
from tests.service.web.dashboard.served import Served, find_browser, served_in
from tests.service.web.dashboard.watched import Watched

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium here; scripts/install_browser.sh installs one"
)
PAGES = ["/e/finished" + (f"/{slug}" if slug else "") for slug in SLUGS]
EVIL = "<img src=x onerror=alert(1)><script>alert(2)<script>"


@pytest.fixture
def running(served: Served, request: pytest.FixtureRequest) -> PlayedExperiment:
    """An experiment with its baselines and a first generation, waiting for the test to play on."""
    experiment = PlayedExperiment(served.database, request.node.name[:150], candidates=200)
    experiment.play_baselines()
    experiment.play(6)
    return experiment


def status_of(served: Served, experiment: PlayedExperiment) -> ExperimentStatus:
    with served.database.reading() as session:
        return Repository(session).experiment(experiment.id).status


def test_the_list_shows_an_experiment_and_how_far_it_is(page: Watched, running: PlayedExperiment) -> None:
    row = page.open("/").get_by_role("row", name=running.spec.name)

    expect(row).to_contain_text("searching")
    expect(row).to_contain_text("11 / 205")

    running.play(4)
    expect(row).to_contain_text("15 / 205")
    expect(page.page.locator("#live")).to_have_text("live")

    row.get_by_role("link").click()
    expect(page.page.get_by_role("heading", level=1)).to_contain_text(running.spec.name)


def test_an_empty_list_says_what_to_type(context: BrowserContext, tmp_path: Path) -> None:
    with served_in(tmp_path) as empty:
        view = Watched(context.new_page(), empty.url).open("/")
        expect(view.get_by_role("main")).to_contain_text("evomerge run")
        expect(view.get_by_role("main")).to_contain_text("make demo")

        PlayedExperiment(empty.database, "the first one")

        expect(view.get_by_role("link", name="the first one")).to_be_visible()
        view.close()


def test_the_front_gains_points_while_the_page_stays(page: Watched, running: PlayedExperiment) -> None:
    view = page.open(f"/e/{running.id}")
    view.evaluate("window.untouched = true")
    before = page.points("Front") + page.points("Dominated")

    running.play(5)

    marks = "document.getElementById('front').data.filter((t) => ['Front', 'Dominated'].includes(t.name))"
    page.wait_for(f"{marks}.reduce((sum, trace) => sum + trace.x.length, 0)", before + 5)
    expect(view.locator("#progress")).to_contain_text("16 of 205")
    expect(view.locator("#live")).to_have_text("live")
    assert view.evaluate("window.untouched") is True


def test_a_real_search_is_followed_from_its_start_to_the_verdict(
    context: BrowserContext, tmp_path: Path
) -> None:
    workforce = ControlledWorkforce()
    workforce.gate.clear()
    with served_in(tmp_path, workforce=workforce) as service:
        row = add_experiment(service.database, small_spec(budget={"candidates": 40}))
        page = Watched(context.new_page(), service.url)
        view = page.open(f"/e/{row.id}")
        expect(view.locator("h1 .badge")).to_have_text(re.compile("waiting to start|searching"))

        workforce.gate.set()

        expect(view.locator("h1 .badge")).to_have_text("finished")
        expect(view.locator("#verdict")).to_contain_text("on items that the search never saw")
        page.wait_for("document.getElementById('front').data.some((t) => t.name === 'Winner')", True)
        view.close()
    assert page.complaints == []
    assert page.foreign_requests == []


def test_parents_are_marked_on_the_front(page: Watched, running: PlayedExperiment) -> None:
    front = page.open(f"/e/{running.id}").locator("#front")

    assert page.points("Parents") == 2
    expect(front.locator(".textpoint text", has_text="maths")).to_be_visible()
    expect(front.locator(".textpoint text", has_text="japanese")).to_be_visible()
    expect(front.locator(".legendtext", has_text="Parents")).to_be_visible()
    expect(front).to_have_attribute("aria-label", re.compile("and 5 baselines"))


def test_the_verdict_appears_when_the_examination_is_done(page: Watched, running: PlayedExperiment) -> None:
    view = page.open(f"/e/{running.id}")
    assert page.points("Winner") == 0

    winner = running.examine()

    expect(view.locator("#verdict")).to_contain_text(f"candidate {winner}")
    expect(view.locator("#verdict")).to_contain_text("the best parent")
    expect(view.locator("#verdict")).to_contain_text("Optimism")
    expect(view.locator("h1 .badge")).to_have_text("finished")
    expect(view.locator("#live")).to_have_text("ended")
    page.wait_for("document.getElementById('front').data.some((t) => t.name === 'Winner')", True)
    expect(view.locator("#choose-split option[value=test]")).to_be_enabled()

    view.locator("#choose-split").select_option("test")
    expect(view).to_have_url(re.compile("split=test"))
    expect(view.locator("#front")).to_have_attribute("aria-label", re.compile("on the test split"))


def test_pause_resume_and_cancel_are_asked_of_the_service(
    page: Watched, served: Served, running: PlayedExperiment
) -> None:
    view = page.open(f"/e/{running.id}")

    view.get_by_role("button", name="Pause").click()
    expect(view.locator("h1 .badge")).to_have_text("being paused")
    assert status_of(served, running) is ExperimentStatus.PAUSING

    view.get_by_role("button", name="Resume").click()
    expect(view.locator("h1 .badge")).to_have_text("searching")

    view.once("dialog", lambda dialog: dialog.dismiss())
    view.get_by_role("button", name="Cancel").click()
    assert status_of(served, running) is ExperimentStatus.RUNNING

    view.once("dialog", lambda dialog: dialog.accept())
    view.get_by_role("button", name="Cancel").click()
    expect(view.locator("h1 .badge")).to_have_text("being cancelled")


@pytest.mark.slow
def test_a_finished_search_is_extended_from_its_page(context: BrowserContext, tmp_path: Path) -> None:
    with served_in(tmp_path, workforce=ControlledWorkforce()) as service:
        budget = {"candidates": 8, "stagnation": 500, "seconds": 5000.0}
        row = add_experiment(service.database, small_spec(budget=budget))
        page = Watched(context.new_page(), service.url)
        view = page.open(f"/e/{row.id}")
        expect(view.locator("h1 .badge")).to_have_text("finished")
        view.get_by_role("button", name="Extend").click()
        dialog = view.get_by_role("dialog")
        expect(dialog).to_contain_text("Candidates on top of 8")
        expect(dialog).to_contain_text("the test split is read once more")

        dialog.get_by_role("spinbutton").fill("1000000")
        dialog.get_by_role("button", name="Extend").click()
        expect(dialog.get_by_role("alert")).to_contain_text("1000008 does not fit")
        expect(dialog.get_by_role("alert")).to_contain_text("use 1000000 or less")
        assert len(page.complaints) == 1  # the browser itself notes the status
        page.complaints.clear()

        dialog.get_by_role("spinbutton").fill("5")
        dialog.get_by_label("Lift the limit of 500 candidates without progress").check()
        dialog.get_by_role("button", name="Extend").click()
        expect(dialog).to_be_hidden()
        expect(view.locator("#progress")).to_contain_text("17 of 17")
        expect(view.locator("h1 .badge")).to_have_text("finished")
        view.get_by_role("button", name="Extend").click()
        expect(dialog).to_contain_text("Candidates on top of 13")
        expect(dialog).not_to_contain_text("without progress")
        expect(dialog).to_contain_text("Lift the limit of 5,000 seconds")
        view.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        view.close()
    assert page.complaints == []


def test_a_refused_request_is_explained(page: Watched, served: Served, running: PlayedExperiment) -> None:
    view = page.open(f"/e/{running.id}")
    refusal = {"status": 409, "detail": "it has ended; it cannot be paused"}
    view.route("**/pause", lambda route: route.fulfill(status=409, json=refusal))

    view.get_by_role("button", name="Pause").click()

    expect(view.get_by_role("alert")).to_have_text("it has ended; it cannot be paused")
    assert len(page.complaints) == 1  # the browser itself notes the status
    page.complaints.clear()


def test_a_row_opens_the_candidate_and_escape_closes_it(page: Watched, finished: PlayedExperiment) -> None:
    view = page.open(f"/e/{finished.id}/candidates")

    view.locator("tr[data-number='7'] td.number").nth(1).click()

    detail = view.get_by_role("dialog")
    expect(detail).to_contain_text("Candidate 7")
    expect(detail).to_contain_text("merge_method: task_arithmetic")
    expect(detail).to_contain_text("Weight of each parent, by layer")
    expect(view).to_have_url(re.compile("c=7"))
    view.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    expect(view).not_to_have_url(re.compile("c=7"))


def test_a_candidate_has_an_address_and_back_closes_it(page: Watched, finished: PlayedExperiment) -> None:
    view = page.open(f"/e/{finished.id}/candidates?c=20")
    detail = view.get_by_role("dialog")
    expect(detail).to_contain_text("Candidate 20")
    view.keyboard.press("Escape")
    expect(detail).to_be_hidden()

    view.locator("tr[data-number='21'] a").click()
    detail.locator(".facts a").first.click()
    expect(detail).to_contain_text("Candidate 18")
    view.go_back()
    expect(detail).to_contain_text("Candidate 21")
    view.go_back()
    expect(detail).to_be_hidden()


def test_chosen_candidates_stay_chosen_on_the_next_page(page: Watched, finished: PlayedExperiment) -> None:
    view = page.open(f"/e/{finished.id}/candidates")

    view.get_by_label("Choose candidate 20").check()
    view.get_by_label("Choose candidate 21").check()
    expect(view).to_have_url(re.compile("sel=20,21"))
    view.get_by_role("link", name="Look inside").click()

    expect(view.get_by_role("region", name="Candidate 20", exact=True)).to_contain_text(
        "Weight of each parent"
    )
    expect(view.get_by_role("region", name="Candidate 21", exact=True)).to_be_visible()
    view.get_by_role("button", name="Empty").click()
    expect(view).not_to_have_url(re.compile("sel="))


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_no_page_has_a_serious_barrier(
    browser: Browser, served: Served, finished: PlayedExperiment, theme: Literal["light", "dark"]
) -> None:
    window = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=theme)
    view = window.new_page()
    found: dict[str, list[str]] = {}
    for path in ("/", "/new", *PAGES, "/e/finished/candidates?c=20", "/e/finished/compare?sel=20,21"):
        Watched(view, served.url).open(path)
        if "c=" in path:
            expect(view.get_by_role("dialog")).to_contain_text("Candidate 20")
        results = Axe().run(view, options={"resultTypes": ["violations"]}).response
        serious = [v for v in results["violations"] if v["impact"] in ("serious", "critical")]
        if serious:
            found[path] = [f"{v['id']}: {v['nodes'][0]['html'][:150]}" for v in serious]
    window.close()
    assert found == {}


def test_a_point_opens_the_candidate(page: Watched, finished: PlayedExperiment) -> None:
    view = page.open(f"/e/{finished.id}")
    point = view.locator("#front .scatterlayer .trace").last.locator("path.point")
    point.scroll_into_view_if_needed()
    star = point.bounding_box()
    assert star is not None

    view.mouse.move(star["x"] + star["width"] / 2, star["y"] + star["height"] / 2)
    expect(view.locator("#front .hoverlayer .hovertext")).to_be_visible()
    view.mouse.down()
    view.mouse.up()

    expect(view.get_by_role("dialog")).to_contain_text("Candidate")


def test_a_table_stays_sorted_while_rows_come_in(page: Watched, running: PlayedExperiment) -> None:
    view = page.open(f"/e/{running.id}/candidates")
    cells = "document.querySelectorAll('tr[data-number] td:nth-child(3)')"
    scores = f"[...{cells}].map((cell) => parseFloat(cell.textContent)).filter((score) => !isNaN(score))"

    view.get_by_role("link", name="arithmetic").focus()
    view.keyboard.press("Enter")
    expect(view.locator("th[aria-sort=descending]")).to_have_text("arithmetic")
    sorted_once = view.evaluate(scores)
    assert sorted_once == sorted(sorted_once, reverse=True)

    running.play(4)
    expect(view.locator("tr[data-number]")).to_have_count(15)
    sorted_again = view.evaluate(scores)
    assert sorted_again == sorted(sorted_again, reverse=True)
    expect(view.locator("th[aria-sort=descending]")).to_have_text("arithmetic")
    expect(view.get_by_role("link", name="arithmetic")).to_be_focused()


def test_filters_and_more_rows_change_the_table_and_the_address_alone(
    page: Watched, served: Served, finished: PlayedExperiment
) -> None:
    view = page.open(f"/e/{finished.id}/candidates")
    view.evaluate("window.untouched = true")
    rows = view.locator("tr[data-number]")

    view.get_by_role("link", name="Failed").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("the merged weights gave NaN")
    view.get_by_role("link", name="Baselines").click()
    expect(rows).to_have_count(5)
    expect(view).to_have_url(re.compile("show=baselines"))
    view.go_back()
    expect(rows).to_have_count(1)
    assert view.evaluate("window.untouched") is True


def test_older_rows_are_shown_on_demand(page: Watched, served: Served) -> None:
    many = PlayedExperiment(served.database, "many rows", candidates=100)
    many.play_baselines()
    many.play(60)
    view = page.open(f"/e/{many.id}/candidates")
    expect(view.locator("tr[data-number]")).to_have_count(30)

    expect(view.get_by_text("1–30 of 65")).to_be_visible()

    view.get_by_role("link", name="Last").click()

    expect(view.locator("tr[data-number]")).to_have_count(5)
    expect(view.get_by_text("61–65 of 65")).to_be_visible()
    expect(view.get_by_role("link", name="Next")).to_have_count(0)


def test_the_best_of_all_rows_comes_first_when_a_table_is_sorted(page: Watched, served: Served) -> None:
    many = PlayedExperiment(served.database, "many to sort", candidates=100)
    many.play_baselines()
    many.play(60)
    with served.database.reading() as session:
        every = read_columns(session, Repository(session).experiment(many.id), "search")
    best = int(every.numbers[every.values[:, 0].argmax()])
    view = page.open(f"/e/{many.id}/candidates?page=2")

    view.locator("#sort-score0").click()

    expect(view.locator("tr[data-number]").first).to_have_attribute("data-number", str(best))
    expect(view).to_have_url(re.compile("sort=score0&down=1&page=1"))


@pytest.mark.slow
def test_axes_can_be_chosen_among_three_objectives(page: Watched, served: Served) -> None:
    three = PlayedExperiment(served.database, "three skills", objectives=("one", "two", "three"))
    three.play_baselines()
    three.play(5)
    view = page.open(f"/e/{three.id}")

    view.locator("#choose-x").select_option("three")

    expect(view.locator("#front .xtitle")).to_have_text("three (acc)")
    expect(view).to_have_url(re.compile("x=three"))


def test_one_objective_is_drawn_over_the_candidates(page: Watched, served: Served) -> None:
    one = PlayedExperiment(served.database, "one skill", objectives=("only",))
    one.play_baselines()
    one.play(5)
    view = page.open(f"/e/{one.id}")

    expect(view.locator("#front .xtitle")).to_have_text("Candidate")
    expect(view.locator("#course")).to_have_count(0)
    assert page.points("Best so far") == 10


def test_a_script_in_a_name_is_shown_as_text(page: Watched, served: Served) -> None:
    evil = PlayedExperiment(served.database, EVIL, objectives=(EVIL + "a", EVIL + "b"))
    evil.play_baselines()
    evil.fail_one(cause=EVIL, excerpt=EVIL)

    expect(page.open("/").get_by_role("link", name=EVIL, exact=True)).to_be_visible()
    view = page.open(f"/e/{evil.id}")
    expect(view.get_by_role("heading", level=1)).to_contain_text(EVIL)
    expect(view.locator("#front .xtitle")).to_contain_text("<img src=x onerror")
    view.goto(view.url + "/candidates")
    view.locator("tr[data-number]", has=view.locator(".state[data-status=failed]")).click()
    expect(view.get_by_role("dialog")).to_contain_text(EVIL)
    assert view.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("path", ["/", "/e/finished/c/7", "/e/not-there", *PAGES])
def test_nothing_scrolls_sideways_on_a_phone(phone: Watched, finished: PlayedExperiment, path: str) -> None:
    phone.open(path)

    assert phone.width_of_content() == 360
    phone.complaints = [text for text in phone.complaints if "404" not in text]  # of /e/unknown itself


def background(page: Page) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


@pytest.mark.slow
def test_the_page_and_its_plots_follow_the_systems_theme(page: Watched, finished: PlayedExperiment) -> None:
    view = page.open(f"/e/{finished.id}")
    font = "document.getElementById('front').layout.font.color"
    light, light_font = background(view), view.evaluate(font)

    view.emulate_media(color_scheme="dark")

    page.wait_for(f"{font} !== '{light_font}'", True)
    assert background(view) != light
    view.emulate_media(color_scheme="light")
    page.wait_for(font, light_font)


def test_a_lost_connection_is_shown_and_mends_itself(context: BrowserContext, tmp_path: Path) -> None:
    with served_in(tmp_path) as first:
        experiment = PlayedExperiment(first.database, "restarted")
        experiment.play_baselines()
        view = Watched(context.new_page(), first.url).open(f"/e/{experiment.id}/candidates")
        expect(view.locator("#live")).to_have_text("live")
    expect(view.locator("#live")).to_contain_text("connection lost")

    with served_in(tmp_path, port=first.port):
        experiment.play(3)

        expect(view.locator("#live")).to_have_text("live")
        expect(view.locator("tr[data-number]")).to_have_count(8)
        view.close()


def test_the_page_asks_at_most_twice_a_second_however_much_happens(
    page: Watched, running: PlayedExperiment
) -> None:
    view = page.open(f"/e/{running.id}")
    expect(view.locator("#live")).to_have_text("live")
    asked: list[float] = []
    view.on("request", lambda r: asked.append(monotonic()) if r.url.endswith(str(running.id)) else None)

    for _ in range(10):
        running.play(4)
    expect(view.locator("#progress")).to_contain_text("51 of 205")

    assert asked
    assert len(asked) <= 2 * (asked[-1] - asked[0]) + 2


def test_the_keyboard_reaches_everything_and_its_focus_is_seen(
    page: Watched, finished: PlayedExperiment
) -> None:
    view = page.open(f"/e/{finished.id}")

    view.keyboard.press("Tab")
    expect(view.locator(":focus")).to_have_text("Skip to content")
    outline = view.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_pages_work_without_scripts(browser: Browser, served: Served, finished: PlayedExperiment) -> None:
    window = browser.new_context(java_script_enabled=False)
    view = window.new_page()
    view.goto(f"{served.url}/e/{finished.id}/candidates")

    view.get_by_role("link", name="Baselines").click()
    expect(view.locator("tr[data-number]")).to_have_count(5)
    view.locator("tr[data-number='2'] a").click()
    expect(view.get_by_role("heading", level=1)).to_contain_text("plain average")
    window.close()
