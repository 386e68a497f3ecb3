"""Bodies that never end, never come, come packed, or come from nobody: each is refused, and none is held."""

import asyncio
import json
import re

import pytest
from fastapi.routing import iter_route_contexts

from api import body_limit

MODEL = "black-forest-labs/flux-pro-1-1"
RUN = f"/v1/Run/{MODEL}"
BOTH = pytest.mark.parametrize("path", [RUN, "/api/jobs"])


class Caller:
    """Sends one request as a server would hand it on, piece by piece.

    Attributes:
        asked_for: pieces of its body that somebody wanted to have.
    """

    def __init__(self, app, path, *pieces, key="our-key", headers=(), method="POST"):
        self.asked_for = 0
        self.status, self.headers, self._body = 0, {}, b""
        self._app = app
        self._pieces = list(pieces)
        sent = {"x-api-key": key, "content-type": "application/json", **dict(headers)}
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": "http",
            "root_path": "",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }

    def send(self):
        asyncio.run(self._app(self._scope, self._receive, self._answered))
        return self

    @property
    def json(self):
        return json.loads(self._body)

    async def _receive(self):
        self.asked_for += 1
        if not self._pieces:
            await asyncio.Event().wait()
        body = self._pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self._pieces) or body != b""}

    async def _answered(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self._body += message.get("body", b"")


def doors_that_take_something(app):
    return sorted(
        (context.path, method)
        for context in iter_route_contexts(app.routes)
        for method in {"POST", "PATCH", "PUT"} & set(getattr(context, "methods", None) or ())
    )


def test_nobody_without_a_key_is_listened_to(app):
    """Else sixty-four megabytes from anybody would be held, as often as he likes."""
    heard = []
    for path, method in doors_that_take_something(app):
        named = path.replace("{uuid}", "01890000-0000-7000-8000-000000000000")
        caller = Caller(app, re.sub(r"\{\w+\}", "1", named), b"{", key="nobody's", method=method).send()
        if caller.status != 401 or caller.asked_for:
            heard.append((path, caller.status, caller.asked_for))

    assert heard == []


@BOTH
def test_a_body_that_stops_coming_is_given_up(app, project, path, monkeypatch):
    monkeypatch.setattr(body_limit, "PIECE_WITHIN_S", 0.05)

    caller = Caller(app, path, b'{"prompt": ').send()

    assert caller.status == 408
    assert caller.headers["connection"] == "close"


@BOTH
def test_a_body_that_comes_by_the_byte_is_given_up(app, project, path, monkeypatch):
    monkeypatch.setattr(body_limit, "BODY_WITHIN_S", 0.0)

    caller = Caller(app, path, *[b" "] * 1000).send()

    assert caller.status == 408


@BOTH
def test_a_length_that_is_a_lie_is_counted_all_the_same(app, project, path, monkeypatch):
    """A declared length beside chunks does not bound the chunks."""
    monkeypatch.setattr(body_limit, "BODY_MAX_BYTES", 1000)

    caller = Caller(app, path, *[b" " * 100] * 100, headers={"content-length": "5"}).send()

    assert caller.status == 413
    assert caller.asked_for == 11


@BOTH
def test_a_length_of_thousands_of_digits_is_no_failure_of_ours(app, project, path):
    caller = Caller(app, path, b"{}", b"", headers={"content-length": "9" * 5000}).send()

    assert caller.status < 500


@BOTH
def test_a_packed_body_is_refused_before_it_is_read(app, project, path):
    caller = Caller(app, path, b"\x1f\x8b", b"", headers={"content-encoding": "gzip"}).send()

    assert (caller.status, caller.asked_for) == (415, 0)
    assert "without Content-Encoding" in json.dumps(caller.json)


@pytest.mark.parametrize("path", ["/v1/Task/Detail", "/api/jobs/cancel", "/api/campaigns"])
def test_a_door_that_takes_no_pictures_takes_a_megabyte(app, project, path):
    caller = Caller(app, path, headers={"content-length": "1048577"}).send()

    assert (caller.status, caller.asked_for) == (413, 0)


@BOTH
def test_more_than_is_held_at_once_is_refused_and_forgotten(app, project, path, monkeypatch):
    monkeypatch.setattr(body_limit, "HELD_MAX_BYTES", 1000)

    refused = Caller(app, path, b" " * 1001, b"").send()
    next_one = Caller(app, path, b"{}", b"").send()

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert next_one.status in {200, 422}
