"""Whether a failed attempt is followed by another, and when.  Pure: no clock, no database."""

from dataclasses import dataclass
from datetime import timedelta

MAX_ATTEMPTS = 3
FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 300.0
RATE_LIMIT_DELAY_S = 5.0
LONGEST_ASKED_S = 3600.0  # a provider may ask for less, but not for a year


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a failed attempt says about another one.

    Attributes:
        retryable: another attempt may succeed.
        retry_after_s: what the provider asked for; None when it did not say.
        counts: the attempt uses up one of `MAX_ATTEMPTS`; being told to wait does not.
    """

    retryable: bool
    retry_after_s: float | None
    counts: bool


def next_delay(trouble: Trouble, counted_attempts: int, jitter: float) -> timedelta | None:
    """How long to wait before the next attempt; None when there is none.

    Args:
        trouble: how the latest attempt failed.
        counted_attempts: attempts that were used up, the latest included if it counts.
        jitter: 0..1, chosen by the caller; spreads retries that failed together.
    """
    if not trouble.retryable or counted_attempts >= MAX_ATTEMPTS:
        return None
    if trouble.retry_after_s is not None:
        return timedelta(seconds=min(LONGEST_ASKED_S, trouble.retry_after_s) * (1 + 0.1 * jitter))
    if not trouble.counts:
        return timedelta(seconds=RATE_LIMIT_DELAY_S * (0.5 + jitter))
    doubled = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** max(0, counted_attempts - 1))
    return timedelta(seconds=doubled * (0.5 + 0.5 * jitter))
