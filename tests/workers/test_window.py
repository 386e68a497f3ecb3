"""How many requests a provider takes at a time, learnt from its refusals."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.widths import narrows, width
from workers.window import LONGEST_ASKED_S, LONGEST_PAUSE_S, Window, hushed, refused

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FRESH = Window(None, None, None, 0)


def _s(seconds) -> timedelta:
    return timedelta(seconds=seconds)


def _refused(before, *, at=0.0, held=5, sent=None, asked=None, of_use=False) -> Window:
    """Refused `at` seconds, what was sent a moment before unless the test says when."""
    now = NOW + _s(at)
    return refused(
        before,
        held=held,
        sent_at=now - _s(0.1) if sent is None else NOW + _s(sent),
        asked_s=asked,
        was_of_use=of_use,
        now=now,
    )


def test_what_it_holds_when_it_refuses_is_its_window():
    assert _refused(FRESH, held=5) == Window(5, NOW, NOW + _s(1), 1)


def test_a_window_never_shuts():
    assert _refused(FRESH, held=0).learnt == 1


def test_it_narrows_and_a_refusal_never_widens_it():
    narrow = _refused(FRESH, held=5)

    assert _refused(narrow, at=2, held=3).learnt == 3
    assert _refused(narrow, at=2, held=9).learnt == 5


def test_the_refusals_of_one_burst_are_one():
    window = _refused(FRESH, held=5)
    for moment in (0.1, 0.5, 0.9):
        window = _refused(window, at=moment, held=4)
    window = _refused(window, at=30, sent=-1, held=2)  # it was sent before anybody knew

    assert window == Window(5, NOW, NOW + _s(1), 1)


def test_tickets_that_come_late_within_a_burst_are_counted():
    first = _refused(FRESH, held=2)

    assert _refused(first, at=0.2, held=5).learnt == 5


def test_the_pauses_grow_while_it_refuses_and_begin_anew_after_a_picture():
    window, at, pauses = FRESH, 0.0, []
    for _ in range(9):
        window = _refused(window, at=at)
        pauses.append((window.quiet_until - NOW).total_seconds() - at)
        at += pauses[-1] + 1
    after_success = _refused(window, at=at, of_use=True)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert (after_success.refusals, after_success.quiet_until) == (1, NOW + _s(at + 1))


@pytest.mark.parametrize(("asked", "pause"), [(0, 1), (7.5, 7.5), (10**9, LONGEST_ASKED_S)])
def test_it_is_left_alone_for_as_long_as_it_asks(asked, pause):
    assert _refused(FRESH, asked=asked).quiet_until == NOW + _s(pause)


def test_within_a_burst_the_longest_pause_it_asks_for_holds():
    first = _refused(FRESH, asked=5)

    assert _refused(first, at=0.5, asked=20).quiet_until == NOW + _s(20.5)
    assert _refused(first, at=0.5, asked=1).quiet_until == NOW + _s(5)


def test_a_refused_question_says_nothing_of_the_width():
    assert hushed(FRESH, None, NOW) == Window(None, None, NOW + _s(1), 1)
    assert hushed(hushed(FRESH, None, NOW), None, NOW + _s(0.5)).refusals == 1


@pytest.mark.parametrize(
    ("age_s", "wide"), [(0, 5), (14, 5), (15, 6), (30, 9), (45, 14), (60, 21), (150, 105)]
)
def test_with_time_it_widens_again(age_s, wide):
    assert width(5, NOW, NOW + _s(age_s)) == wide


def test_who_never_refused_has_no_width():
    assert width(None, None, NOW) is None


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.integers(0, 50), st.none() | st.floats(0, 10**6), st.booleans()),
        max_size=30,
    )
)
def test_whatever_comes_a_window_is_open_and_a_pause_ends(events):
    window, at = FRESH, 0.0
    for passed, held, asked, of_use in events:
        at += passed
        window = _refused(window, at=at, held=held, asked=asked, of_use=of_use)

        assert window.learnt >= 1
        longest_s = max(LONGEST_PAUSE_S, LONGEST_ASKED_S)
        assert (window.quiet_until - NOW).total_seconds() < at + longest_s + 0.001


@pytest.mark.parametrize(
    ("window", "told", "in_flight", "is_news"),
    [
        (1, None, 0, True),  # just learnt: whatever comes is held up
        (5, 20, 5, True),
        (20, 20, 20, False),  # the limit holds up as much
        (25, 20, 20, False),
        (1_000, None, 998, True),
        (1_034, None, 14, False),  # long ago: twenty times what is there gets in
        (1_034, 5_000, 14, False),
        (1_034, 5_000, 900, True),
    ],
)
def test_a_window_is_news_only_while_it_keeps_something_out(window, told, in_flight, is_news):
    assert narrows(window, told, in_flight) is is_news
