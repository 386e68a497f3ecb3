"""The whole simulator as one ASGI application."""

from typing import cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from simulator import bfl, control, runware, vtrix, wiro
from simulator.answers import Refused
from simulator.desk import Desk
from simulator.journal import Journal
from simulator.options import VENDORS


def create(desk: Desk) -> ASGIApp:
    """An application that serves the four vendors and the control API."""
    journal = Journal({vendor: vendor for vendor in VENDORS} | {"v1": bfl.VENDOR})
    routes = [
        *control.routes(desk, journal),
        *wiro.routes(desk),
        *runware.routes(desk),
        *bfl.routes(desk),
        *vtrix.routes(desk),
    ]
    return journal.around(Starlette(routes=routes, exception_handlers={Refused: _refused}))


async def _refused(_request: Request, exc: Exception) -> Response:
    return cast("Refused", exc).answer  # Starlette looks the handler up by the class
