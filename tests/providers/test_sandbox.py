"""The sandbox's own affairs: its clock, its demands and its pictures."""

import io
import logging
from decimal import Decimal

import pytest
from PIL import Image, ImageChops, ImageStat

from providers import painting
from providers.base import CancelOutcome, Done, Failed, GenerationRequest, Running
from providers.errors import (
    Billed,
    ContentRefused,
    GenerationFailed,
    InvalidParameters,
    MalformedResponse,
    RateLimited,
    Unavailable,
)
from providers.painting import scenes
from providers.sandbox import Provider

NOON = 1_700_000_000.0
PARAMETERS = {"prompt": "A paper boat", "seed": 42, "width": 96, "height": 64, "output_format": "png"}


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.at = NOON

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    """The clock that the sandbox reads."""
    return Clock()


@pytest.fixture
def sandbox(clock):
    """A sandbox that takes between two and four seconds."""
    return Provider(latency_s=(2.0, 4.0), now=clock)


def asked(attempt=1, key="one", parameters=None, **demands):
    return GenerationRequest(
        key=key,
        attempt=attempt,
        remote_id="any",
        parameters={**PARAMETERS, **(parameters or {})},
        extra=demands,
    )


def taken_s(ticket):
    return ticket["ready_at"] - ticket["submitted_at"]


def test_a_request_takes_as_long_as_its_key_says(sandbox):
    times = {key: taken_s(sandbox.submit(asked(key=key))) for key in "abcdefgh"}

    assert all(2 <= time_s <= 4 for time_s in times.values())
    assert len(set(times.values())) == len(times)
    assert taken_s(sandbox.submit(asked(key="a"))) == times["a"]


def test_different_keys_are_different_tickets(sandbox):
    assert sandbox.submit(asked(key="a"))["id"] != sandbox.submit(asked(key="b"))["id"]


def test_progress_follows_the_clock(sandbox, clock):
    ticket = sandbox.submit(asked(latency=4))

    seen = []
    for clock.at in (NOON, NOON + 1, NOON + 3):
        seen.append(sandbox.check(ticket).progress)

    assert seen == [0, 0.25, 0.75]


@pytest.mark.parametrize(("left_s", "poll_after_s"), [(3.0, 2.0), (0.25, 0.25), (0.001, 0.02)])
def test_it_is_asked_again_when_it_may_be_ready(sandbox, clock, left_s, poll_after_s):
    ticket = sandbox.submit(asked(latency=4))
    clock.at = NOON + 4 - left_s

    assert sandbox.check(ticket).poll_after_s == pytest.approx(poll_after_s, rel=1e-3)


def test_it_is_free_and_says_so(sandbox, clock):
    ticket = sandbox.submit(asked())
    clock.at += 4

    assert sandbox.check(ticket).cost_usd == Decimal(0)


def test_several_pictures_have_successive_seeds(sandbox, clock):
    ticket = sandbox.submit(asked(parameters={"count": 3}))
    clock.at += 4

    outputs = sandbox.check(ticket).outputs

    assert [output.seed for output in outputs] == [42, 43, 44]
    assert len({sandbox.fetch(ticket, output) for output in outputs}) == 3


def test_an_accepted_request_is_logged_once(sandbox, caplog):
    caplog.set_level(logging.INFO, logger="providers.sandbox")

    ticket = sandbox.submit(asked())

    (line,) = caplog.records
    assert (line.getMessage(), line.event, line.ticket) == (
        "Accepted a request.",
        "sandbox_accepted",
        ticket["id"],
    )


def test_a_request_turned_away_is_not_logged_as_accepted(sandbox, caplog):
    caplog.set_level(logging.INFO, logger="providers.sandbox")

    with pytest.raises(Unavailable):
        sandbox.submit(asked(unavailable=1))

    assert caplog.records == []


@pytest.mark.parametrize("demand", [7, 7.0, "7", "7-7", " 7 "])
def test_a_caller_may_set_the_latency(sandbox, demand):
    assert taken_s(sandbox.submit(asked(latency=demand))) == 7


def test_a_caller_may_set_a_range_of_latencies(sandbox):
    assert 10 <= taken_s(sandbox.submit(asked(latency="10-12.5"))) <= 12.5


def test_no_latency_is_ready_at_once(sandbox):
    assert isinstance(sandbox.check(sandbox.submit(asked(latency=0))), Done)


@pytest.mark.parametrize("fail", [2, "2"])
def test_the_first_attempts_fail_half_way_and_unbilled(sandbox, clock, fail):
    ticket = sandbox.submit(asked(attempt=2, fail=fail, latency=4))

    clock.at = NOON + 1
    before = sandbox.check(ticket)
    clock.at = NOON + 2
    after = sandbox.check(ticket)

    assert isinstance(before, Running)
    assert before.progress == 0.25
    assert isinstance(after, Failed)
    assert isinstance(after.error, GenerationFailed)
    assert (after.error.retryable, after.error.billed, after.error.request_id) == (
        True,
        Billed.NO,
        ticket["id"],
    )


def test_an_attempt_after_those_that_fail_succeeds(sandbox, clock):
    ticket = sandbox.submit(asked(attempt=3, fail=2))
    clock.at += 4

    assert isinstance(sandbox.check(ticket), Done)


def test_always_failing_has_no_end(sandbox, clock):
    ticket = sandbox.submit(asked(attempt=1_000_000, fail="always"))
    clock.at += 4

    assert isinstance(sandbox.check(ticket), Failed)


