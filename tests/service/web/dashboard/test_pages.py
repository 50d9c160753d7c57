"""The pages as the server renders them, without a browser."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser

import httpx
import pytest

from service.web.dashboard import assets
from service.web.dashboard.frame import PAGES as SLUGS
from tests.service.web.dashboard.played_experiment import ITEMS, PlayedExperiment
from tests.service.web.dashboard.served import Served

PAGES = ["/e/finished" + (f"/{slug}" if slug else "") for slug in SLUGS]
EVIL = "<script>alert('evil')<script>"


@pytest.fixture(scope="module")
def client(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, headers={"Accept-Encoding": "identity"})


def test_pages_can_be_read_without_scripts(client: httpx.Client, finished: PlayedExperiment) -> None:
    listed, shown = client.get("/"), client.get(f"/e/{finished.id}")

    assert listed.status_code == shown.status_code == 200
    assert f'href="/e/{finished.id}"' in listed.text
    assert "parent: maths" in shown.text
    assert "beats the best parent" in shown.text


def test_the_winner_is_compared_with_its_parents_item_by_item(
    client: httpx.Client, finished: PlayedExperiment
) -> None:
    page = client.get(f"/e/{finished.id}").text
    trust = page[page.index("How far to trust it") :]

    assert "best parent" in trust
    assert "▼ regression" in trust
    assert "▲ better" in trust
    assert trust.index("plain average") < trust.index("Other baselines") < trust.index("TIES (density 0.5)")


def test_a_parent_that_won_is_not_shown_as_a_merge(client: httpx.Client, served: Served) -> None:
    beaten = PlayedExperiment(served.database, "unbeaten")
    beaten.play_baselines()
    beaten.play(4)
    beaten.examine(winner=0)
    page, candidate = (client.get(f"/e/unbeaten{path}").text for path in ("", "/c/0"))
    export = client.get("/e/unbeaten/export").text

    assert re.search(r"No merge beat <a [^>]*>parent maths</a>", page)
    assert "the best other parent" in page
    assert "There is no winning merge to export: no merge beat parent maths" in export
    assert "evomerge export unbeaten 0 --even-a-parent --to" in candidate
    shown = client.get("/api/v1/experiments/unbeaten").json()["winner"]
    assert (shown["unbeaten"], shown["kind"]) == ("no merge beat parent maths", "parent")
    assert "no merge beat parent maths" in shown["examination"]["warnings"]


def test_who_answered_a_part_of_the_items_says_so(client: httpx.Client, served: Served) -> None:
    rotation = {"items": 50, "elites": 2}
    rotated = PlayedExperiment(served.database, "rotated", candidates=12, rotation=rotation)
    rotated.play_baselines()
    elite, other, *_ = rotated.play(6)
    for generation in (2, 4):
        rotated.ask_again(elite, generation)
    pages = [client.get(f"/e/rotated{path}").text for path in ("", f"/c/{elite}", f"/c/{other}", "/c/0")]

    assert "estimates missed by 0.031 (plain means 0.045) in 38 checks, rank correlation 0.81" in pages[0]
    assert f"about 50 of {ITEMS} items of arithmetic" in pages[0]
    assert "answered again in generations 2 and 4" in pages[1]
    assert f"answered 50 of {ITEMS} items of arithmetic" in pages[2]
    assert "answered again" not in pages[2]
    assert "answered" not in pages[3]  # a baseline: it is asked everything
    shown = client.get(f"/api/v1/experiments/rotated/candidates/{elite}").json()
    assert shown["again"] == [2, 4]
    assert shown["scores"]["search"][0]["is_part"] is True


def test_an_experiment_is_found_by_its_name_too(client: httpx.Client, finished: PlayedExperiment) -> None:
    assert "<title>finished · evomerge</title>" in client.get("/e/finished").text


@pytest.mark.parametrize("path", ["/", "/e/finished/c/0", *PAGES])
def test_every_page_has_a_twin_in_the_api(
    client: httpx.Client, finished: PlayedExperiment, path: str
) -> None:
    page = client.get(path).text
    twin = re.search(r'<a href="([^"]+)">This page as JSON', page)

    assert twin is not None
    assert client.get(twin[1]).headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    "path",
    [
        "/e/not-there",
        "/e/0b0acf35-2996-4b32-b2a3-3fbff73678ef",
        "/e/finished/c/9999",
        "/e/finished/c/abc",
        f"/e/finished/c/{'9' * 20}",
    ],
)
def test_what_is_not_there_gives_a_page_that_says_so(
    client: httpx.Client, finished: PlayedExperiment, path: str
) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert "Nothing here" in answer.text


@pytest.mark.parametrize(
    "query",
    ["split=nonsense", "x=%3Cscript%3E&y=none", "rows=-1", "rows=abc", "show=1'--", "split=test&show=failed"],
)
def test_a_mistyped_query_still_shows_the_page(
    client: httpx.Client, finished: PlayedExperiment, query: str
) -> None:
    assert client.get(f"/e/finished?{query}").status_code == 200
    assert client.get(f"/e/finished/candidates?{query}").status_code == 200
    assert client.get(f"/e/finished/figures/front.json?{query}").status_code == 200


def test_failures_that_are_alike_are_told_once_with_their_number(
    client: httpx.Client, served: Served
) -> None:
    many = PlayedExperiment(served.database, "many failures")
    many.play_baselines()
    for _ in range(3):
        many.fail_one(cause="the merged weights gave NaN")
    many.fail_one(cause="out of memory")

    page = client.get(f"/e/{many.id}/candidates?show=failed").text

    groups = page[page.index('class="groups') : page.index('id="candidate-table"')]
    assert groups.count("the merged weights gave NaN") == 1
    assert "3 × " in groups
    assert groups.index("gave NaN") < groups.index("out of memory")


def test_the_list_goes_on_from_any_experiment(client: httpx.Client, finished: PlayedExperiment) -> None:
    assert f'href="/e/{finished.id}"' not in client.get(f"/?before={finished.id}").text
    assert client.get("/?before=nonsense").status_code == 200


def test_texts_of_others_are_never_markup(client: httpx.Client, served: Served) -> None:
    evil = PlayedExperiment(served.database, EVIL, objectives=(EVIL + "1", EVIL + "2"))
    evil.play_baselines()
    number = evil.fail_one(cause=EVIL, excerpt=EVIL)

    for path in ("/", f"/e/{evil.id}", f"/e/{evil.id}/candidates?show=failed", f"/e/{evil.id}/c/{number}"):
        page = client.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
    figure = client.get(f"/e/{evil.id}/figures/front.json").text
    assert "<script>alert" not in figure


def test_failed_candidates_come_with_cause_and_remedy(
    client: httpx.Client, finished: PlayedExperiment
) -> None:
    page = client.get("/e/finished/candidates?show=failed").text

    assert "the merged weights gave NaN" in page
    assert "look at the recipe&#39;s weights" in page


@pytest.mark.parametrize(("show", "count"), [("all", 30), ("baselines", 5), ("failed", 1)])
def test_the_table_shows_one_kind_of_candidates(
    client: httpx.Client, finished: PlayedExperiment, show: str, count: int
) -> None:
    assert client.get(f"/e/finished/candidates?show={show}").text.count("<tr data-number=") == count


def test_the_front_table_holds_the_front_alone(client: httpx.Client, finished: PlayedExperiment) -> None:
    page = client.get("/e/finished/candidates?show=front").text

    numbers = {int(number) for number in re.findall(r'<tr data-number="(\d+)"', page)}
    assert numbers == set(finished.archive.front)


def test_a_candidate_shows_its_recipe_and_what_each_parent_gives(
    client: httpx.Client, finished: PlayedExperiment
) -> None:
    page = client.get("/e/finished/c/7").text

    assert "merge_method: task_arithmetic" in page
    assert "Weight of each parent, by layer" in page
    assert "evomerge export finished 7 --to" in page


def test_figures_are_plotly_json_in_the_theme_asked_for(
    client: httpx.Client, finished: PlayedExperiment
) -> None:
    light, dark = (
        client.get(f"/e/finished/figures/front.json?theme={theme}").json() for theme in ("light", "dark")
    )

    assert {"data", "layout"} <= light.keys()
    assert light["layout"]["font"] != dark["layout"]["font"]
    assert "data" in client.get("/e/finished/figures/hypervolume.json").json()


def test_figures_of_nothing_are_problems(client: httpx.Client) -> None:
    answer = client.get("/e/unknown/figures/front.json")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", sorted(assets.names()))
def test_files_are_kept_by_browsers_because_their_address_changes_with_them(
    client: httpx.Client, name: str
) -> None:
    answer = client.get(assets.address(name))

    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert client.get(f"/static/older/{name}").headers["cache-control"] == "no-cache"


def test_plotly_comes_gzipped_from_the_installed_package(served: Served) -> None:
    with httpx.stream(
        "GET", served.url + assets.address("plotly.min.js"), headers={"Accept-Encoding": "gzip"}
    ) as answer:
        raw = b"".join(answer.iter_raw())

    assert answer.headers["content-encoding"] == "gzip"
    assert len(raw) < 2_000_000
    assert b"plotly.js v" in gzip.decompress(raw)[:100]


@pytest.mark.parametrize("name", ["nothing.css", "..%2f..%2fpages.py", "pages.py", "%2e%2e%2fpages.py"])
def test_no_other_file_is_served(client: httpx.Client, name: str) -> None:
    assert client.get(f"/static/x/{name}").status_code == 404


class Tags(HTMLParser):
    """All tags of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("path", ["/", "/e/finished/c/0", *PAGES])
