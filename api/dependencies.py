"""What an endpoint works with, and who asks.

Each endpoint is one unit of work, `with services.database.transaction()`,
written in it and not in a dependency: FastAPI leaves a dependency after the
response has been made, and a caller must not be told of a job that the
commit then refuses.  What is said to the queue is said after that block.
"""

import logging
import threading
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security.utils import get_authorization_scheme_param

import broker
import catalogue
import providers
import storage
from api import authentication
from api.authentication import Caller, Credentials, NotAuthorized
from api.bell import Bell
from api.callers import Callers
from api.errors import Problem, RateLimited, WiroRefusal
from api.feed import Feed
from api.listeners import Listeners
from api.market import Market
from api.throttle import Throttle
from api.wiro.body import wiro_body
from api.wiro.lookups import Lookups
from broker import Broker
from models import queries
from models.lifecycle import OnUnknown, Route
from models.session import Database
from providers.base import Provider
from settings import Settings
from shapes import gathering
from shapes.wiro_story import Ending
from storage import Storage

_WORD_SHOWN_MAX = 40
POOL_SIZE = 20
"""Connections at most.  Forty threads share them: an endpoint spends half its time elsewhere."""

SOCKETS_MAX = 10_000
"""Open sockets of one process: beyond, it would run out of files or memory for all others."""

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
        private_hosts: hosts that callers may name although they are private.
        listeners: places for requests that wait without a thread.
        sockets: places for open sockets.
        tokens: finds jobs by what their sockets are opened with.
        endings: finds what is to be said when jobs end.
        waiters: held by each request that waits for something other than a server.
    """

    database: Database
    broker: Broker
    bell: Bell
    feed: Feed
    callers: Callers
    throttle: Throttle
    market: Market
    storage: Storage
    route: Route
    on_unknown: OnUnknown
    provider: Callable[[str], Provider]
    public_url: str
    tokens: Lookups[str, int]
    endings: Lookups[int, Ending]
    private_hosts: Collection[str] = ()
    listeners: Listeners = field(default_factory=Listeners)
    sockets: Listeners = field(default_factory=lambda: Listeners(SOCKETS_MAX))
    waiters: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(WAITERS_MAX))


def connect(settings: Settings) -> Services:
    """The services of these settings; connections open at first use.

    Raises:
        settings.BadSetting: there is no address of Postgres or Redis.
        storage.StorageError: nothing answers to the storage's address.
    """
    queue = Broker(broker.create_app(settings.require_redis_url()))
    database = Database(settings.require_database_url(), pool_size=POOL_SIZE)
    public_url = settings.public_url.rstrip("/")
    return Services(
        database=database,
        broker=queue,
        bell=Bell(queue),
        feed=Feed(database, queue.listen),
        callers=Callers(database),
        throttle=Throttle(settings.require_redis_url()),
        market=Market(
            catalogue.load(),
            turned_on=providers.turned_on(settings.keyed_providers()),
            known=providers.names(),
        ),
        storage=storage.connect(settings.outputs_url()),
        route=Route(settings.route),
        on_unknown=OnUnknown(settings.on_unknown),
        provider=lambda name: providers.load(name)(**settings.arguments_of(name)),
        public_url=public_url,
        private_hosts=settings.allow_private_urls,
        tokens=Lookups(database, queries.jobs_of_tokens),
        endings=Lookups(database, partial(gathering.wiro_endings, public_url)),
    )


async def services_of(request: Request) -> Services:
    """The services of the app that was asked.  Not sync: that would cost a thread to read one attribute."""
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]


# --- who asks ------------------------------------------------------------------------------------

# One dependency each, which reads the headers itself: FastAPI takes longer to solve a tree of them than
# it takes to know the caller.  `api.openapi` tells of the headers.


async def uncounted_wiro_project(request: Request) -> Caller:
    """The project behind a request to Wiro's doors, however many it makes.

    Raises:
        WiroRefusal: 401, with Wiro's sentence.
    """
    try:
        sent = _wiro_headers(request)
        if not sent.api_key:
            authentication.refuse_bearer(request.headers.get("authorization"))
        return authentication.check_headers(await _caller(request, sent.api_key), sent)
    except NotAuthorized as exc:
        (await services_of(request)).callers.note_refusal(str(exc))
        raise WiroRefusal((exc.code, str(exc)), status=401) from exc


async def uncounted_native_project(request: Request) -> Caller:
    """The project behind a request to the native API, however many it makes.

    It is proved by key and secret, or by Wiro's headers.

    Raises:
        Problem: 401.
    """
    scheme, credentials = get_authorization_scheme_param(request.headers.get("authorization"))
    try:
        if scheme.lower() != "bearer" or not credentials:
            sent = _wiro_headers(request)
            return authentication.check_headers(await _caller(request, sent.api_key), sent)
        api_key, _, api_secret = credentials.partition(":")
        return authentication.check_secret(await _caller(request, api_key), api_secret)
    except NotAuthorized as exc:
        (await services_of(request)).callers.note_refusal(str(exc))
        detail = f"{exc} Send Authorization: Bearer API_KEY:API_SECRET, or Wiro's headers."
        raise Problem(401, "not_authorized", detail) from exc


async def wiro_project(request: Request) -> Caller:
    """The same, and one of the requests that it may make in a minute.

    Raises:
        RateLimited: it has made them all.
    """
    return await _counted(request, await uncounted_wiro_project(request))


async def native_project(request: Request) -> Caller:
    """The same, and one of the requests that it may make in a minute.

    Raises:
        RateLimited: it has made them all.
    """
    return await _counted(request, await uncounted_native_project(request))


WiroProject = Annotated[Caller, Depends(wiro_project)]
NativeProject = Annotated[Caller, Depends(native_project)]
UncountedWiroProject = Annotated[Caller, Depends(uncounted_wiro_project)]
UncountedNativeProject = Annotated[Caller, Depends(uncounted_native_project)]
"""For the doors that stop things: nobody has to wait for his turn to stop spending."""


def _wiro_headers(request: Request) -> Credentials:
    headers = request.headers
    return Credentials(headers.get("x-api-key"), headers.get("x-nonce"), headers.get("x-signature"))


async def _caller(request: Request, api_key: str | None) -> Caller | None:
    services = await services_of(request)
    return await services.callers.by_key(api_key)


async def _counted(request: Request, caller: Caller) -> Caller:
    per_minute = caller.requests_per_minute
    if per_minute is not None:
        throttle = (await services_of(request)).throttle
        wait_s = await to_thread.run_sync(throttle.wait_s, caller.id, per_minute)
        if wait_s:
            raise RateLimited(per_minute, wait_s)
    return caller


class GuardedRoute(APIRoute):
    """A door of the native API that asks who is there before it reads what they bring.

    FastAPI reads and parses a body before it looks at any dependency: whoever has no key
    could make us hold as much as a request may have.  It also passes over words of the query that
    it does not know: a misspelt `dry_run` would queue the job, a misspelt filter would list everything.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, behind the guard."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        known = _query_words(self.dependant)

        async def guarded(request: Request) -> Response:
            strange = request.query_params.keys() - known
            if takes_body or strange:
                await uncounted_native_project(request)  # the door asks again; the key is read once a second
            if strange:
                raise _unknown_words(strange, known)
            return await handle(request)

        return guarded


def _query_words(dependant: Dependant) -> frozenset[str]:
    """What may stand in the query of a door."""
    own = frozenset(word.alias for word in dependant.query_params)
    return own.union(*map(_query_words, dependant.dependencies))


def _unknown_words(strange: Collection[str], known: Collection[str]) -> Problem:
    takes = f"takes {', '.join(sorted(known))}" if known else "takes nothing"
    problems = [_unknown_word(word, takes) for word in sorted(strange)]
    detail = "; ".join(problem["message"] for problem in problems)
    return Problem(422, "invalid_request", detail, problems=problems)


def _unknown_word(word: str, takes: str) -> dict[str, str]:
    shown = word if word.isprintable() and len(word) <= _WORD_SHOWN_MAX else "query"
    return {"parameter": shown, "kind": "unknown", "message": f"{shown}: unknown; the query here {takes}"}


# --- what Wiro's clients send ----------------------------------------------------------------------

WiroBody = Annotated[dict[str, object], Depends(wiro_body)]
