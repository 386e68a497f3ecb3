"""Whether a job goes on after a failed attempt, and when.  Pure: no clock, no database.

A failure may be followed by another attempt only when it provably cost nothing, or
when the job's policy is to buy again what may have cost something; and never when the
job itself is at fault, because then it would fail anywhere.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from models.lifecycle import OnUnknown
from providers.errors import (
    AccountError,
    Billed,
    CallerError,
    Forgotten,
    ProviderError,
    RateLimited,
    SubmissionUnknown,
    Unavailable,
    Unsupported,
)

ATTEMPTS_BESIDES_OFFERS = 2
"""Counted attempts of a job: one at each of its offers, and this many more."""

FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 300.0
RATE_LIMIT_DELAY_S = 5.0
LONGEST_TOLD_S = 120.0
"""A job that is told to wait each time it comes waits longer, up to this: thousands may knock at one door."""

SHORTEST_ASKED_S = 1.0  # `Retry-After: 0`, or a date that our clock has passed, must not go round in circles
LONGEST_ASKED_S = 3600.0  # a provider may ask for less, but not for a year


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a failed attempt says about another one.

    Attributes:
        is_the_jobs: the job is at fault: it would fail anywhere.
        is_out: this offer will not do for this job, whatever happens; another may.
        may_repeat: another attempt at the same offer may succeed.
        billed: whether this one cost money.
        retry_after_s: what the provider asked for; None when it did not say.
        counts: it uses up one of the job's attempts; being told to wait does not, nor finding nobody there,
            nor our account's trouble.
    """

    is_the_jobs: bool
    is_out: bool
    may_repeat: bool
    billed: Billed
    retry_after_s: float | None
    counts: bool


@dataclass(frozen=True, slots=True)
class Onward:
    """Another attempt: after `delay`; `elsewhere` when an offer stands ready that the job has not tried."""

    delay: timedelta
    elsewhere: bool


def trouble_of(error: ProviderError) -> Trouble:
    """What an error says about another attempt."""
    return Trouble(
        is_the_jobs=isinstance(error, CallerError) and not isinstance(error, Unsupported),
        is_out=isinstance(error, Unsupported),
        # What was lost says nothing against the offer: whether it is bought again is a matter of money.
        # An account without money refuses every job alike, and its breaker keeps them away until somebody
        # has paid: a campaign that lost its only key at midnight waits for the morning, it does not fail.
        may_repeat=error.retryable or isinstance(error, SubmissionUnknown | Forgotten | AccountError),
        billed=error.billed,
        retry_after_s=error.retry_after_s,
        # Nor does finding nobody there: an outage of an hour must not fail those who came first.
        counts=not isinstance(error, RateLimited | AccountError | Unavailable),
    )


def after_failure(
    trouble: Trouble,
    here: str,
    offers: Sequence[str],
    *,
    tried: Collection[str],
    shut: Collection[str],
    failed_here: int,
    counted_attempts: int,
    on_unknown: OnUnknown,
    jitter: float,
) -> Onward | None:
    """When the job goes on; None when it ends.

    Args:
        trouble: how the latest attempt failed.
        here: the provider of that attempt.
        offers: who may make the picture, as `routing.candidates` says: `here` among them, unless it was
            turned off meanwhile.
        tried: providers at which the job has failed before.
        shut: providers whose breaker lets nobody through now.
        failed_here: earlier attempts of the job that failed at this provider.
        counted_attempts: attempts that were used up, the latest included if it counts.
        on_unknown: the job's policy about what may have cost money.
        jitter: 0..1, chosen by the caller; spreads retries that failed together.
    """
    if trouble.is_the_jobs or not _may_buy_again(trouble.billed, on_unknown):
        return None
    others = [name for name in offers if name != here]
    may_stay = here in offers and trouble.may_repeat and not trouble.is_out
    if not others and not may_stay:
        return None
    if counted_attempts >= ATTEMPTS_BESIDES_OFFERS + len({*offers, here}):
        return None
    if any(name not in tried and name not in shut for name in others):
        return Onward(timedelta(0), elsewhere=True)
    return Onward(_backoff(trouble, failed_here, counted_attempts, jitter), elsewhere=False)


def _may_buy_again(billed: Billed, on_unknown: OnUnknown) -> bool:
    match billed:
        case Billed.NO:
            return True
        case Billed.UNKNOWN:
            return on_unknown is OnUnknown.RESEND
        case Billed.YES:
            return False


def _backoff(trouble: Trouble, failed_here: int, counted_attempts: int, jitter: float) -> timedelta:
    """How long everybody is left alone."""
    asked_s = trouble.retry_after_s
    if asked_s is not None:
        asked_s = min(LONGEST_ASKED_S, max(SHORTEST_ASKED_S, asked_s))
        grown_s = asked_s if trouble.counts else _grown(asked_s, failed_here)
        return timedelta(seconds=grown_s * (1 + 0.1 * jitter))
    if not trouble.counts:
        return timedelta(seconds=_grown(RATE_LIMIT_DELAY_S, failed_here) * (0.5 + jitter))
    doublings = min(max(0, counted_attempts - 1), 10)  # far beyond the longest
    return timedelta(seconds=min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**doublings) * (0.5 + 0.5 * jitter))


def _grown(first_s: float, times: int) -> float:
    """Twice as long each time; never shorter than at first."""
    return max(first_s, min(LONGEST_TOLD_S, first_s * 2.0 ** min(times, 10)))