def test_pages_hold_no_script_of_their_own(
    client: httpx.Client, finished: PlayedExperiment, path: str
) -> None:
    tags = Tags(client.get(path).text).found

    assert all(attributes.get("src") for tag, attributes in tags if tag == "script")
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("path", ["/", "/e/finished/c/0", *PAGES])
def test_tables_have_captions_and_pictures_have_words(
    client: httpx.Client, finished: PlayedExperiment, path: str
) -> None:
    page = client.get(path).text
    tags = Tags(page).found

    assert page.count("<table") == page.count("<caption")
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")
    assert all(attributes.get("aria-label") for _, attributes in tags if "data-figure" in attributes)


@pytest.mark.parametrize("number", ["99999999999999999999", "2147483648", "-1"])
def test_numbers_that_no_candidate_has_are_not_found(
    client: httpx.Client, finished: PlayedExperiment, number: str
) -> None:
    assert client.get(f"/e/{finished.id}/c/{number}").status_code == 404
    assert client.get(f"/api/v1/experiments/{finished.id}/candidates/{number}").status_code in (404, 422)


@pytest.mark.parametrize("name", ["rows", "page"])
def test_a_number_of_five_thousand_digits_asks_for_the_first_page(
    client: httpx.Client, finished: PlayedExperiment, name: str
) -> None:
    assert client.get(f"/e/{finished.id}/candidates?{name}={'9' * 5000}").status_code == 200


