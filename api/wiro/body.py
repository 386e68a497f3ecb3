"""What Wiro's clients send, in whatever way they send it.

JSON, a form with files, or a urlencoded one.  Wiro's documents announce JSON as
`multipart/form-data` without a boundary, and `curl -d` announces it as urlencoded:
so what begins as a JSON object is one, whatever its Content-Type says.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api.errors import WiroRefusal
from api.forms import MULTIPART, by_name, essence_of, form_fields
from api.multipart import PARTS_MAX, BadForm
from shapes import wiro as wiro_shapes

URLENCODED = "application/x-www-form-urlencoded"

_QUICK_BYTES = 64 * 1024
"""A body up to this length is read in less time than it takes to hand it to a thread."""


async def wiro_body(request: Request) -> AsyncIterator[dict[str, object]]:
    """The fields of a body by their names; of no body, none.

    A field that was sent several times is the list of its values, in their order.
    A file is an `api.multipart.SentFile` until the request is answered.

    Raises:
        WiroRefusal: it is neither a JSON object nor a form; nothing of it was kept.
    """
    with ExitStack() as files:
        try:
            fields = await _fields(request, files)
        except BadForm as exc:
            raise _unreadable(str(exc)) from exc
        except ClientDisconnect as exc:
            raise _unreadable("The body broke off.") from exc
        yield fields


async def _fields(request: Request, files: ExitStack) -> dict[str, object]:
    fields = await form_fields(request, files)
    return await _whole_body(request) if fields is None else fields


async def _whole_body(request: Request) -> dict[str, object]:
    essence = essence_of(request.headers.get("content-type", ""))
    # Not by request.body(), which would keep it for as long as the request takes.
    sent = b"".join([piece async for piece in request.stream()])
    if len(sent) <= _QUICK_BYTES:
        return _read(sent, essence)
    return await run_in_threadpool(_read, sent, essence)


def _read(sent: bytes, essence: str) -> dict[str, object]:
    begins = sent.lstrip()[:1]
    if not begins:
        return {}
    if essence == URLENCODED and begins not in {b"{", b"["}:
        return _urlencoded(sent)
    if essence == MULTIPART and begins == b"-":
        raise BadForm(f"{MULTIPART} needs a boundary in its Content-Type: leave that header to your client.")
    return _json_object(sent)


def _urlencoded(sent: bytes) -> dict[str, object]:
    try:
        text = sent.decode()
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=PARTS_MAX)
    except UnicodeDecodeError as exc:
        raise BadForm("The form is not UTF-8.") from exc
    except ValueError as exc:
        raise BadForm(f"A form takes at most {PARTS_MAX} fields.") from exc
    return by_name(fields)


def _json_object(sent: bytes) -> dict[str, object]:
    try:
        body = json.loads(sent, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:  # ValueError: also bad UTF-8 and integers of kilometres
        raise _not_an_object() from exc
    if not isinstance(body, Mapping):
        raise _not_an_object()
    return dict(body)


def _not_an_object() -> BadForm:
    return BadForm("Send the parameters as one JSON object, or as a form.")


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _unreadable(why: str) -> WiroRefusal:
    return WiroRefusal((0, wiro_shapes.INVALID_BODY), (0, why))
