"""The composition root: builds the parts, joins them, and starts and stops them in order."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from service.background.duties import ALL_DUTIES, Duty
from service.controller.runners import Runners
from service.exports.exporter import Exporters
from service.exports.janitor import Janitor
from service.log import configure_logging
from service.settings import Settings
from service.store.database import Database
from service.tracing import configure_tracing
from service.web import api, dashboard
from service.web.api import health
from service.web.api.bodies import StrictBodies
from service.web.api.description.openapi import describe
from service.web.api.entity_tags import EntityTags
from service.web.api.event_tail import EventTail
from service.web.api.problems import add_problem_handlers
from service.web.dependencies import Services
from service.web.metrics import RequestMetrics
from service.web.security import Gatekeeper
from workers.pools.pool import open_workforce
from workers.protocol.messages import Workforce


def create_app(
    settings: Settings | None = None,
    *,
    workforce: Workforce | None = None,
    duties: frozenset[Duty] = ALL_DUTIES,
) -> FastAPI:
    """Returns the service, ready to be served; without settings they come from the environment."""
    chosen = settings or Settings().for_requests()
    stopping = threading.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as cleanup:
            services = open_services(chosen, workforce, stopping, duties=duties, cleanup=cleanup)
            app.state.services = services
            app.state.tail = EventTail(services.database, stopping)
            cleanup.callback(stopping.set)
            yield

    app = FastAPI(
        title="evomerge",
        version=version("evomerge"),
        description="Evolves merge recipes of language models.",
        lifespan=lifespan,
        docs_url=None,  # the framework's pages load their scripts from elsewhere; the dashboard has its own
        redoc_url=None,
    )
    app.state.stopping = stopping
    app.state.metrics = requests = RequestMetrics()
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI's documented way
    add_problem_handlers(app)
    app.add_middleware(StrictBodies)
    app.add_middleware(EntityTags)
    # Added last, so it is passed first.
    app.add_middleware(
        Gatekeeper, settings=chosen, database=lambda: app.state.services.database, metrics=requests
    )
    app.include_router(api.router)
    app.include_router(health.router)
    app.include_router(dashboard.router)
    return app


def open_services(
    settings: Settings,
    workforce: Workforce | None,
    stopping: threading.Event,
    *,
    duties: frozenset[Duty],
    cleanup: ExitStack,
) -> Services:
    """Builds the parts, and starts those that have a duty; `cleanup` stops them in the opposite order."""
    configure_logging(settings.log_level)
    configure_tracing()
    settings.home.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database)
    cleanup.callback(database.close)
    database.upgrade()
    force = workforce
    if force is None:
        force = open_workforce(settings.workforce, settings.home)
        cleanup.callback(force.close)
    runner = Runners(database, force, settings)
    exporter = Exporters(database, force, settings)
    janitor = Janitor(database, settings)
    for duty, part in ((Duty.EXPERIMENTS, runner), (Duty.EXPORTS, exporter), (Duty.EXPORTS, janitor)):
        if duty in duties:
            part.start()
            cleanup.callback(part.stop)
    return Services(settings, database, force, runner, exporter, stopping=stopping)
