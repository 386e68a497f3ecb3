"""How a connection is let down: closed without an answer, or in the middle of one.

An ASGI application cannot close its connection, so the protocol hands it the
transport.  Where there is none, as under an in-process client, the fault is raised instead.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "simulator.transport"


class Protocol(H11Protocol):
    """HTTP/1.1 whose application can reach the transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as above it
        """Take the connection."""
        super().connection_made(transport)
        inner: Callable[..., Awaitable[None]] = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - uvicorn's own types
            scope.setdefault("extensions", {})[_TRANSPORT] = transport
            try:
                await inner(scope, receive, send)
            except asyncio.CancelledError:
                # The simulator stops: whoever waits for an answer gets none, as when a vendor goes down.
                transport.abort()
                await _closed(receive)

        self.app = app


class Dropped(Response):
    """No answer at all: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Let the connection down.

        Raises:
            ConnectionResetError: there is no connection, only a client in this process.
        """
        _transport(scope).abort()
        await _closed(receive)


class Cut(Response):
    """An answer that breaks off: its head promises more than comes."""

    def __init__(self, head: dict[str, str], beginning: bytes, status: int) -> None:
        super().__init__(beginning, status)
        self._head = head
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the beginning, then let the connection down.

        Raises:
            ConnectionResetError: there is no connection, only a client in this process.
        """
        transport = _transport(scope)
        headers = [(name.lower().encode(), value.encode()) for name, value in self._head.items()]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        transport.close()  # flushes the beginning, where abort() would not
        await _closed(receive)


async def has_left(receive: Receive, within_s: float) -> bool:
    """Wait; True as soon as the client closes the connection, False when the time is over."""
    try:
        async with asyncio.timeout(within_s):
            await _closed(receive)
    except TimeoutError:
        return False
    return True


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(_TRANSPORT)
    if transport is None:
        raise ConnectionResetError("the simulator dropped the connection")
    return transport


async def _closed(receive: Receive) -> None:
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()
