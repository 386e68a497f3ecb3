"""Whether a job goes on after a failed attempt, and when."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lifecycle import OnUnknown
from models.queries import UNCOUNTED_CODES
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
from workers.retry import (
    LONGEST_ASKED_S,
    LONGEST_TOLD_S,
    Onward,
    Policy,
    Trouble,
    after_failure,
    policy_of,
    trouble_of,
)

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
        "policy": Policy(),
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
    assert onward.delay == timedelta(seconds=LONGEST_TOLD_S)


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


@pytest.mark.parametrize(
    ("asked_s", "jitter", "waits_s"), [(7, 0.0, 7), (7, 1.0, 9), (0, 0.0, 1), (1e9, 0.0, LONGEST_ASKED_S)]
)
def test_nobody_comes_back_earlier_than_the_provider_asked_for(asked_s, jitter, waits_s):
    asked = trouble_of(GenerationFailed("x", billed=Billed.NO, retry_after_s=asked_s))

    onward = _onward(asked, ["wiro"], jitter=jitter)

    assert onward is not None
    assert onward.delay.total_seconds() == waits_s


def test_being_told_to_wait_uses_up_nothing():
    told = trouble_of(RateLimited("429"))

    assert not told.counts
    assert _onward(told, ["wiro"], counted_attempts=0, jitter=0.5) == Onward(
        timedelta(seconds=2.5), elsewhere=False
    )


@pytest.mark.parametrize("policy", [Policy(), Policy(1, 0.1, 0.1)])
def test_who_finds_nobody_again_and_again_waits_longer_whatever_its_policy(policy):
    away = trouble_of(Unavailable("503"))

    onwards = [
        _onward(away, ["wiro"], failed_here=times, counted_attempts=0, policy=policy) for times in range(7)
    ]

    assert [onward and onward.delay.total_seconds() for onward in onwards] == [5, 10, 20, 40, 80, 120, 120]


def test_those_that_failed_together_come_back_apart():
    waits = [_onward(PLAIN, ["wiro"], counted_attempts=2, jitter=jitter) for jitter in (0.0, 0.25, 1.0)]

    assert [onward and onward.delay.total_seconds() for onward in waits] == [0, 1, 4]


def test_a_job_has_a_policy_of_its_own():
    policy = Policy(max_attempts=2, first_delay_s=10, longest_delay_s=15)

    assert _onward(PLAIN, ["wiro"], policy=policy) == Onward(timedelta(seconds=10), elsewhere=False)
    assert _onward(PLAIN, ["wiro"], counted_attempts=2, policy=policy) is None


def test_what_a_job_says_goes_before_what_its_model_says():
    models = {"max_attempts": 5, "first_delay_s": 1.0}

    assert policy_of(None, None) == Policy()
    assert policy_of(models, None) == Policy(5, 1.0)
    assert policy_of(models, {"max_attempts": 1, "first_delay_s": None}) == Policy(1, 1.0)


SOME = st.lists(st.sampled_from(["wiro", "runware", "bfl", "vtrix"]), unique=True)
POLICIES = st.builds(
    Policy,
    max_attempts=st.none() | st.integers(1, 20),
    first_delay_s=st.floats(0.1, 3600),
    longest_delay_s=st.floats(0.1, 3600),
)
TROUBLES = st.builds(
    Trouble,
    is_the_jobs=st.booleans(),
    is_out=st.booleans(),
    may_repeat=st.booleans(),
    billed=st.sampled_from(Billed),
    retry_after_s=st.none() | st.floats(0, 1e9),
    counts=st.booleans(),
)
FACTS = st.fixed_dictionaries(
    {
        "tried": SOME,
        "shut": SOME,
        "failed_here": st.integers(0, 10**6),
        "counted_attempts": st.integers(0, 1000),
        "on_unknown": st.sampled_from(OnUnknown),
        "policy": POLICIES,
        "jitter": st.floats(0, 1),
    }
)


@given(TROUBLES, SOME, FACTS)
def test_money_is_never_risked_without_leave(trouble, offers, facts):
    onward = _onward(trouble, offers, **facts)

    if onward is not None:
        allowed = {Billed.NO, Billed.UNKNOWN} if facts["on_unknown"] is OnUnknown.RESEND else {Billed.NO}
        assert not trouble.is_the_jobs
        assert trouble.billed in allowed


@given(TROUBLES, SOME, FACTS)
def test_no_pause_is_longer_than_the_longest_nor_shorter_than_was_asked_for(trouble, offers, facts):
    onward = _onward(trouble, offers, **facts)

    if onward is not None and not onward.elsewhere:
        asked_s = trouble.retry_after_s
        floor_s = 0.0 if asked_s is None else min(LONGEST_ASKED_S, asked_s)
        longest_s = facts["policy"].longest_delay_s if trouble.counts else LONGEST_TOLD_S
        assert floor_s <= onward.delay.total_seconds() + 1e-6
        assert onward.delay.total_seconds() <= max(1.0, floor_s) + longest_s + 1e-6
    elif onward is not None:
        assert onward.delay == timedelta(0)


@given(TROUBLES, SOME, FACTS)
def test_no_job_is_tried_more_often_than_allowed(trouble, offers, facts):
    policy: Policy = facts["policy"]

    if _onward(trouble, offers, **facts) is not None:
        assert facts["counted_attempts"] < (policy.max_attempts or len({*offers, "wiro"}) + 2)


@given(
    st.sampled_from([AccountError, BadCredentials, InsufficientBalance, RateLimited, Unavailable]),
    POLICIES,
    st.integers(0, 10**6),
)
def test_what_is_not_the_jobs_trouble_uses_up_no_attempt(error, policy, failed_here):
    trouble = trouble_of(error("x"))

    onward = _onward(trouble, ["wiro"], failed_here=failed_here, counted_attempts=0, policy=policy)

    assert not trouble.counts
    assert onward is not None
