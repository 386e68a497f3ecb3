"""Whether a job goes on after a failed attempt, and when.  Pure: no clock, no database.

A failure may be followed by another attempt only when it provably cost nothing, or
when the job's policy is to buy again what may have cost something; and never when the
job itself is at fault, because then it would fail anywhere.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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
"""Counted attempts of a job whose policy names no number: one at each of its offers, and this many more."""

TOLD_DELAY_S = 5.0
LONGEST_TOLD_S = 120.0
"""Pauses after what uses up no attempt grow from the one to the other, whatever the job's own policy says:
thousands may knock at one door, and a job that may knock for ever must not choose how often."""

SHORTEST_ASKED_S = 1.0  # `Retry-After: 0`, or a date that our clock has passed, must not go round in circles
LONGEST_ASKED_S = 3600.0  # a provider may ask for less, but not for a year

_MOST_DOUBLINGS = 30  # far beyond the longest pause, and far below what overflows a float


@dataclass(frozen=True, slots=True)
class Policy:
    """How often a job is tried, and how far apart.

    Attributes:
        max_attempts: counted attempts; None for one at each offer and `ATTEMPTS_BESIDES_OFFERS` more.
        first_delay_s: the first pause is a random part of this; each further one of twice as much.
        longest_delay_s: but never longer than this.
    """

    max_attempts: int | None = None
    first_delay_s: float = 2.0
    longest_delay_s: float = 300.0

    def attempts(self, offers: int) -> int:
        """How many counted attempts a job may use up that this many offers may make."""
        return offers + ATTEMPTS_BESIDES_OFFERS if self.max_attempts is None else self.max_attempts


def policy_of(*said: Mapping[str, Any] | None) -> Policy:
    """The policy of a job: each of `said` over what was said before it.

    None says nothing, nor does a name whose value is None.
    """
    told = {name: value for one in said for name, value in (one or {}).items() if value is not None}
    return Policy(**told)


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
    policy: Policy,
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
        policy: how often it is tried, and how far apart.
        jitter: 0..1, chosen by the caller; spreads retries that failed together.
    """
    if trouble.is_the_jobs or not _may_buy_again(trouble.billed, on_unknown):
        return None
    others = [name for name in offers if name != here]
    may_stay = here in offers and trouble.may_repeat and not trouble.is_out
    if not others and not may_stay:
        return None
    if counted_attempts >= policy.attempts(len({*offers, here})):
        return None
    if any(name not in tried and name not in shut for name in others):
        return Onward(timedelta(0), elsewhere=True)
    pause_s = _pause_s(trouble, failed_here, counted_attempts, policy)
    return Onward(timedelta(seconds=_asked_s(trouble) + jitter * pause_s), elsewhere=False)


def _may_buy_again(billed: Billed, on_unknown: OnUnknown) -> bool:
    match billed:
        case Billed.NO:
            return True
        case Billed.UNKNOWN:
            return on_unknown is OnUnknown.RESEND
        case Billed.YES:
            return False


def _asked_s(trouble: Trouble) -> float:
    """What the provider asked for, within bounds: nobody comes back earlier."""
    if trouble.retry_after_s is None:
        return 0.0
    return min(LONGEST_ASKED_S, max(SHORTEST_ASKED_S, trouble.retry_after_s))


def _pause_s(trouble: Trouble, failed_here: int, counted_attempts: int, policy: Policy) -> float:
    """The pause of which the job waits a random part, so that those who failed together come back apart.

    A random part of all of it, from nothing on: where many failed at one moment that spreads them best, see
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ (read 2026-11).
    """
    if not trouble.counts:
        return _grown(TOLD_DELAY_S, LONGEST_TOLD_S, failed_here)
    return _grown(policy.first_delay_s, policy.longest_delay_s, counted_attempts - 1)


def _grown(first_s: float, longest_s: float, times: int) -> float:
    """Twice as long each time, up to the longest."""
    return min(longest_s, first_s * 2.0 ** max(0, min(times, _MOST_DOUBLINGS)))
