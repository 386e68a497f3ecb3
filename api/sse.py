"""Events of a stream, as the browsers' standard has them, and the answer that carries one.

https://html.spec.whatwg.org/multipage/server-sent-events.html (read 2026-11).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi.responses import StreamingResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.listeners import Listeners

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE = ": keep-alive\n\n"
"""A comment: it is no event, and shows both ends and every proxy between them that the other is there."""

KEEP_ALIVE_S = 15.0

_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx would collect events until a page is full
    "Vary": "Accept",
}

Told = TypeVar("Told")


def is_wanted(accept: str | None) -> bool:
    """Whether a caller asks for a stream: named before JSON, if that is named too."""
    named = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    return next((name for name in named if name in {MEDIA_TYPE, "application/json"}), None) == MEDIA_TYPE


def event(kind: str, document: str, number: int | None = None) -> str:
    """One event.

    Args:
        kind: its name.
        document: JSON in one line.
        number: from where to go on when the stream breaks off behind it; None for what is not in the ledger.
    """
    numbered = "" if number is None else f"id: {number}\n"
    return f"{numbered}event: {kind}\ndata: {document}\n\n"


async def or_silence(told: AsyncIterator[Told], silence_s: float) -> AsyncIterator[Told | None]:
    """What is told, and None whenever nothing was for so many seconds.

    Args:
        told: loses nothing when it is not waited for any longer.
        silence_s: how long.
    """
    while True:
        try:
            async with asyncio.timeout(silence_s):
                one = await anext(told)
        except TimeoutError:
            yield None
        except StopAsyncIteration:
            return
        else:
            yield one


class EventStream(StreamingResponse):
    """Events as they come, as long as the caller listens; where all places are taken, another answer."""

    def __init__(self, events: AsyncIterator[str], listeners: Listeners, otherwise: Response) -> None:
        super().__init__(events, headers=_HEADERS, media_type=MEDIA_TYPE)
        self._listeners = listeners
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        # Here and not where it is made: what is made may never be sent, and its place would be lost.
        with self._listeners.place() as has_place:
            answer = super().__call__ if has_place else self._otherwise
            await answer(scope, receive, send)
