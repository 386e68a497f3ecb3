"""How requests travel: the one place where a program that waits and one that awaits differ.

Everything above is written once, as coroutines over a `Wire`.  Over an `AsyncWire` they are awaited.
Over a `SyncWire` nothing ever suspends: the first step of a coroutine is its last, and `finish` takes it.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx

STREAMS_MAX = 400
"""Event streams at a time: most of the connections, and some are left that requests always find."""

CONNECTIONS = httpx.Limits(
    max_connections=STREAMS_MAX + 100,
    max_keepalive_connections=20,
    # Shorter than the server's five seconds: a request must not meet a connection that is just being closed.
    keepalive_expiry=3.0,
)

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose body is still on its way."""

    response: httpx.Response
    blocks: AsyncIterator[bytes]


class Wire(Protocol):
    """What carries requests."""

    streams: threading.Semaphore
    """Taken by who keeps a connection for long; never waited for."""

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, read to its end.  Raises httpx's errors."""

    def open(self, request: httpx.Request, *, elsewhere: bool) -> AbstractAsyncContextManager[Opened]:
        """The answer, as it comes; one that is not the wanted one is read to its end.  Raises httpx's errors.

        Args:
            request: what to send.
            elsewhere: whether to go where the answer points; only for what has no key in it.
        """

    async def pause(self, seconds: float) -> None:
        """Wait."""

    async def aside(self, work: Callable[[], _Value]) -> _Value:
        """Do what blocks, such as writing a file, without holding up anybody."""

    async def close(self) -> None:
        """Close all connections."""


class SyncWire:
    """Blocks; its coroutines never suspend."""

    def __init__(self, http: httpx.Client, sleep: Callable[[float], None]) -> None:
        self.streams = threading.Semaphore(STREAMS_MAX)
        self._http = http
        self._sleep = sleep

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, read to its end."""
        return self._http.send(request)

    @asynccontextmanager
    async def open(self, request: httpx.Request, *, elsewhere: bool) -> AsyncGenerator[Opened]:
        """The answer, as it comes."""
        response = self._http.send(request, stream=True, follow_redirects=elsewhere)
        try:
            if not response.is_success:
                response.read()
            yield Opened(response, _one_by_one(response.iter_bytes()))
        finally:
            response.close()

    async def pause(self, seconds: float) -> None:
        """Sleep."""
        self._sleep(seconds)

    async def aside(self, work: Callable[[], _Value]) -> _Value:
        """Do it here: there is nobody to hold up."""
        return work()

    async def close(self) -> None:
        """Close all connections."""
        self._http.close()


class AsyncWire:
    """Awaits, on asyncio."""

    def __init__(self, http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.streams = threading.Semaphore(STREAMS_MAX)
        self._http = http
        self._sleep = sleep

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, read to its end."""
        return await self._http.send(request)

    @asynccontextmanager
    async def open(self, request: httpx.Request, *, elsewhere: bool) -> AsyncGenerator[Opened]:
        """The answer, as it comes."""
        response = await self._http.send(request, stream=True, follow_redirects=elsewhere)
        try:
            if not response.is_success:
                await response.aread()
            yield Opened(response, response.aiter_bytes())
        finally:
            await response.aclose()

    async def pause(self, seconds: float) -> None:
        """Sleep."""
        await self._sleep(seconds)

    async def aside(self, work: Callable[[], _Value]) -> _Value:
        """Do it in a thread."""
        return await asyncio.to_thread(work)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


def finish(work: Coroutine[Any, Any, _Value]) -> _Value:
    """What a coroutine over a `SyncWire` returns."""
    try:
        work.send(None)
    except StopIteration as done:
        value: _Value = done.value
        return value
    work.close()
    raise AssertionError("a coroutine over a SyncWire suspended")


def stepped(values: AsyncGenerator[_Value]) -> Iterator[_Value]:
    """What an asynchronous generator over a `SyncWire` yields."""
    try:
        while True:
            try:
                value = finish(_next_of(values))
            except StopAsyncIteration:
                return
            yield value
    finally:
        finish(values.aclose())


async def _next_of(values: AsyncGenerator[_Value]) -> _Value:
    return await anext(values)


async def _one_by_one(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


now_s = time.monotonic


def trusts_proxies(url: str) -> bool:
    """Whether a proxy of the environment may be asked: asked for this machine, it would look at its own."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
