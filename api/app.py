"""The HTTP edge, put together: `uvicorn api.app:create_app --factory`."""

import asyncio
import logging
import resource
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

import logs
from api import errors, files, health
from api.body_limit import BodyLimit
from api.dependencies import connect
from api.native import (
    campaigns,
    deliveries,
    following,
    generators,
    jobs,
    orders,
    projects,
    retries,
    stops,
    webhooks,
)
from api.native import files as native_files
from api.openapi import DocumentedApi
from api.wiro import files as wiro_files
from api.wiro import model_pages, run, socket, tasks, tools
from settings import Settings, load

FILES_MAX = 20_000
"""Open files of this process: the places for sockets, and room for everything else."""

DESCRIPTION = """
A self-hosted, distributed queue for image generation.

Two doors lead to the same jobs.  **Wiro's API** under `/v1` works with Wiro's own
clients and examples once their base URL is changed.  **The native API** under
`/api` has real types, stable error codes (RFC 9457) and cursors.

Both take Wiro's headers: `x-api-key` alone, or with `x-nonce` and `x-signature`, as
the project was made.  The native API also takes `Authorization: Bearer API_KEY:API_SECRET`.

A project may have a limit of requests per minute: beyond it is 429 with `Retry-After`, but never
for cancel and kill.  A body takes 1 MiB, with pictures 64 MiB, an upload 101 MiB, and comes
uncompressed within five minutes.

A WebSocket at `/v1` tells of tasks as they move, to whoever sends it
`{"type": "task_info", "tasktoken": "..."}`; the native API's events do the same as a stream.
"""

TAGS = [
    {"name": "Wiro", "description": "Field for field: numbers as strings, errors with HTTP 200."},
    {"name": "Jobs", "description": "One request to generate."},
    {"name": "Campaigns", "description": "Many jobs under one name."},
    {"name": "Project", "description": "Your own: limits, budget, and what is used of them."},
    {"name": "Webhooks", "description": "Who is told of your jobs, and what became of it."},
    {"name": "Models", "description": "What can be generated, by whom, at what price."},
    {"name": "Files", "description": "The pictures."},
    {"name": "Health", "description": "Probes."},
]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app with its services; without `settings`, those of the environment.

    Raises:
        settings.BadSetting: a variable is missing or cannot be used.
    """
    settings = settings or load()
    app = DocumentedApi(
        title="Darkroom",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=_lifespan,
        redirect_slashes=False,  # a redirect to another host than the caller's proxy helps nobody
        redoc_url=None,
    )
    app.state.services = connect(settings)
    app.state.log_level = settings.log_level
    app.add_middleware(BodyLimit)
    errors.install(app)
    parts = (
        tasks,
        run,
        tools,
        wiro_files,
        model_pages,
        files,
        native_files,
        stops,
        retries,
        orders,
        socket,
        following,
        jobs,
        campaigns,
        projects,
        webhooks,
        deliveries,
        generators,
        health,
    )
    for part in parts:
        app.include_router(part.router)
    app.add_api_route("/", _welcome, include_in_schema=False)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    if not logging.getLogger().handlers:  # whoever runs the app in a process of their own has their log
        logs.configure(app.state.log_level)
    _allow_many_connections()
    services = app.state.services
    services.bell.start()
    services.feed.start()
    _once_asked_to_end(services.feed.stop)
    yield
    services.feed.stop()
    services.bell.stop()
    services.database.dispose()


def _once_asked_to_end(act: Callable[[], None]) -> None:
    """Have it done as soon as this process is asked to end.

    uvicorn tells its app of it when all requests have been answered, or cut off: too late for
    those who wait for a job, and could still be told which it is.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # part of another program, which minds its own signals
    loop = asyncio.get_running_loop()

    def chain(number: signal.Signals) -> None:
        before = signal.getsignal(number)

        def heed(asked: int, frame: FrameType | None) -> None:
            # Not here: whoever was interrupted may hold the lock that is needed.
            loop.call_soon_threadsafe(loop.run_in_executor, None, act)
            if callable(before):
                before(asked, frame)

        signal.signal(number, heed)

    for number in (signal.SIGINT, signal.SIGTERM):
        chain(number)


def _allow_many_connections() -> None:
    """As many as this process may have when it asks: a thousand, as is usual, is few for open sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _welcome() -> RedirectResponse:
    """To the API's page, as long as there is no other."""
    return RedirectResponse("/docs")
