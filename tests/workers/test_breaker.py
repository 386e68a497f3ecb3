"""When an offer is left alone, and when it is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lifecycle import BreakerState
from workers.breaker import HEALTHY, LONGEST_OPEN, Breaker, Passage, Sign, after, passage, probing

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _told(signs, breaker: Breaker = HEALTHY, now: datetime = NOW) -> Breaker:
    for sign in signs:
        breaker = after(breaker, sign, now)
    return breaker


def _open_for(breaker: Breaker, now: datetime = NOW) -> float:
    assert breaker.retry_at is not None
    return (breaker.retry_at - now).total_seconds()


@pytest.mark.parametrize(
    ("signs", "state"),
    [
        ([], BreakerState.CLOSED),
        ([Sign.TROUBLE] * 4, BreakerState.CLOSED),
        ([Sign.TROUBLE] * 5, BreakerState.OPEN),
        ([Sign.TROUBLE] * 4 + [Sign.ALIVE] + [Sign.TROUBLE] * 4, BreakerState.CLOSED),
        ([Sign.SHUT], BreakerState.OPEN),
        ([Sign.SHUT, Sign.TROUBLE], BreakerState.OPEN),
        ([Sign.SHUT, Sign.ALIVE], BreakerState.CLOSED),
        ([Sign.TROUBLE] * 5 + [Sign.ALIVE], BreakerState.CLOSED),
    ],
)
def test_signs_lead_to_a_state(signs, state):
    assert _told(signs).state is state


@pytest.mark.parametrize("signs", [[Sign.TROUBLE] * 5, [Sign.SHUT]])
def test_it_opens_for_a_quarter_of_a_minute(signs):
    assert _open_for(_told(signs)) == 15


def test_each_failed_probe_doubles_the_time():
    breaker = _told([Sign.TROUBLE] * 5)
    times = []
    for _ in range(7):
        breaker = after(probing(breaker, NOW), Sign.TROUBLE, NOW)
        times.append(_open_for(breaker))

    assert times == [30, 60, 120, 240, 300, 300, 300]


def test_a_hundred_failures_of_one_outage_are_one_outage():
    assert _told([Sign.TROUBLE] * 105) == _told([Sign.TROUBLE] * 5)
    assert _told([Sign.SHUT] * 100) == _told([Sign.SHUT])


def test_it_remembers_since_when_it_is_not_used():
    later = NOW + timedelta(minutes=1)

    breaker = after(probing(_told([Sign.SHUT]), later), Sign.SHUT, later)

    assert breaker.opened_at == NOW


@pytest.mark.parametrize(
    ("breaker", "waited_s", "who"),
    [
        (HEALTHY, 0, Passage.ALL),
        (_told([Sign.TROUBLE] * 4), 0, Passage.ALL),
        (_told([Sign.SHUT]), 14.9, Passage.NONE),
        (_told([Sign.SHUT]), 15, Passage.ONE),
        (probing(_told([Sign.SHUT]), NOW), 59.9, Passage.NONE),
        (probing(_told([Sign.SHUT]), NOW), 60, Passage.ONE),
    ],
)
def test_who_is_let_through(breaker, waited_s, who):
    assert passage(breaker, NOW + timedelta(seconds=waited_s)) is who


moments = st.lists(
    st.tuples(st.sampled_from([*Sign, "probe"]), st.floats(0, 600).map(lambda s: timedelta(seconds=s))),
    max_size=40,
)


@given(moments)
def test_it_never_closes_without_a_sign_of_life(history):
    breaker, now = HEALTHY, NOW
    for sign, passed in history:
        now += passed
        before = breaker
        if sign == "probe":
            breaker = probing(before, now) if passage(before, now) is Passage.ONE else before
        else:
            breaker = after(before, sign, now)
        if before.state is not BreakerState.CLOSED and breaker.state is BreakerState.CLOSED:
            assert sign is Sign.ALIVE
        if sign is Sign.ALIVE:
            assert breaker == HEALTHY


@given(moments)
def test_it_is_never_shut_for_longer_than_five_minutes(history):
    breaker, now = HEALTHY, NOW
    for sign, passed in history:
        now += passed
        if sign == "probe":
            breaker = probing(breaker, now) if passage(breaker, now) is Passage.ONE else breaker
        else:
            breaker = after(breaker, sign, now)
        assert (breaker.retry_at or now) - now <= LONGEST_OPEN
        assert passage(breaker, now + LONGEST_OPEN) is not Passage.NONE
        # as the table's constraints have it
        assert (breaker.state is BreakerState.OPEN) == (breaker.retry_at is not None)
        assert (breaker.state is BreakerState.HALF_OPEN) == (breaker.probe_until is not None)


@given(moments)
def test_five_in_a_row_always_leave_it_open(history):
    breaker, now = HEALTHY, NOW
    for sign, passed in history:
        now += passed
        if sign == "probe":
            breaker = probing(breaker, now) if passage(breaker, now) is Passage.ONE else breaker
        else:
            breaker = after(breaker, sign, now)

    assert _told([Sign.TROUBLE] * 5, breaker, now).state is BreakerState.OPEN
