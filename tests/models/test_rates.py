"""How many jobs a second a place gets, told from what it remembers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rates import FADING_S, LEAST_S, LULL_S, counted, rate_per_s

NOW = datetime(2026, 11, 21, tzinfo=UTC)
EVER = NOW - timedelta(days=1)


@dataclass(frozen=True)
class Memory:
    served_at: datetime
    recent_jobs: float
    recent_s: float


def served(before, jobs, at, since=EVER) -> Memory:
    return Memory(at, *counted(before, since, jobs, at))


def after(times, jobs, every_s, begins_with=None) -> Memory:
    """What a place remembers that got so many jobs so often, the last time just now."""
    memory = None
    for left in range(times, -1, -1):
        at = NOW - left * timedelta(seconds=every_s)
        memory = served(memory, begins_with or jobs if memory is None else jobs, at)
    return memory


def later(seconds) -> datetime:
    return NOW + timedelta(seconds=seconds)


@given(
    per_s=st.floats(0.1, 1000),
    every_s=st.floats(0.05, 5),
    lasts_s=st.floats(LEAST_S + 1, 1000),
    begins_with=st.integers(1, 5000),
)
def test_a_place_that_gets_its_jobs_evenly_has_its_whole_rate_from_the_first_seconds_on(
    per_s, every_s, lasts_s, begins_with
):
    memory = after(max(2, int(lasts_s / every_s) + 1), per_s * every_s, every_s, begins_with)

    assert rate_per_s(memory, NOW) == pytest.approx(per_s, rel=0.06)


@given(idle_s=st.floats(0.1, LULL_S), burst=st.integers(1, 1000))
def test_a_time_in_which_nobody_waited_changes_nothing(idle_s, burst):
    before = after(50, 1, 0.1)

    memory = served(before, burst, later(idle_s), since=later(idle_s))

    told = rate_per_s(memory, later(idle_s))
    assert told is None or told == pytest.approx(rate_per_s(before, NOW))


@given(age_s=st.floats(0, LULL_S))
def test_while_nothing_comes_the_rate_falls(age_s):
    memory = after(50, 1, 0.1)

    assert rate_per_s(memory, later(age_s)) <= rate_per_s(memory, NOW)


@given(
    moments=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 500), st.booleans()), max_size=40),
    age_s=st.floats(0, 200),
)
def test_a_rate_is_never_more_than_all_it_had_in_the_least_seconds(moments, age_s):
    memory, at, total = None, NOW, 0
    for gap_s, jobs, is_backlog in moments:
        at += timedelta(seconds=gap_s)
        memory, total = served(memory, jobs, at, since=EVER if is_backlog else at), total + jobs

    rate = None if memory is None else rate_per_s(memory, at + timedelta(seconds=age_s))

    assert memory is None or 0 <= memory.recent_s <= FADING_S
    assert rate is None or 0 < rate <= total / LEAST_S


@pytest.mark.parametrize("age_s", [0, 1, LEAST_S, 10, 600])
def test_a_place_that_was_served_once_has_no_rate(age_s):
    assert rate_per_s(served(None, 500, NOW), later(age_s)) is None


def test_a_place_that_has_begun_this_second_has_no_rate():
    assert rate_per_s(after(5, 10, 0.1), NOW) is None


def test_after_a_pause_it_begins_anew():
    before = after(600, 1, 0.1)
    resumed = later(600)
    memory = served(before, 100, resumed)
    for number in range(1, 51):
        memory = served(memory, 1, resumed + number * timedelta(seconds=0.1))

    assert rate_per_s(before, resumed) is None
    assert rate_per_s(memory, memory.served_at) == pytest.approx(10, rel=0.01)
