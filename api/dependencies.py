"""What an endpoint works with, and who asks.

Each endpoint is one unit of work, `with services.database.transaction()`,
written in it and not in a dependency: FastAPI leaves a dependency after the
response has been made, and a caller must not be told of a job that the
commit then refuses.  What is said to the queue is said after that block.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

import broker
import catalogue
import providers
import storage
from api import authentication
from api.authentication import Credentials, NotAuthorized
from api.bell import Bell
from api.errors import Problem, WiroRefusal
from api.feed import Feed
from api.listeners import Listeners
from api.market import Market
from api.wiro_body import wiro_body
from broker import Broker
from models import queries
from models.lifecycle import OnUnknown, Route
from models.project import Project
from models.session import Database
from providers.base import Provider
from settings import Settings
from storage import Storage

POOL_SIZE = 20
"""Connections at most.  Forty threads share them: an endpoint spends half its time elsewhere."""

WAITERS_MAX = 15
"""Requests that may wait at once for a job to stop; beyond, the threads would be short for all others."""

logger = logging.getLogger("darkroom.api")


# --- what it works with --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Services:
    """Everything an endpoint may need; made once per process.

    Attributes:
        route: by what providers are ranked for a caller who does not say.
        on_unknown: what becomes of a job whose answer was lost, for a caller who does not say.
        provider: one that is on, to read its ids with; nothing is asked of a vendor here.
        public_url: what callers see in front of our paths, without a final slash.
        listeners: places for requests that wait without a thread.
        waiters: held by each request that waits for something other than a server.
    """

    database: Database
    broker: Broker
    bell: Bell
    feed: Feed
    market: Market
    storage: Storage
    route: Route
    on_unknown: OnUnknown
    provider: Callable[[str], Provider]
    public_url: str
    listeners: Listeners = field(default_factory=Listeners)
    waiters: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(WAITERS_MAX))


def connect(settings: Settings) -> Services:
    """The services of these settings; connections open at first use.

    Raises:
        settings.BadSetting: there is no address of Postgres or Redis.
        storage.StorageError: nothing answers to the storage's address.
    """
    queue = Broker(broker.create_app(settings.require_redis_url()))
    database = Database(settings.require_database_url(), pool_size=POOL_SIZE)
    return Services(
        database=database,
        broker=queue,
        bell=Bell(queue),
        feed=Feed(database),
        market=Market(
            catalogue.load(),
            turned_on=providers.turned_on(settings.keyed_providers()),
            known=tuple(providers.names()),
        ),
        storage=storage.connect(settings.outputs_url()),
        route=Route(settings.route),
        on_unknown=OnUnknown(settings.on_unknown),
        provider=lambda name: providers.load(name)(**settings.arguments_of(name)),
        public_url=settings.public_url.rstrip("/"),
    )


async def services_of(request: Request) -> Services:
    """The services of the app that was asked.  Not sync: that would cost a thread to read one attribute."""
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]


# --- who asks ------------------------------------------------------------------------------------

_API_KEY = APIKeyHeader(
    name="x-api-key", scheme_name="API key", description="A project's key, as Wiro's.", auto_error=False
)
_NONCE = APIKeyHeader(
    name="x-nonce",
    scheme_name="Nonce",
    description="Any number; for projects with signatures.",
    auto_error=False,
)
_SIGNATURE = APIKeyHeader(
    name="x-signature",
    scheme_name="Signature",
    description="Hex HMAC-SHA256 under the API key of API secret and nonce; for projects with signatures.",
    auto_error=False,
)
_BEARER = HTTPBearer(
    scheme_name="Key and secret", description="`Authorization: Bearer API_KEY:API_SECRET`", auto_error=False
)


def wiro_credentials(
    api_key: Annotated[str | None, Security(_API_KEY)],
    nonce: Annotated[str | None, Security(_NONCE)],
    signature: Annotated[str | None, Security(_SIGNATURE)],
) -> Credentials:
    """Wiro's three headers."""
    return Credentials(api_key, nonce, signature)


def wiro_project(services: ServicesOf, sent: Annotated[Credentials, Depends(wiro_credentials)]) -> Project:
    """The project behind a request to Wiro's doors.

    Raises:
        WiroRefusal: 401, with Wiro's sentence.
    """
    try:
        return authentication.check_headers(_project(services, sent.api_key), sent)
    except NotAuthorized as exc:
        _note_refusal(exc)
        raise WiroRefusal((0, str(exc)), status=401) from exc


def native_project(
    services: ServicesOf,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    sent: Annotated[Credentials, Depends(wiro_credentials)],
) -> Project:
    """The project behind a request to the native API: key and secret, or Wiro's headers.

    Raises:
        Problem: 401.
    """
    try:
        if bearer is None:
            return authentication.check_headers(_project(services, sent.api_key), sent)
        api_key, _, api_secret = bearer.credentials.partition(":")
        return authentication.check_secret(_project(services, api_key), api_secret)
    except NotAuthorized as exc:
        _note_refusal(exc)
        detail = f"{exc} Send Authorization: Bearer API_KEY:API_SECRET, or Wiro's headers."
        raise Problem(401, "not_authorized", detail) from exc


WiroProject = Annotated[Project, Depends(wiro_project)]
NativeProject = Annotated[Project, Depends(native_project)]


def _project(services: Services, api_key: str | None) -> Project | None:
    # Postgres takes no NUL in a text, not even to look for it.
    if not api_key or "\0" in api_key:
        return None
    with services.database.transaction() as session:
        return queries.project_by_key(session, api_key)


def _note_refusal(exc: NotAuthorized) -> None:
    logger.warning("Refused a request.", extra={"event": "not_authorized", "reason": str(exc)})


# --- what Wiro's clients send ----------------------------------------------------------------------

WiroBody = Annotated[dict[str, object], Depends(wiro_body)]
