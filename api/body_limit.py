"""How long a body may be, and how long it may take.

A body is held in memory until it is read, so both have an end.  Refusals are raised where
the body is read: then they are told in the caller's dialect, and only to whom the door
has let in.
"""

import asyncio
import re

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALL_MAX_BYTES = 1024 * 1024
"""Where things are named or set.  A thousand names are a tenth of it."""

BODY_MAX_BYTES = 64 * 1024 * 1024
"""Where pictures come along: two of the largest in base64, or a dozen usual ones."""

UPLOAD_MAX_BYTES = 101 * 1024 * 1024
"""The largest file that is taken, and the form around it.  It goes to the disk as it arrives."""

HELD_MAX_BYTES = 512 * 1024 * 1024
"""Of all bodies together that are in memory: who may send one may send many at once."""

PIECE_WITHIN_S = 20.0
BODY_WITHIN_S = 300.0
"""An upload at two megabits a second; who sends a byte now and then holds his place no longer."""

PICTURE_PATHS = re.compile(r"/v1/Run/.+|/api/jobs|/api/campaigns/[^/]+/jobs")
UPLOAD_PATHS = frozenset({"/v1/File/Upload", "/api/files"})


class BodyLimit:
    """Refuses bodies that are too long (413), too slow (408), packed (415), or too many at once (503)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        most_bytes = _most_bytes(scope["path"])
        is_held = scope["path"] not in UPLOAD_PATHS
        received_bytes, is_whole = 0, False
        until = asyncio.get_running_loop().time() + BODY_WITHIN_S

        async def watched() -> Message:
            nonlocal received_bytes, is_whole
            if is_whole:  # from here on it is waited for the caller's going away
                return await receive()
            if received_bytes == 0:
                _refuse_unreadable(headers, most_bytes)
            message = await _within(receive, until)
            piece_bytes = len(message.get("body", b""))
            received_bytes += piece_bytes
            self._held_bytes += piece_bytes if is_held else 0
            _refuse_longer(received_bytes, most_bytes)
            if self._held_bytes > HELD_MAX_BYTES:
                raise HTTPException(503, "Too much is being sent at once; try again.", {"Retry-After": "1"})
            is_whole = not message.get("more_body", False)
            return message

        try:
            await self._app(scope, watched, send)
        finally:
            self._held_bytes -= received_bytes if is_held else 0


def _most_bytes(path: str) -> int:
    if path in UPLOAD_PATHS:
        return UPLOAD_MAX_BYTES
    return BODY_MAX_BYTES if PICTURE_PATHS.fullmatch(path) else SMALL_MAX_BYTES


def _refuse_unreadable(headers: dict[bytes, bytes], most_bytes: int) -> None:
    """Before a byte of it is read."""
    packed = headers.get(b"content-encoding", b"identity").strip().lower()
    if packed not in {b"", b"identity"}:
        raise HTTPException(415, "Bodies are taken as they are: send it without Content-Encoding.")
    declared = headers.get(b"content-length", b"")
    _refuse_longer(int(declared) if declared.isdigit() and len(declared) < 20 else 0, most_bytes)


def _refuse_longer(size_bytes: int, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise HTTPException(413, f"A request takes {most_bytes // 1024**2} MiB at most.")


async def _within(receive: Receive, until: float) -> Message:
    """The next piece, if it comes in time."""
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(min(PIECE_WITHIN_S, until - now)):
            return await receive()
    except TimeoutError as exc:
        raise HTTPException(408, "The body did not come in time.", {"Connection": "close"}) from exc
