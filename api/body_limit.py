"""How long a request may be."""

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX_BYTES = 64 * 1024 * 1024
"""Two of the largest pictures in base64, or a dozen usual ones.  No more: a body is held in memory."""

UPLOAD_MAX_BYTES = 101 * 1024 * 1024
"""The largest file that is taken, and the form around it.  It goes to the disk as it arrives."""

UPLOAD_PATHS = frozenset({"/v1/File/Upload", "/api/files"})


class BodyLimit:
    """Refuses with 413 bodies longer than is taken where they are sent to, said so or sent so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A declared length is kept to by the server; only chunks have to be counted.
        received_bytes = _declared_bytes(scope)
        most_bytes = UPLOAD_MAX_BYTES if scope["path"] in UPLOAD_PATHS else BODY_MAX_BYTES
        is_declared = received_bytes > 0

        async def counted() -> Message:
            nonlocal received_bytes
            # Raised where the body is read, so that the error is told in the caller's dialect.
            _refuse_beyond(most_bytes, received_bytes)
            message = await receive()
            if not is_declared:
                received_bytes += len(message.get("body", b""))
                _refuse_beyond(most_bytes, received_bytes)
            return message

        await self._app(scope, counted, send)


def _declared_bytes(scope: Scope) -> int:
    """The Content-Length; 0 when there is none."""
    declared = dict(scope["headers"]).get(b"content-length", b"")
    return int(declared) if declared.isdigit() else 0


def _refuse_beyond(most_bytes: int, received_bytes: int) -> None:
    if received_bytes > most_bytes:
        raise HTTPException(413, f"A request takes {most_bytes // 1024**2} MiB at most.")
