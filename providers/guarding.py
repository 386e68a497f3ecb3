"""The last look before money is spent.

Between the decision to buy and the request's bytes lie a name to look up, a connection,
a handshake: seconds, in which whoever buys may lose the right to.  So the right is looked
at again when the connection stands, and before each piece of the body.  A request whose
last piece never goes is none: its JSON is not closed, its multipart body has no end.
"""

from collections.abc import Iterator

import httpx

from providers.base import MaySend

PIECE_BYTES = 16 * 1024
"""What is written at a time: so much may still leave after the last look, and the kernel takes it at once."""

_HEADERS_NEXT = "http11.send_request_headers.started"
"""What httpcore says when the connection stands and nothing has been written."""


def guarded(request: httpx.Request, may_send: MaySend) -> httpx.Request:
    """The request, which asks `may_send` before anything of it is written; what that raises comes out."""

    def look(moment: str, _details: object) -> None:
        if moment == _HEADERS_NEXT:
            may_send()

    request.extensions = {**request.extensions, "trace": look}
    if isinstance(request.stream, httpx.SyncByteStream):
        request.stream = _Guarded(request.stream, may_send)
    return request


class _Guarded(httpx.SyncByteStream):
    """A body in small pieces, with a look before each."""

    def __init__(self, body: httpx.SyncByteStream, may_send: MaySend) -> None:
        self._body = body
        self._may_send = may_send

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""
        for chunk in self._body:
            for start in range(0, len(chunk), PIECE_BYTES):
                self._may_send()
                yield chunk[start : start + PIECE_BYTES]

    def close(self) -> None:
        """Nothing more is read."""
        self._body.close()
