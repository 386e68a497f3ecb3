"""Whether there is another attempt, and when."""

from datetime import timedelta

import pytest

from workers.retry import LONGEST_DELAY_S, MAX_ATTEMPTS, Trouble, next_delay

PLAIN = Trouble(retryable=True, retry_after_s=None, counts=True)


def test_what_cannot_help_is_not_tried():
    hopeless = Trouble(retryable=False, retry_after_s=None, counts=True)

    assert next_delay(hopeless, 1, jitter=0.5) is None


def test_attempts_run_out():
    assert next_delay(PLAIN, MAX_ATTEMPTS, jitter=0.5) is None
    assert next_delay(PLAIN, MAX_ATTEMPTS - 1, jitter=0.5) is not None


def test_waits_double_and_never_pass_the_longest():
    waits = [next_delay(PLAIN, counted, jitter=1) for counted in (1, 2)]

    assert waits == [timedelta(seconds=2), timedelta(seconds=4)]
    assert timedelta.max.total_seconds() > LONGEST_DELAY_S


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_what_the_provider_asked_for_is_kept(jitter):
    asked = Trouble(retryable=True, retry_after_s=7, counts=False)

    delay = next_delay(asked, 0, jitter)

    assert delay is not None
    assert 7 <= delay.total_seconds() <= 7.7


def test_being_told_to_wait_uses_up_nothing():
    told = Trouble(retryable=True, retry_after_s=None, counts=False)

    assert next_delay(told, 0, jitter=0.5) == timedelta(seconds=5)
