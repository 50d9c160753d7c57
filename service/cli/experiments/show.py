"""Commands that look: list, status, front, recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.connection import (
    CandidateArgument,
    FilterOption,
    JsonOption,
    NameArgument,
    OrderOption,
    Place,
    SplitOption,
    finds_experiments,
    numbered,
)
from service.cli.reaching import connect
from service.cli.terminal.output import clean, data_console, note, say, say_json, say_recipe
from service.cli.terminal.tables import experiments_table, front_csv, front_table, status_table
from service.examination.sentences import sentences
from service.experiment.bare_parent import unbeaten


@finds_experiments
def list_experiments(
    place: Place,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most experiments to show.")] = 50,
    chosen: FilterOption = None,
    order_by: OrderOption = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Those as well that were deleted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List experiments, newest first."""
    with connect(place) as client:
        page = client.experiments(filter=chosen, order_by=order_by, deleted=deleted, page_size=limit)
    if as_json:
        say_json(page)
    elif page.items:
        data_console().print(experiments_table(page.items))
    else:
        note("There are no experiments yet; submit one with `evomerge run FILE.yml`.")


@finds_experiments
def status(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """Show how far an experiment is."""
    with connect(place) as client:
        view = client.experiment(name)
    if as_json:
        say_json(view)
    else:
        data_console().print(status_table(view))


@finds_experiments
def front(
    name: NameArgument,
    place: Place,
    split: SplitOption = "search",
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV instead of a table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the front and the baselines, with scores and standard errors on every split.

    Below the rule stands what the front is compared to. Recipes are told by their method and the mean of
    what they take of each parent. The search split is what the optimizer climbed, so its scores are
    optimistic: judge by the test split.
    """
    with connect(place) as client:
        view = client.front(name, split)
    if as_json:
        say_json(view)
    elif as_csv:
        say(front_csv(view))
    elif view.front:
        console = data_console()
        console.print(front_table(view, width=console.width))
        for point in view.baselines:
            if point.number == view.winner:
                note(clean(f"mind: {unbeaten(point.kind, point.label)}"))
        for objective in view.objectives:
            if objective.asked:
                note(clean(f"{objective.name} is asked as: {objective.asked}"))
        note(f"hypervolume {view.hypervolume:.4f} on the {view.split} split")
    else:
        note(f"Nothing was scored on the {view.split} split yet.")


@finds_experiments
def examination(name: NameArgument, place: Place, as_json: JsonOption = False) -> None:
    """Show what the examination found out about the winner, on items that the search never saw.

    Differences are of fitness (positive is better); ± is one standard error; p-values are two-sided.
    """
    with connect(place) as client:
        view = client.experiment(name)
    winner = view.winner
    if winner is None or winner.examination is None:
        note(f"{view.name} has no examination yet; it comes when the search has ended.")
        return
    if as_json:
        say_json(winner.examination)
        return
    opened = winner.test_opened_at
    said = f" ({winner.unbeaten})" if winner.unbeaten else ""
    say(clean(f"winner: {winner.label or f'candidate {winner.number}'}{said}"))
    for sentence in sentences(winner.examination):
        say(clean(sentence))
    for warning in winner.examination.warnings:
        note(clean(f"mind: {warning}"))
    note(f"the test split was opened once, {opened:%Y-%m-%d %H:%M} UTC" if opened else "")


@finds_experiments
def recipe(
    name: NameArgument, candidate: CandidateArgument, place: Place, as_json: JsonOption = False
) -> None:
    """Write a candidate's recipe as mergekit YAML; mergekit reads what --json gives, too."""
    with connect(place) as client:
        say_recipe(client.recipe(name, numbered(client, name, candidate)), as_json=as_json)
