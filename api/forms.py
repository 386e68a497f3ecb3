"""Requests whose bodies are `multipart/form-data`."""

from collections.abc import Iterable
from contextlib import ExitStack

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool

from api.multipart import FormReader

MULTIPART = "multipart/form-data"


async def form_fields(request: Request, files: ExitStack) -> dict[str, object] | None:
    """The fields of a multipart form; None when the body is announced as something else.

    Args:
        request: of which nothing was read yet.
        files: given what is to be closed when nobody needs it any more.

    Raises:
        BadForm: it is no such form.
    """
    boundary = _boundary(request.headers.get("content-type", ""))
    if boundary is None:
        return None
    reader = FormReader(boundary)
    files.callback(reader.close)
    async for piece in request.stream():
        await run_in_threadpool(reader.feed, piece)
    return by_name(reader.finish())


def by_name(fields: Iterable[tuple[str, object]]) -> dict[str, object]:
    """The fields by name; what has a name in common becomes a list."""
    values: dict[str, list[object]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return {name: sent if len(sent) > 1 else sent[0] for name, sent in values.items()}


def _boundary(content_type: str) -> bytes | None:
    """What stands between the parts of a form; None when none is announced."""
    if essence_of(content_type) != MULTIPART:
        return None
    return parse_options_header(content_type)[1].get(b"boundary") or None


def essence_of(content_type: str) -> str:
    """The type without its parameters, in small letters."""
    return content_type.partition(";")[0].strip().lower()
