"""When a delivery is tried again, and when no more."""

from datetime import timedelta

import pytest

from workers.redelivery import (
    MOST_TRIES,
    OWED_AT_MOST,
    PAUSES,
    Delivered,
    GivenUp,
    Later,
    Reply,
    fate,
    is_hopeless,
)


def after(reply, tries=1, owed_for=timedelta(0), chance=0.5, **more):
    return fate(reply, tries=tries, owed_for=owed_for, is_test=False, chance=chance, **more)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_success_is_one(status):
    assert after(Reply(status)) == Delivered()


@pytest.mark.parametrize("status", [None, 100, 301, 400, 401, 404, 429, 500, 503])
def test_anything_else_is_tried_again(status):
    assert after(Reply(status)) == Later(PAUSES[0])


def test_the_pauses_are_those_of_standard_webhooks_and_then_it_is_given_up():
    fates = [after(Reply(500), tries=tries) for tries in range(1, MOST_TRIES + 1)]

    assert fates == [*map(Later, PAUSES), GivenUp()]
    assert sum(PAUSES, timedelta(0)) > timedelta(days=3)


def test_what_failed_together_does_not_come_together_again():
    soonest, latest = after(Reply(500), tries=2, chance=0.0), after(Reply(500), tries=2, chance=1.0)

    assert soonest.delay < PAUSES[1] < latest.delay


def test_who_is_gone_is_told_nothing_more():
    assert after(Reply(410)) == GivenUp(is_gone=True)


@pytest.mark.parametrize(
    ("wished_s", "waits"),
    [(60.0, timedelta(seconds=60)), (0.1, PAUSES[0]), (10.0**9, timedelta(hours=24))],
)
def test_who_asks_to_be_left_alone_is_left_alone_within_bounds(wished_s, waits):
    assert after(Reply(429, retry_after_s=wished_s)) == Later(waits)


def test_what_is_owed_for_a_week_is_given_up_however_seldom_it_was_tried():
    assert after(Reply(None, "no answer"), tries=2, owed_for=OWED_AT_MOST) == GivenUp()


def test_a_test_is_tried_once():
    assert fate(Reply(500), tries=1, owed_for=timedelta(0), is_test=True, chance=0.5) == GivenUp()


def test_a_webhook_is_hopeless_when_single_deliveries_were_tried_to_their_end():
    assert not is_hopeless(sum(PAUSES, timedelta(0)))
    assert is_hopeless(timedelta(days=5))


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (Reply(204), None),
        (Reply(500), "answered 500"),
        (Reply(302), "answered 302: redirects are not followed"),
        (Reply(None, "no connection"), "no connection"),
    ],
)
def test_why_it_was_not_taken_is_a_sentence(reply, complaint):
    assert reply.complaint == complaint
