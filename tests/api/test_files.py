"""Reading outputs: whole, in part, or not at all because the caller has them."""

import asyncio
import hashlib
import logging

import pytest
from starlette.requests import ClientDisconnect

from api.ranges import Slice, Unsatisfiable, slice_wanted
from models import retention

CONTENT = bytes(range(256)) * 2000  # more than one chunk
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
def url(hand):
    """The path of a stored picture; no key is needed for it."""
    return f"/v1/File/{hand.succeed(hand.queue(), CONTENT)}/0.png"


def test_a_file_is_read_without_a_key(anonymous, url):
    answer = anonymous.get(url)

    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert dict(answer.headers) == {
        "content-type": "image/png",
        "content-length": str(len(CONTENT)),
        "etag": ETAG,
        "cache-control": "private, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
        "accept-ranges": "bytes",
        "referrer-policy": "no-referrer",
    }


def test_its_head_is_the_same_without_the_bytes(anonymous, url):
    answer = anonymous.head(url)

    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers == anonymous.get(url).headers


@pytest.mark.parametrize("tag", [ETAG, f"W/{ETAG}", f'"other", {ETAG}', "*"])
def test_who_has_it_is_told_so(anonymous, url, tag):
    answer = anonymous.get(url, headers={"If-None-Match": tag})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == ETAG


def test_who_has_another_gets_it(anonymous, url):
    assert anonymous.get(url, headers={"If-None-Match": '"other"'}).content == CONTENT


def test_a_part_is_read_alone(anonymous, url):
    answer = anonymous.get(url, headers={"Range": "bytes=300000-300009", "If-Range": ETAG})

    assert answer.status_code == 206
    assert answer.content == CONTENT[300000:300010]
    assert answer.headers["content-range"] == f"bytes 300000-300009/{len(CONTENT)}"
    assert answer.headers["content-length"] == "10"


def test_a_part_of_another_file_is_answered_with_the_whole(anonymous, url):
    answer = anonymous.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})

    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_a_part_behind_the_end_is_refused(anonymous, url):
    answer = anonymous.get(url, headers={"Range": f"bytes={len(CONTENT)}-"})

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("change", [lambda url: url + "x", lambda url: url.replace("/key", "/yek")])
def test_name_and_key_must_both_be_right(anonymous, url, change):
    answer = anonymous.get(change(url))

    assert answer.status_code == 404
    assert answer.json()["result"] is False


@pytest.mark.parametrize("access_key", ["%00", "%ff", "a%2f..%2fb", "é", "x" * 5000])
def test_a_strange_key_opens_nothing(anonymous, access_key):
    assert anonymous.get(f"/v1/File/{access_key}/0.png").status_code == 404


def test_a_file_that_is_gone_is_not_found_and_noted(anonymous, url, app, hand, caplog):
    app.state.services.storage.delete("aa/1/1/0.png")

    with caplog.at_level(logging.ERROR):
        answer = anonymous.get(url)

    assert answer.status_code == 404
    assert [record.event for record in caplog.records] == ["file_missing"]


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-0", Slice(0, 1)),
        ("bytes=5-", Slice(5, 10)),
        ("bytes=5-100", Slice(5, 10)),
        ("bytes=-3", Slice(7, 10)),
        ("bytes=-100", Slice(0, 10)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_a_range_is_one_part_or_the_whole(header, wanted):
    assert slice_wanted(header, 10) == wanted


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=-0"])
def test_a_range_without_a_byte_cannot_be_satisfied(header):
    with pytest.raises(Unsatisfiable):
        slice_wanted(header, 10)


def test_a_file_that_was_deleted_in_time_is_said_to_be_gone(anonymous, client, hand, database):
    job = hand.queue()
    url = f"/v1/File/{hand.succeed(job, CONTENT)}/0.png"
    with database.transaction() as session:
        retention.mark_outputs_deleted(session, [job])

    answers = [anonymous.get(url), anonymous.head(url), anonymous.get(url, headers={"If-None-Match": ETAG})]

    assert [answer.status_code for answer in answers] == [410] * 3
    assert "was deleted on" in answers[0].json()["errors"][0]["message"]
    [output] = client.get(f"/api/jobs/{job}").json()["outputs"]
    assert output["deleted_at"] is not None


def test_a_reader_who_is_gone_before_the_first_byte_leaves_no_file_open(app, url, monkeypatch):
    storage, opened = app.state.services.storage, []
    really_open = storage.open

    def open_and_note(key):
        opened.append(really_open(key))
        return opened[-1]

    async def send(_message):
        raise BrokenPipeError

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    monkeypatch.setattr(type(storage), "open", lambda _storage, key: open_and_note(key))
    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.4"},
        "method": "GET",
        "path": url,
        "headers": [],
        "query_string": b"",
    }

    with pytest.raises(ClientDisconnect):
        asyncio.run(app(scope, receive, send))

    assert [file.closed for file in opened] == [True]
