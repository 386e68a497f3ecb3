"""Whether a job goes on after a failed attempt, and when."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lifecycle import OnUnknown
from models.queries import UNCOUNTED_CODES
from models.turns import OUT_CODES
from providers.errors import (
    AccountError,
    BadCredentials,
    Billed,
    ContentRefused,
    Forgotten,
    GenerationFailed,
    InsufficientBalance,
    InvalidParameters,
    MalformedResponse,
    OutputExpired,
    RateLimited,
    SubmissionUnknown,
    TimedOut,
    Unavailable,
    Unsupported,
)
from workers.retry import LONGEST_ASKED_S, Onward, Trouble, after_failure, trouble_of

AT_ONCE = Onward(timedelta(0), elsewhere=True)
PLAIN = trouble_of(GenerationFailed("x", billed=Billed.NO))


def _onward(trouble: Trouble, offers=("wiro", "runware"), **given) -> Onward | None:
    """After a first failure at wiro."""
    facts = {
        "tried": (),
        "shut": (),
        "failed_here": 0,
        "counted_attempts": 1,
        "on_unknown": OnUnknown.HOLD,
        "jitter": 1.0,
    }
    return after_failure(trouble, "wiro", offers, **(facts | given))


@pytest.mark.parametrize(
    ("error", "onward"),
    [
        (Unavailable("503"), AT_ONCE),
        (RateLimited("429", retry_after_s=60), AT_ONCE),
        (GenerationFailed("x", billed=Billed.NO), AT_ONCE),
        (MalformedResponse("x", billed=Billed.NO), AT_ONCE),
        (BadCredentials("401"), AT_ONCE),
        (InsufficientBalance("402"), AT_ONCE),
        (Unsupported("no seed"), AT_ONCE),
        # the job is at fault: it would fail anywhere
        (InvalidParameters("422"), None),
        (ContentRefused("moderated"), None),
        # it may have cost money
        (GenerationFailed("x"), None),
        (GenerationFailed("x", billed=Billed.YES), None),
        (MalformedResponse("x"), None),
        (TimedOut("x"), None),
        (Forgotten("x"), None),
        (OutputExpired("x"), None),
        (SubmissionUnknown("x"), None),
        (BadCredentials("revoked meanwhile", billed=Billed.UNKNOWN), None),
    ],
    ids=lambda value: f"{value.code}-{value.billed}" if isinstance(value, Exception) else "",
)
def test_a_job_moves_on_only_from_what_provably_cost_nothing(error, onward):
    assert _onward(trouble_of(error)) == onward


@pytest.mark.parametrize(
    "error", [SubmissionUnknown("x"), Forgotten("x"), GenerationFailed("x"), TimedOut("x")]
)
def test_by_policy_it_moves_on_from_what_may_have_cost_money(error):
    alone = _onward(trouble_of(error), ["wiro"], on_unknown=OnUnknown.RESEND)

    assert _onward(trouble_of(error), on_unknown=OnUnknown.RESEND) == AT_ONCE
    assert alone is not None


@pytest.mark.parametrize(
    "error", [GenerationFailed("x", billed=Billed.YES), OutputExpired("x"), ContentRefused("moderated")]
)
def test_no_policy_buys_again_what_was_paid_or_refused(error):
    assert _onward(trouble_of(error), on_unknown=OnUnknown.RESEND) is None


def test_where_it_is_out_it_stays_out():
    assert _onward(trouble_of(Unsupported("no seed")), ["wiro"]) is None


def test_where_a_job_is_out_is_read_from_the_stored_codes():
    assert {Unsupported.code} == set(OUT_CODES)


@pytest.mark.parametrize("error", [BadCredentials("401"), InsufficientBalance("402")])
def test_a_job_waits_for_an_account_however_long_it_takes(error):
    onward = _onward(trouble_of(error), ["wiro"], shut=["wiro"], counted_attempts=2)

    assert onward is not None
    assert onward.delay > timedelta(0)
    assert not trouble_of(error).counts


def test_an_outage_fails_nobody_however_long_it_takes():
    onward = _onward(
        trouble_of(Unavailable("503")), ["wiro"], shut=["wiro"], failed_here=50, counted_attempts=0
    )

    assert onward is not None
    assert timedelta(minutes=1) < onward.delay < timedelta(minutes=5)


def test_what_uses_up_no_attempt_is_read_from_the_stored_codes():
    classes = [RateLimited, Unavailable, AccountError, *AccountError.__subclasses__()]

    assert {error.code for error in classes} == set(UNCOUNTED_CODES)


def test_what_cannot_be_repeated_is_tried_elsewhere_alone():
    once = replace(PLAIN, may_repeat=False)

    assert _onward(once, ["wiro"]) is None
    assert _onward(once, ["wiro", "runware"]) == AT_ONCE


def test_without_another_offer_it_waits_twice_as_long_each_time():
    waits = [_onward(PLAIN, ["wiro"], counted_attempts=counted) for counted in (1, 2)]

    assert waits == [
        Onward(timedelta(seconds=2), elsewhere=False),
        Onward(timedelta(seconds=4), elsewhere=False),
    ]


@pytest.mark.parametrize("why", [{"tried": ["runware"]}, {"shut": ["runware"]}])
def test_an_offer_that_failed_it_or_is_shut_is_no_reason_to_hurry(why):
    onward = _onward(PLAIN, **why)

    assert onward is not None
    assert onward.delay == timedelta(seconds=2)


def test_where_it_is_out_and_the_others_are_shut_it_waits_for_them():
    onward = _onward(trouble_of(Unsupported("no seed")), shut=["runware"])

    assert onward is not None
    assert onward.delay > timedelta(0)


@pytest.mark.parametrize("offers", [["wiro"], ["wiro", "runware"], ["wiro", "runware", "bfl", "vtrix"]])
def test_attempts_run_out_at_two_more_than_there_are_offers(offers):
    assert _onward(PLAIN, offers, counted_attempts=len(offers) + 1) is not None
    assert _onward(PLAIN, offers, counted_attempts=len(offers) + 2) is None


def test_a_provider_that_was_turned_off_meanwhile_is_left():
    assert _onward(PLAIN, ["runware"]) == AT_ONCE
    assert _onward(PLAIN, []) is None


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_what_the_provider_asked_for_is_kept(jitter):
    asked = trouble_of(RateLimited("429", retry_after_s=7))

    onward = _onward(asked, ["wiro"], counted_attempts=0, jitter=jitter)

    assert onward is not None
    assert 7 <= onward.delay.total_seconds() <= 7.7


def test_being_told_to_wait_uses_up_nothing():
    told = trouble_of(RateLimited("429"))

    assert not told.counts
    assert _onward(told, ["wiro"], counted_attempts=0, jitter=0.5) == Onward(
        timedelta(seconds=5), elsewhere=False
    )


@pytest.mark.parametrize(
    ("asked_s", "waits_s"),
    [
        (None, [5, 10, 20, 40, 80, 120, 120]),
        (7, [7, 14, 28, 56, 112, 120, 120]),
        (900, [900, 900]),
        # nothing, or a date that our clock has passed
        (0, [1, 2, 4]),
    ],
)
def test_who_is_told_to_wait_again_and_again_waits_longer(asked_s, waits_s):
    told = trouble_of(RateLimited("429", retry_after_s=asked_s))

    onwards = [
        _onward(told, ["wiro"], failed_here=times, jitter=0.5 if asked_s is None else 0.0)
        for times in range(len(waits_s))
    ]

    assert [onward and onward.delay.total_seconds() for onward in onwards] == waits_s


SOME = st.lists(st.sampled_from(["wiro", "runware", "bfl", "vtrix"]), unique=True)


@given(
    st.builds(
        Trouble,
        is_the_jobs=st.booleans(),
        is_out=st.booleans(),
        may_repeat=st.booleans(),
        billed=st.sampled_from(Billed),
        retry_after_s=st.none() | st.floats(0, 1e9),
        counts=st.booleans(),
    ),
    SOME,
    st.fixed_dictionaries(
        {
            "tried": SOME,
            "shut": SOME,
            "failed_here": st.integers(0, 10**6),
            "counted_attempts": st.integers(0, 1000),
            "on_unknown": st.sampled_from(OnUnknown),
            "jitter": st.floats(0, 1),
        }
    ),
)
def test_money_is_never_risked_without_leave(trouble, offers, facts):
    onward = _onward(trouble, offers, **facts)

    if onward is not None:
        allowed = {Billed.NO, Billed.UNKNOWN} if facts["on_unknown"] is OnUnknown.RESEND else {Billed.NO}
        assert not trouble.is_the_jobs
        assert trouble.billed in allowed
        assert timedelta(0) <= onward.delay <= timedelta(seconds=1.1 * LONGEST_ASKED_S)
        assert onward.delay == timedelta(0) or not onward.elsewhere
