"""The last raw requests, with their keys masked: what tests look at to see what was really sent."""

import itertools
import json
import re
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MOST_KEPT = 1_000
_MOST_TEXT = 64 * 1024
_MOST_BODY_BYTES = 128 * 1024 * 1024
_SECRET_HEADERS = {"authorization", "x-key", "x-api-key", "x-signature", "cookie"}
_SECRET_IN_BODY = re.compile(r'("(?:apiKey|webhook_secret)"\s*:\s*")[^"]*')
_MASK = "***"


class Journal:
    """Middleware that reads each request whole, keeps it, and gives the answer a number of its own.

    Args:
        vendors: who is meant by the first part of a path.
    """

    def __init__(self, vendors: Mapping[str, str]) -> None:
        self._vendors = vendors
        self._kept: deque[dict[str, Any]] = deque(maxlen=_MOST_KEPT)
        self._numbers = itertools.count(1)

    def requests(self, vendor: str | None) -> list[dict[str, Any]]:
        """The last requests, oldest first."""
        return [one for one in self._kept if vendor in {None, one["vendor"]}]

    def forget(self) -> None:
        """Keep nothing of what was."""
        self._kept.clear()

    def around(self, inner: ASGIApp) -> ASGIApp:
        """An application that writes down what `inner` is asked."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            first = scope["path"].split("/", 2)[1] if scope["type"] == "http" else ""
            vendor = self._vendors.get(first)
            if vendor is None:
                await inner(scope, receive, send)
                return
            body = await _whole(receive)
            if body is None:
                await PlainTextResponse("Payload Too Large", 413)(scope, receive, send)
                return
            number = f"sim-{next(self._numbers)}"
            self._kept.append(_described(vendor, number, Request(scope), body))
            await inner(scope, _replayed(body, receive), _numbered(number, send))

        return app


async def _whole(receive: Receive) -> bytes | None:
    """The body; None if it is larger than anybody sends."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > _MOST_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _numbered(number: str, send: Send) -> Send:
    async def numbered(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-request-id", number.encode())]
        await send(message)

    return numbered


def _described(vendor: str, number: str, request: Request, body: bytes) -> dict[str, Any]:
    text = _SECRET_IN_BODY.sub(rf"\1{_MASK}", body[:_MOST_TEXT].decode(errors="replace"))
    return {
        "request_id": number,
        "at": time.time(),
        "vendor": vendor,
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "headers": {
            name: _MASK if name in _SECRET_HEADERS else value for name, value in request.headers.items()
        },
        "body": text,
        "json": _parsed(text) if len(body) <= _MOST_TEXT else None,
        "size_bytes": len(body),
    }


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
