"""Whatever a vendor answers, an adapter gives a result or one of our errors, and buys nothing by mistake.

The answers are those of the tapes with something wrong with them, so that they come
close to what an adapter expects.  A vendor is in it as soon as it has a tape.
"""

import json
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.base import CancelOutcome, Done, Failed, Running
from providers.errors import AccountError, Billed, CallerError, ProviderError, SubmissionUnknown

VENDORS = sorted(path.stem for path in (Path(__file__).parent / "tapes").glob("*.json"))
STATUSES = [
    200,
    200,
    200,
    200,
    201,
    204,
    302,
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    422,
    429,
    500,
    502,
    503,
    504,
]
REQUEST_ID = "req-5b1c"

LOWEST = [None, True, False, 0, 1, -1, 10**40, 1e308, -0.0, 0.5, 1e-9, "", " ", "0", "null", "\0", "\ud800"]
WORDS = [
    "x" * 5000,
    "ü\u2028😀",
    "<b>no</b>",
    "{api_key}",
    "../..",
    "1e999999",
    "NaN",
    "data:,",
    "https://[",
    "7",
]
SHAPES = [[], {}, [[]], [None], {"a": {"b": [1]}}, [{"code": 0}], [["{api_key}"]]]
ODD = st.sampled_from([*LOWEST, *WORDS, *SHAPES])
DEEP = "[" * 5000 + "]" * 5000
NOT_JSON = [
    b"",
    b" ",
    b"null",
    b"<html>{api_key}</html>",
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b'{"id": "1", "id": [2]}',
    b"\xff\xfe\x00",
    b"\0" * 100,
    DEEP.encode(),
    b'{"id": ' + b"9" * 6000 + b"}",
    b"x" * 100_000,
]

fuzzed = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,  # a failure shall be one for everybody
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def mangled(draw, body):
    """The bytes of a JSON body in which something is wrong."""
    for _ in range(draw(st.integers(1, 4))):
        paths = list(paths_of(body))
        path = draw(st.sampled_from(paths))
        body = changed(body, path, draw(st.sampled_from(["drop", "replace", "wrap", "say"])), draw(ODD))
    sent = json.dumps(body).encode()
    match draw(st.integers(0, 9)):
        case 0:
            return sent[: draw(st.integers(0, len(sent)))]
        case 1:
            return draw(st.sampled_from(NOT_JSON))
        case 2:
            encoding = draw(st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "cp037"]))
            return sent.decode().encode(encoding)
        case _:
            return sent


def paths_of(body, path=()):
    yield path
    children = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, child in children:
        yield from paths_of(child, (*path, key))


def changed(body, path, how, odd):
    """A copy of a body with one place changed."""
    if not path:
        return {"drop": None, "replace": odd, "wrap": [body], "say": str(body)}[how]
    copy = body.copy()
    key = path[0]
    if how == "drop" and len(path) == 1:
        copy.pop(key)
    else:
        copy[key] = changed(body[key], path[1:], how, odd)
    return copy


def bodies(tape, is_purchase):
    """The JSON bodies that a tape answers purchases, or questions, with."""
    for scenario in tape["scenarios"].values():
        has_bought = "remote_id" in scenario.get("expects", {})  # adopted
        for exchange in scenario["exchanges"]:
            if "json" in exchange["response"] and (not has_bought) == is_purchase:
                yield exchange["response"]["json"]
            has_bought = True


class Vendor:
    """A vendor that answers whatever it is given to answer.

    Attributes:
        accepts: what its tape answers a purchase with.
    """

    def __init__(self, tape, request, start, clock):
        self.purchases = list(bodies(tape, is_purchase=True))
        self.questions = list(bodies(tape, is_purchase=False))
        exchanges = tape["scenarios"]["success"]["exchanges"]
        said = [exchange["response"]["json"] for exchange in exchanges if "json" in exchange["response"]]
        self.accepts, self.finishes = said[0], said[-1]
        self.request = request
        self.clock = clock
        self._start = start

    def answering(self, *answers):
        """The provider whose vendor gives one answer after the other, and then the last one for ever."""
        given = iter(answers)
        last = None

        def answer(request):
            nonlocal last
            last = next(given, last)
            status, body = last
            headers = {"x-request-id": REQUEST_ID, "content-type": "application/json"}
            return httpx.Response(status, headers=headers, content=with_key(body))

        return self._start(answer)

    def ticket(self):
        return self.answering((200, json.dumps(self.accepts).encode())).submit(self.request)


