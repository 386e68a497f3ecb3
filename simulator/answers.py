"""The answers every dialect gives: JSON, refusals, rubbish, and far too much."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

HUGE_BYTES = 100 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


Document = dict[str, Any]
"""A JSON object."""


class Refused(Exception):
    """A request gets this answer, and nothing else happens."""

    def __init__(self, answer: Response) -> None:
        super().__init__("refused")
        self.answer = answer


def answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return JSONResponse(document, status, headers)


def root_of(request: Request) -> str:
    """Where the client thinks we are, without a trailing slash."""
    return f"{request.url.scheme}://{request.url.netloc}"


def rubbish(variant: str, good: Response) -> Response:
    """What a broken vendor might have sent instead of `good`."""
    body = bytes(good.body)
    match variant:
        case "truncated":
            return Response(body[: len(body) // 2], good.status_code, media_type="application/json")
        case "empty":
            return Response(b"", good.status_code, media_type="application/json")
        case "null":
            return Response(b"null", good.status_code, media_type="application/json")
        case "list":
            return Response(b'[1, "two", {}]', good.status_code, media_type="application/json")
        case "text":
            return Response("upstream connect error", good.status_code, media_type="text/plain")
        case _:
            page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"
            return Response(page, good.status_code, media_type="text/html")


def huge(beginning: bytes, media_type: str) -> Response:
    """A hundred megabytes, made while they are sent."""
    return StreamingResponse(_padded(beginning), media_type=media_type)


async def _padded(beginning: bytes) -> AsyncIterator[bytes]:
    yield beginning
    chunk = b"a" * _CHUNK_BYTES
    for _ in range(HUGE_BYTES // _CHUNK_BYTES):
        yield chunk
