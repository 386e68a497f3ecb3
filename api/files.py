"""Files by their addresses: `GET /v1/File/{access key}/{name}`, as at Wiro.

Pictures of jobs, pictures that came along with jobs, and what projects have uploaded.
No key is asked for: the address is unguessable, and whoever has it may read.  A file
never changes under its address, so browsers and proxies may keep it.  What is no picture is
for saving, not for showing: nobody's page or script is run as one of ours.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import BinaryIO
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from api.content_types import is_shown
from api.dependencies import Services, ServicesOf
from api.errors import WiroRefusal
from api.ranges import Slice, Unsatisfiable, is_same, slice_wanted
from models import files, queries
from models.file import File
from models.output import Output
from storage import NotFound

CHUNK_BYTES = 256 * 1024

router = APIRouter(prefix="/v1/File", tags=["Files"])
logger = logging.getLogger("darkroom.api")

_PICTURE = {"content": {"image/png": {}, "image/jpeg": {}}, "description": "The file."}


@router.get("/{access_key}/{name}", summary="Read a file", response_class=Response, responses={200: _PICTURE})
@router.head("/{access_key}/{name}", include_in_schema=False)
def read(access_key: str, name: str, request: Request, services: ServicesOf) -> Response:
    """The bytes of a file; takes `If-None-Match` and a `Range`."""
    stored = _stored(services, access_key, name)
    headers = _headers(stored)
    if is_same(headers["ETag"], request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    # A part of another file is of no use to who has the rest of this one.
    is_of_this = request.headers.get("if-range", headers["ETag"]) == headers["ETag"]
    try:
        part = slice_wanted(request.headers.get("range") if is_of_this else None, stored.size_bytes)
    except Unsatisfiable:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{stored.size_bytes}"})
    if part is None:
        status, part = 200, Slice(0, stored.size_bytes)
    else:
        status = 206
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{stored.size_bytes}"
    headers["Content-Length"] = str(part.end - part.start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=stored.content_type)
    return _FileAnswer(_open(services, stored), part, status, headers, stored.content_type)


def _stored(services: Services, access_key: str, name: str) -> Output | File:
    """The file of this address.

    Raises:
        WiroRefusal: 404, there is none; 410, there was one.
    """
    # Our keys are letters and digits; not everything else could be looked for.
    if access_key.isascii() and access_key.isalnum():
        with services.database.transaction() as session:
            stored = _called(session, access_key)
        if stored is not None and stored.name == name:
            return _unless_deleted(stored)
    raise _no_file()


def _called(session: Session, access_key: str) -> Output | File | None:
    return queries.output_by_access_key(session, access_key) or files.by_access_key(session, access_key)


def _unless_deleted(stored: Output | File) -> Output | File:
    if stored.deleted_at is None:
        return stored
    since = f"{stored.deleted_at:%Y-%m-%d}"
    raise WiroRefusal((1, f"The file was deleted on {since}."), status=410)


def _headers(stored: Output | File) -> dict[str, str]:
    headers = {
        "ETag": f'"{stored.sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",  # the address is the permission: nobody is told where it was read
        "Accept-Ranges": "bytes",
    }
    if not is_shown(stored.content_type):
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(stored.name)}"
        headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return headers


def _open(services: Services, stored: Output | File) -> BinaryIO:
    """Opened before the answer begins, so that a file that is gone can still be said to be."""
    try:
        return services.storage.open(stored.storage_key or "")
    except NotFound as exc:
        extra = {"event": "file_missing", "record": type(stored).__name__.lower(), "number": stored.id}
        logger.exception("A recorded file is not in storage.", extra=extra)
        raise _no_file() from exc


class _FileAnswer(StreamingResponse):
    """A part of a file; closed in the end, also when the caller is gone before the first byte."""

    def __init__(
        self, file: BinaryIO, part: Slice, status: int, headers: Mapping[str, str], content_type: str
    ) -> None:
        super().__init__(_chunks(file, part), status, headers, media_type=content_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _chunks(file: BinaryIO, part: Slice) -> Iterator[bytes]:
    file.seek(part.start)
    left_bytes = part.end - part.start
    while left_bytes > 0 and (chunk := file.read(min(CHUNK_BYTES, left_bytes))):
        left_bytes -= len(chunk)
        yield chunk


def _no_file() -> WiroRefusal:
    return WiroRefusal((1, "There is no such file."), status=404)
