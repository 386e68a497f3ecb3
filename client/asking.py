"""One server and one project, asked with a key, with patience, and twice only where that is harmless."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlsplit

import httpx

from client.errors import Answered, DarkroomError, NotDarkroom
from client.refusals import address_of, may_ask_again, pause_s, refusal, unreachable
from client.requests import Request
from client.wire import Opened, Wire, now_s

_Document = TypeVar("_Document")

USER_AGENT = "darkroom-client"
CONNECT_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where a Darkroom is, and as whom it is asked.

    Attributes:
        url: `http://host:port`, without a slash at its end.
        headers: what proves the project.
        timeout_s: how long an answer may keep us waiting for its next byte.
    """

    url: str
    headers: dict[str, str] = field(repr=False)
    timeout_s: float


def server_at(url: str, api_key: str | None, api_secret: str | None, timeout_s: float) -> Server:
    """The server of this address.

    Args:
        url: `http://host:port`, or a folder there.
        api_key: of a project; None asks as nobody.
        api_secret: of the same; None for a project whose key is its whole proof.
        timeout_s: how long an answer may keep us waiting for its next byte.

    Raises:
        ValueError: something of it cannot be used; the text holds neither key nor secret.
    """
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError("the address of a Darkroom is http://HOST:PORT or https://HOST")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the address of a Darkroom has no user name, query or fragment in it")
    for name, value in (("api_key", api_key), ("api_secret", api_secret)):
        # Refused here, where its name can be said: the error of a header that cannot be sent quotes it.
        if value is not None and not (
            value and value.isascii() and value.isprintable() and value.strip() == value
        ):
            raise ValueError(f"{name} is no key: it is empty, or has characters that cannot be sent")
    return Server(url.rstrip("/"), _proof(api_key, api_secret), timeout_s)


def _proof(api_key: str | None, api_secret: str | None) -> dict[str, str]:
    if api_key is None:
        if api_secret is not None:
            raise ValueError("api_secret goes with an api_key")
        return {}
    if api_secret is None:
        return {"x-api-key": api_key}
    return {"Authorization": f"Bearer {api_key}:{api_secret}"}


class Patience:
    """How long one wish has been waited for."""

    def __init__(self, wire: Wire, most_s: float) -> None:
        """It begins now.

        Args:
            wire: what waits.
            most_s: how long in all.
        """
        self._wire = wire
        self._most_s = most_s
        self.begin()

    def begin(self) -> None:
        """Something has come: what was waited until now is forgotten."""
        self._tried, self._paused_s, self._began_s = 0, 0.0, now_s()

    async def bear(self, trouble: DarkroomError, *, may_repeat: bool) -> None:
        """Wait until it is worth trying again.

        Args:
            trouble: what came of the last try.
            may_repeat: whether the request may be acted upon twice.

        Raises:
            DarkroomError: the trouble itself, when trying again is no use, not safe, or too late.
        """
        self._tried += 1
        wanted_s = trouble.retry_after_s if isinstance(trouble, Answered) else None
        left_s = self._most_s - max(self._paused_s, now_s() - self._began_s)
        if left_s <= 0 or (wanted_s or 0.0) > left_s or not may_ask_again(trouble, may_repeat=may_repeat):
            raise trouble
        pause = pause_s(self._tried, wanted_s, random.random)
        # Counted beside the clock: who brings a sleep of their own may not move the clock.
        self._paused_s += pause
        await self._wire.pause(pause)