@pytest.fixture(params=VENDORS)
def vendor(request, on_air, buys, tape_of, clock):
    """Each vendor that has a tape."""
    name = request.param
    return Vendor(tape_of(name), buys(name), lambda answer: on_air(name, answer), clock)


def with_key(body):
    """A body in which the vendor repeats our key."""
    return body.replace(b"{api_key}", b"key-8c1f0b7a52d94e63")


def an_answer(data, samples):
    body = data.draw(mangled(data.draw(st.sampled_from(samples))))
    return data.draw(st.sampled_from(STATUSES)), body


def answer_or_error(ask):
    """What comes of asking, an error of ours included; any other error fails the test."""
    try:
        return ask()
    except ProviderError as exc:
        return exc


def assert_error(error, no_key_in):
    assert 0 < len(error.message) <= 500
    assert error.request_id
    assert len(error.request_id) <= 200
    assert_storable(error.message, error.request_id)
    no_key_in(error)


def assert_storable(*texts):
    for text in texts:
        assert "\0" not in text
        assert text.encode()  # no half of a surrogate pair


def assert_running(state):
    assert 0 < state.poll_after_s <= 60
    assert state.progress is None or 0 <= state.progress <= 1
    assert state.log is None or len(state.log) <= 500
    assert_storable(state.log or "-")


def assert_done(state):
    assert state.outputs
    assert state.cost_usd is None or state.cost_usd > 0
    for output in state.outputs:
        assert_storable(output.locator, output.content_type or "-")
        assert output.seed is None or (type(output.seed) is int and abs(output.seed) < 2**80)


def assert_cost(cost):
    assert cost is None or (isinstance(cost, Decimal) and cost.is_finite() and 0 <= cost < 1_000_000)


@given(data=st.data())
@fuzzed
def test_any_answer_to_a_purchase_is_a_ticket_or_an_error(vendor, data, no_key_in):
    provider = vendor.answering(an_answer(data, vendor.purchases))

    came = answer_or_error(lambda: provider.submit(vendor.request))

    if isinstance(came, ProviderError):
        assert_error(came, no_key_in)
    else:
        written = json.dumps(came)
        assert len(written) < 20_000
        assert_storable(*json.loads(written))
        no_key_in(written)


@given(data=st.data())
@fuzzed
def test_an_odd_acceptance_is_never_bought_again(vendor, data):
    provider = vendor.answering((200, data.draw(mangled(vendor.accepts))))

    came = answer_or_error(lambda: provider.submit(vendor.request))

    if isinstance(came, ProviderError):
        assert isinstance(came, SubmissionUnknown | CallerError | AccountError)
        assert not (came.retryable and came.billed is Billed.NO)


@given(data=st.data())
@fuzzed
def test_any_answer_to_a_question_is_a_state_or_an_error(vendor, data, no_key_in):
    ticket = vendor.ticket()
    provider = vendor.answering(an_answer(data, vendor.questions))
    vendor.clock.at += data.draw(st.sampled_from([0.0, 30.0, 3600.0]))

    came = answer_or_error(lambda: provider.check(ticket))

    match came:
        case Running():
            assert_running(came)
        case Done():
            assert_cost(came.cost_usd)
            assert_done(came)
        case Failed():
            assert_cost(came.cost_usd)
            assert_error(came.error, no_key_in)
        case _:
            assert_error(came, no_key_in)
    no_key_in(came)


@given(data=st.data())
@fuzzed
def test_any_answer_to_a_wish_to_stop_is_an_outcome_or_an_error(vendor, data, no_key_in):
    ticket = vendor.ticket()
    answers = [an_answer(data, vendor.questions) for _ in range(data.draw(st.integers(1, 4)))]
    vendor.clock.at += data.draw(st.sampled_from([0.0, 3600.0]))

    came = answer_or_error(lambda: vendor.answering(*answers).cancel(ticket))

    if isinstance(came, ProviderError):
        assert_error(came, no_key_in)
    else:
        assert came in CancelOutcome


@given(data=st.data())
@fuzzed
def test_any_address_of_a_picture_that_is_none_is_an_error(vendor, data, no_key_in):
    ticket = vendor.ticket()
    provider = vendor.answering((200, data.draw(mangled(vendor.finishes))), (200, b"<html>no picture</html>"))
    state = answer_or_error(lambda: provider.check(ticket))

    for output in state.outputs if isinstance(state, Done) else ():
        came = answer_or_error(lambda output=output: provider.fetch(ticket, output))
        assert isinstance(came, ProviderError)
        assert 0 < len(came.message) <= 500
        no_key_in(came)
