"""Errors of experiments inside a program.

* ClientError              (of the client)
  * MissingPackageError    what was asked for needs a package that is not installed
  * UnsuccessfulError      the experiment ended without success; it can go on
"""

from __future__ import annotations

from service.client.errors import ClientError
from service.reports.views import ExperimentView


class MissingPackageError(ClientError):
    """What was asked for needs a package that is not installed."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(
            f"{what} needs {package}, which is not installed", f"install it with `pip install {package}`"
        )


class UnsuccessfulError(ClientError):
    """An experiment ended without success.

    Attributes:
        experiment: As it is now; its `failure` says more.
    """

    def __init__(self, experiment: ExperimentView) -> None:
        failure = experiment.failure
        why = failure.cause if failure else experiment.reason or "it gave no reason"
        remedy = failure.remedy if failure else ""
        super().__init__(f"{experiment.name} ended {experiment.status}: {why}", remedy)
        self.experiment = experiment
