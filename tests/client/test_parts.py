"""The parts that decide without asking anybody: streams, pauses, signatures, the environment."""

import base64
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from client import BadSignature, Darkroom, verify_webhook
from client.errors import CannotReach, Refused
from client.refusals import may_ask_again, pause_s, retry_after_s
from client.sse import Reader
from client.wire import trusts_proxies

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()
BODY = json.dumps({"type": "job.succeeded", "data": {"prompt": "ein Schiff, ünïcödé"}}, ensure_ascii=False)


# --- event streams -----------------------------------------------------------------------------------------

STREAM = (
    ": a comment\r\n\r\nid: 1\r\nevent: task_start\r\ndata: {\r\ndata: }\r\n\r\n"
    "data:no space\n\nid: 2\n\nevent: lost\n\ndata: ünïcödé\nretry: 5\nodd\n\ndata: not whole"
).encode()
EVENTS = [("task_start", "{\n}", "1"), ("message", "no space", "1"), ("message", "ünïcödé", "2")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_a_stream_says_the_same_however_it_is_cut_up(cuts):
    edges = [0, *sorted(cuts), len(STREAM)]
    reader = Reader()

    events = [event for begin, end in pairwise(edges) for event in reader.feed(STREAM[begin:end])]

    assert [(event.kind, event.data, event.last_id) for event in events] == EVENTS


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_stream_is_too_odd_to_read(blocks):
    reader = Reader()

    for block in blocks:
        reader.feed(block)


# --- pauses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Sun, 01 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Nov 2026 11:59:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("٣", None),
    ],
)
def test_what_a_server_asks_for_is_read_as_seconds_or_as_a_date(header, seconds):
    assert retry_after_s(header, NOW) == seconds


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_pause_grows_to_two_seconds_and_is_never_none(tried, chance):
    assert 0.1 <= pause_s(tried, None, lambda: chance) <= 2.0


def test_an_answer_that_may_have_been_lost_is_asked_for_again_only_where_that_is_harmless():
    lost, never_sent = CannotReach("u", "late"), CannotReach("u", "nobody", may_have_arrived=False)

    assert [may_ask_again(lost, may_repeat=may) for may in (True, False)] == [True, False]
    assert [may_ask_again(never_sent, may_repeat=may) for may in (True, False)] == [True, True]
    assert not may_ask_again(Refused("u", 422, {}), may_repeat=True)


# --- signatures --------------------------------------------------------------------------------------------


def signed(body=BODY, secret=SECRET, at=NOW, message_id="msg_1"):
    return {
        "Webhook-Id": message_id,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign(message_id, at, body),
    }


def verified(headers, body=BODY, secret=SECRET):
    return verify_webhook(body, headers, secret, now_s=NOW.timestamp())


@pytest.mark.parametrize("body", [BODY, BODY.encode()])
def test_what_the_library_of_the_standard_signs_is_believed(body):
    assert verified(signed(), body) == json.loads(BODY)


def test_what_is_believed_here_is_believed_by_the_library_of_the_standard():
    headers = signed(at=datetime.now(UTC))

    assert verify_webhook(BODY, headers, SECRET) == Webhook(SECRET).verify(BODY, headers)


def test_one_of_several_signatures_is_enough_while_a_secret_is_changed():
    other = "whsec_" + base64.b64encode(b"another secret").decode()
    headers = signed(secret=other)
    headers["Webhook-Signature"] += " v1a,AAAA v1,!!! " + signed()["Webhook-Signature"]

    assert verified(headers)["type"] == "job.succeeded"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (signed(), BODY + " "),
        (signed() | {"Webhook-Id": "msg_2"}, BODY),
        (signed(at=NOW - timedelta(seconds=301)), BODY),
        (signed(at=NOW + timedelta(seconds=301)), BODY),
        (signed(secret="whsec_" + base64.b64encode(b"another").decode()), BODY),
        (signed() | {"Webhook-Timestamp": "now"}, BODY),
        (signed() | {"Webhook-Signature": "v1,"}, BODY),
        ({name: value for name, value in signed().items() if name != "Webhook-Signature"}, BODY),
        (signed(body="no json"), "no json"),
    ],
)
def test_anything_else_is_not_believed(headers, body):
    with pytest.raises(BadSignature) as refused:
        verified(headers, body)

    assert SECRET.removeprefix("whsec_") not in str(refused.value)


def test_a_secret_that_is_none_is_the_callers_mistake():
    with pytest.raises(ValueError, match="whsec_"):
        verified(signed(), secret="no secret!")


# --- where and who -----------------------------------------------------------------------------------------


def test_a_darkroom_comes_from_three_variables():
    made = Darkroom.from_environment(
        {"DARKROOM_API_URL": "http://here.test/", "DARKROOM_API_KEY": "k", "DARKROOM_API_SECRET": "s"}
    )

    assert made.url == "http://here.test"
    assert made._asker.server.headers == {"Authorization": "Bearer k:s"}


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({}, "DARKROOM_API_URL"),
        ({"DARKROOM_API_URL": ""}, "DARKROOM_API_URL"),
        ({"DARKROOM_API_URL": "http://here.test", "DARKROOM_API_SECRET": "s"}, "api_key"),
    ],
)
def test_a_variable_that_is_missing_is_named(environment, missing):
    with pytest.raises(ValueError, match=missing):
        Darkroom.from_environment(environment)


def test_the_environment_is_that_of_the_process(monkeypatch):
    monkeypatch.setenv("DARKROOM_API_URL", "http://there.test")

    assert Darkroom.from_environment().url == "http://there.test"


@pytest.mark.parametrize(
    ("url", "trusts"),
    [
        ("http://localhost:1", False),
        ("http://127.8.9.1", False),
        ("http://[::1]", False),
        ("https://x.test", True),
    ],
)
def test_a_proxy_is_for_the_outside(url, trusts):
    assert trusts_proxies(url) is trusts


def test_the_url_of_a_request_has_the_servers_folder():
    def answer(request):
        return httpx.Response(200, json={"models": [str(request.url)]})

    with Darkroom("http://here.test/darkroom/", transport=httpx.MockTransport(answer)) as darkroom:
        assert darkroom.models() == ["http://here.test/darkroom/api/models"]