def test_candidates_are_compared_on_the_items_that_both_answered(
    client: httpx.Client, finished: PlayedExperiment
) -> None:
    winner = client.get("/api/v1/experiments/finished").json()["winner"]["number"]
    page = client.get(f"/e/finished/compare?sel={winner},2,7").text

    pairs = page[page.index('id="pairs"') : page.index("How the recipes differ")]
    assert pairs.count("<td>test</td>") == 2 * len(finished.objectives)
    assert "Weight of each parent, by layer, difference" in page
    assert "Nothing to compare yet" in client.get("/e/finished/compare?sel=7").text
    assert client.get("/e/finished/compare?sel=7,9999").status_code == 404


def test_what_parents_and_winner_solve_is_counted(client: httpx.Client, finished: PlayedExperiment) -> None:
    page = client.get("/e/finished/complementarity").text

    assert page.count("At least one parent") == len(finished.objectives)
    assert f"{ITEMS} items of the test split" in page
    assert "solved by none" in page


def test_experiments_are_compared_by_fronts_and_by_what_their_specs_say(
    client: httpx.Client, served: Served, finished: PlayedExperiment
) -> None:
    other = PlayedExperiment(served.database, "compared with finished", candidates=30)
    other.play_baselines()
    page = client.get(f"/compare?e=finished&e={other.id}").text
    figure = client.get(f"/compare/fronts.json?e=finished&e={other.id}").json()

    assert "budget.candidates" in page
    assert [trace["name"] for trace in figure["data"]] == ["finished", "compared with finished"]
    assert client.get("/compare?e=unknown").status_code == 404


def test_the_list_is_found_by_words_status_tag_and_star(client: httpx.Client, served: Served) -> None:
    described = PlayedExperiment(served.database, "to be found", candidates=5)
    address = f"/api/v1/experiments/{described.id}"
    changes = {"tags": ["Paper"], "notes": "a **second** try", "starred": True}
    client.patch(address, json=changes).raise_for_status()

    for query in ("q=PAPER", "q=second", "tag=Paper", "starred=1", "q=found&status=under+way"):
        page = client.get(f"/?{query}").text
        assert "to be found" in page, query
        assert ">finished</a>" not in page, query
    assert "Nothing of this kind" in client.get("/?q=no+such+thing").text
    page = client.get(f"/e/{described.id}").text
    assert "a <strong>second</strong> try" in page
    assert 'href="/?tag=Paper"' in page


def test_the_table_holds_the_candidates_that_fit_all_filters(
    client: httpx.Client, finished: PlayedExperiment
) -> None:
    def rows(query: str) -> set[int]:
        page = client.get(f"/e/finished/candidates?{query}").text
        return {int(number) for number in re.findall(r'<tr data-number="(\d+)"', page)}

    scores = {c.number: finished.scores_of(c.number) for c in finished.played if c.number < 29}
    good = {number for number, (first, second) in scores.items() if first >= 0.7 and second <= 0.7}
    assert good
    assert rows("min0=70&max1=70") == good
    assert rows("min0=70&max1=70&sort=score0") == good
    made = {c.number for c in finished.played if c.operator == "crossover" and c.generation == 2}
    assert rows("op=crossover&mingen=2&maxgen=2") & set(scores) == made & set(scores)
    assert "No candidate fits" in client.get("/e/finished/candidates?min0=101").text


def test_what_happened_is_searched(client: httpx.Client, finished: PlayedExperiment) -> None:
    everything = client.get("/e/finished/runs").text
    assert "generation 2 was learned from" in everything

    failed = client.get("/e/finished/runs?log=FAILED").text
    assert "candidate 29 is failed" in failed
    assert "was learned from" not in failed
    assert "Nothing of this kind" in client.get("/e/finished/runs?log=no+such+thing").text
