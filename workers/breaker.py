"""When an offer that gives trouble is left alone, and when it is tried again.  Pure: no clock, no database.

closed ── five failures in a row, or an account that is shut ──▶ open
open ── its time has passed: one job is let through ──▶ half open
half open ── more trouble ──▶ open, for twice as long
half open ── no sign in a minute ──▶ the next job is let through
open, half open ── any sign of life ──▶ closed
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from models.lifecycle import BreakerState

FAILURES_TO_OPEN = 5
"""In a row: one bad answer among good ones is the weather, five without a good one are not."""

SHORTEST_OPEN = timedelta(seconds=15)
LONGEST_OPEN = timedelta(seconds=300)

PROBE_FOR = timedelta(seconds=60)
"""So long the one job has to give a sign; a worker that died with it must not shut the offer for ever."""


class Sign(StrEnum):
    """What one answer says about an offer."""

    ALIVE = "alive"  # it works, whatever it said: a picture, moderation, a refused parameter, a 429
    TROUBLE = "trouble"  # it does not answer, or not as it should
    SHUT = "shut"  # our account there is refused: the next request would be too


class Passage(StrEnum):
    """Who is let through."""

    ALL = "all"
    ONE = "one"  # to see
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Breaker:
    """One offer's switch.

    Attributes:
        state: whether it is used.
        failures: in a row.
        opened_at: for the first time since it was last closed.
        retry_at: when open, not before.
        probe_until: when half open, so long the one job has to give a sign.
    """

    state: BreakerState
    failures: int
    opened_at: datetime | None
    retry_at: datetime | None
    probe_until: datetime | None


HEALTHY = Breaker(BreakerState.CLOSED, failures=0, opened_at=None, retry_at=None, probe_until=None)


def after(breaker: Breaker, sign: Sign, now: datetime) -> Breaker:
    """The breaker once a sign has come."""
    match sign:
        case Sign.ALIVE:
            return HEALTHY
        case Sign.SHUT:
            return _opened(breaker, max(FAILURES_TO_OPEN, breaker.failures + 1), now)
        case Sign.TROUBLE if breaker.state is BreakerState.OPEN:
            # From jobs that were there before it opened: a hundred of them are one outage.
            return breaker
        case Sign.TROUBLE if breaker.failures + 1 >= FAILURES_TO_OPEN:
            return _opened(breaker, breaker.failures + 1, now)
        case Sign.TROUBLE:
            return replace(breaker, failures=breaker.failures + 1)


def passage(breaker: Breaker, now: datetime) -> Passage:
    """Who is let through."""
    match breaker.state:
        case BreakerState.CLOSED:
            return Passage.ALL
        case BreakerState.OPEN:
            return Passage.ONE if _is_past(breaker.retry_at, now) else Passage.NONE
        case BreakerState.HALF_OPEN:
            return Passage.ONE if _is_past(breaker.probe_until, now) else Passage.NONE


def probing(breaker: Breaker, now: datetime) -> Breaker:
    """The breaker once one job has been let through."""
    return replace(breaker, state=BreakerState.HALF_OPEN, retry_at=None, probe_until=now + PROBE_FOR)


def _opened(breaker: Breaker, failures: int, now: datetime) -> Breaker:
    if breaker.state is BreakerState.OPEN:
        # Already: the account is as shut as it was, and its time is running.
        return breaker
    return Breaker(
        BreakerState.OPEN,
        failures=failures,
        opened_at=breaker.opened_at or now,
        retry_at=now + _open_for(failures),
        probe_until=None,
    )


def _open_for(failures: int) -> timedelta:
    """Twice as long after each probe that failed."""
    doublings = min(failures - FAILURES_TO_OPEN, 10)  # far beyond the longest
    times: int = 2**doublings
    return min(LONGEST_OPEN, SHORTEST_OPEN * times)


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is None or moment <= now