@pytest.mark.parametrize(
    ("demand", "error", "retry_after_s"),
    [("rate_limit", RateLimited, 1.0), ("unavailable", Unavailable, None)],
)
def test_the_first_attempts_are_turned_away(sandbox, demand, error, retry_after_s):
    with pytest.raises(error) as refusal:
        sandbox.submit(asked(attempt=2, **{demand: "2"}))

    assert refusal.value.retry_after_s == retry_after_s
    assert refusal.value.retryable
    assert refusal.value.billed is Billed.NO
    assert sandbox.submit(asked(attempt=3, **{demand: "2"}))


@pytest.mark.parametrize("yes", [True, "true"])
def test_moderation_refuses_on_demand(sandbox, clock, yes):
    ticket = sandbox.submit(asked(moderate=yes))
    clock.at += 4

    state = sandbox.check(ticket)

    assert isinstance(state.error, ContentRefused)
    assert not state.error.retryable


@pytest.mark.parametrize("yes", [True, "true"])
def test_a_hanging_request_never_ends(sandbox, clock, yes):
    ticket = sandbox.submit(asked(hang=yes))
    clock.at += 10_000_000

    assert isinstance(sandbox.check(ticket), Running)
    assert sandbox.cancel(ticket) is CancelOutcome.CANCELLED


def test_a_demand_of_false_is_none(sandbox, clock):
    ticket = sandbox.submit(asked(hang="false", moderate="false", fail="0"))
    clock.at += 4

    assert isinstance(sandbox.check(ticket), Done)


@pytest.mark.parametrize(
    ("demand", "sent"),
    [
        ("latency", "soon"),
        ("latency", "3-1"),
        ("latency", "-1"),
        ("latency", "nan"),
        ("latency", True),
        ("latency", [1, 2, 3]),
        ("fail", "sometimes"),
        ("fail", -1),
        ("rate_limit", "always"),
        ("hang", "perhaps"),
        ("moderate", None),
    ],
)
def test_a_demand_it_cannot_meet_is_refused_by_name(sandbox, demand, sent):
    with pytest.raises(InvalidParameters, match=f"'{demand}' takes .*, not ") as refusal:
        sandbox.submit(asked(**{demand: sent}))

    assert repr(sent) in str(refusal.value)


def test_an_unknown_demand_is_refused_with_those_it_knows(sandbox):
    with pytest.raises(InvalidParameters, match="'latncy'; it knows latency, fail, rate_limit, unavailable"):
        sandbox.submit(asked(latncy=1))


@pytest.mark.parametrize(
    ("name", "sent", "allowed"),
    [
        ("prompt", 7, "text"),
        ("seed", "42", "a whole number"),
        ("seed", True, "a whole number"),
        ("width", 63, "64 to 4096"),
        ("height", 4097, "64 to 4096"),
        ("height", 512.5, "64 to 4096"),
        ("output_format", "gif", "png, jpeg or webp"),
        ("count", 0, "1 to 16"),
    ],
)
def test_a_parameter_it_cannot_use_is_refused_by_name(sandbox, name, sent, allowed):
    with pytest.raises(InvalidParameters, match=f"'{name}' takes .*{allowed}.*, not ") as refusal:
        sandbox.submit(asked(parameters={name: sent}))

    assert repr(sent) in str(refusal.value)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_missing_parameter_is_named(sandbox, name):
    incomplete = {key: value for key, value in PARAMETERS.items() if key != name}

    with pytest.raises(InvalidParameters, match=f"'{name}' takes .*, and it was not sent"):
        sandbox.submit(GenerationRequest("k", 1, "any", incomplete, {}))


def test_a_running_request_is_cancelled_and_a_ready_one_is_not(sandbox, clock):
    ticket = sandbox.submit(asked())

    early = sandbox.cancel(ticket)
    clock.at += 4
    late = sandbox.cancel(ticket)

    assert (early, late) == (CancelOutcome.CANCELLED, CancelOutcome.FINISHED_FIRST)


@pytest.mark.parametrize("ticket", [{}, {"id": "x"}, {"id": None, "ready_at": "soon"}])
def test_a_ticket_that_is_not_its_own_is_malformed(sandbox, ticket):
    with pytest.raises(MalformedResponse):
        sandbox.cancel(ticket)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("size", [(64, 64), (1344, 576), (576, 1344), (2048, 64), (333, 517)])
def test_a_picture_has_the_size_and_format_that_were_asked_for(output_format, size):
    image = Image.open(io.BytesIO(painting.draw("A city at night", 1, *size, output_format)))

    assert (image.format, image.size) == (output_format.upper(), size)
    image.load()


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        "x" * 5000,
        "word " * 2000,
        "雨の後、水たまりで紙の舟",
        "طفل يلعب بقارب ورقي",
        "🌧️🚣",
        "a\nb\tc\r\0d",
        "\ud800",
        "é à ü ß ñ",
    ],
)
def test_any_text_can_be_a_prompt(prompt):
    content = painting.draw(prompt, 7, 256, 192, "png")

    assert Image.open(io.BytesIO(content)).size == (256, 192)


def test_the_same_wish_gives_the_same_bytes():
    assert painting.draw("A boat", 1, 320, 200, "png") == painting.draw("A boat", 1, 320, 200, "png")


@pytest.mark.parametrize("other", [("A boat", 2), ("A car", 1)])
def test_another_seed_or_prompt_gives_another_picture(other):
    assert painting.draw(*other, 320, 200, "png") != painting.draw("A boat", 1, 320, 200, "png")


@pytest.mark.parametrize("theme", sorted(scenes.VOCABULARY))
def test_every_theme_fills_the_picture(theme):
    word = min(scenes.VOCABULARY[theme])

    image = Image.open(io.BytesIO(painting.draw(word, 5, 320, 200, "png")))

    (upper, lower) = image.crop((0, 0, 320, 40)), image.crop((0, 110, 320, 150))
    assert sum(ImageStat.Stat(ImageChops.difference(upper, lower)).mean) > 5
    assert len(image.getcolors(320 * 200)) > 500