@dataclass(frozen=True, slots=True)
class Asker:
    """Sends requests over a wire, and reads what comes of them.

    Attributes:
        server: which.
        wire: what carries the requests.
        patience_s: how long to go on asking a server that is away or busy, where asking again is harmless.
    """

    server: Server
    wire: Wire
    patience_s: float

    def with_patience(self, patience_s: float) -> Self:
        """The same, over the same connections."""
        return replace(self, patience_s=patience_s)

    async def document(self, request: Request, kind: type[_Document]) -> _Document:  # noqa: ARG002 - a type
        """What the server answers.

        Args:
            request: what to send.
            kind: what is answered; that it is an object is looked at, its members are taken for granted.

        Raises:
            DarkroomError: it does not answer, or says no.
        """
        return cast("_Document", await self._object(request))

    async def member(self, request: Request, name: str) -> Any:  # noqa: ANN401 - JSON; each caller says which
        """The one member of what the server answers that matters.

        Raises:
            DarkroomError: it does not answer, or says no.
        """
        return (await self._object(request, name))[name]

    async def page(self, request: Request, name: str) -> tuple[list[Any], str | None]:
        """A page of a list, and what asks for the next one.

        Raises:
            DarkroomError: it does not answer, or says no.
        """
        told = await self._object(request, name, "next_cursor")
        return told[name], told["next_cursor"]

    async def _object(self, request: Request, *members: str) -> dict[str, Any]:
        response = await self.response(request)
        try:
            told = response.json()
        except ValueError:
            told = None
        if not isinstance(told, dict) or not told.keys() >= set(members):
            raise NotDarkroom(address_of(response), response.status_code, is_temporary=False)
        return told

    async def response(self, request: Request) -> httpx.Response:
        """The successful answer, read to its end.

        Raises:
            DarkroomError: there is none.
        """
        patience = Patience(self.wire, self.patience_s)
        while True:
            try:
                return await self._response(request)
            except DarkroomError as trouble:
                await patience.bear(trouble, may_repeat=request.may_repeat)

    @asynccontextmanager
    async def open(self, request: Request, quiet_s: float) -> AsyncGenerator[Opened]:
        """The successful answer, as it comes; asked for once.

        Args:
            request: what to send.
            quiet_s: how long the answer may keep us waiting for its next byte.

        Raises:
            DarkroomError: there is none, or it breaks off.
        """
        async with self._opened(self._built(request, quiet_s), elsewhere=False) as opened:
            yield opened

    @asynccontextmanager
    async def open_address(self, url: str, headers: dict[str, str]) -> AsyncGenerator[Opened]:
        """What lies at an address, wherever that is; asked for once, and without the key.

        Raises:
            DarkroomError: nothing, or it breaks off.
        """
        whole = httpx.URL(f"{self.server.url}/").join(url)
        request = self._request("GET", whole, self.server.timeout_s, headers=headers)
        async with self._opened(request, elsewhere=True) as opened:
            yield opened

    async def _response(self, request: Request) -> httpx.Response:
        try:
            response = await self.wire.send(self._built(request, self.server.timeout_s))
        except httpx.RequestError as exc:
            raise unreachable(self.server.url, exc) from exc
        if not response.is_success:
            raise refusal(response, datetime.now(UTC))
        return response

    @asynccontextmanager
    async def _opened(self, request: httpx.Request, *, elsewhere: bool) -> AsyncGenerator[Opened]:
        try:
            async with self.wire.open(request, elsewhere=elsewhere) as opened:
                if not opened.response.is_success:
                    raise refusal(opened.response, datetime.now(UTC))
                yield opened
        except httpx.RequestError as exc:
            raise unreachable(str(request.url.copy_with(query=None)), exc) from exc

    def _built(self, request: Request, quiet_s: float) -> httpx.Request:
        headers = {**self.server.headers, **request.headers}
        url = httpx.URL(self.server.url + request.path)
        return self._request(
            request.method,
            url,
            quiet_s,
            headers=headers,
            params=request.params or None,
            json=request.json,
            content=request.content,
        )

    def _request(
        self, method: str, url: httpx.URL, quiet_s: float, *, headers: dict[str, str], **parts: Any
    ) -> httpx.Request:
        timeout = httpx.Timeout(quiet_s, connect=min(CONNECT_WITHIN_S, quiet_s))
        return httpx.Request(
            method,
            url,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", **headers},
            extensions={"timeout": timeout.as_dict()},
            **parts,
        )
