"""How many jobs a second a place in the fair turn gets while somebody waits in it.  Pure: no clock.

What it had lately and the seconds in which it had that are kept side by side, and fade alike.
A count alone would take a lane that began five seconds ago for one that had next to nothing
in the minute before.
"""

import math
from datetime import datetime
from typing import Protocol

FADING_S = 60.0
"""Of what a place had lately, what is older than this counts for little (1/e)."""

LULL_S = 30.0
"""After so long without a job a place begins anew: a pause, or an outage, is no pace."""

LEAST_S = 3.0
"""From fewer seconds no rate is told."""


class Recent(Protocol):
    """What a place remembers of its pace."""

    @property
    def served_at(self) -> datetime:
        """When it had a job the last time."""

    @property
    def recent_jobs(self) -> float:
        """How many it had lately, those of long ago faded."""

    @property
    def recent_s(self) -> float:
        """The seconds in which it had those and somebody waited, faded alike."""


def counted(before: Recent | None, since: datetime, jobs: int, now: datetime) -> tuple[float, float]:
    """`recent_jobs` and `recent_s` of a place that has just got so many jobs.

    Those with which it begins are not counted: they fill places that were free, and say
    nothing of how fast places become free.

    Args:
        before: what it remembers; None when it has never been served.
        since: when the oldest of those who wait in it became due.
        jobs: how many it got.
        now: the time.
    """
    if before is None or _age_s(before, now) > LULL_S:
        return 0.0, 0.0
    fading = _fading(before, now)
    if since > before.served_at:  # nobody waited for a while: it had what it wanted, not what there was
        return before.recent_jobs * fading, before.recent_s * fading
    return before.recent_jobs * fading + jobs, before.recent_s * fading + FADING_S * (1 - fading)


def rate_per_s(recent: Recent, now: datetime) -> float | None:
    """Jobs a second that a place gets in which somebody waits; None when what it remembers does not tell."""
    if _age_s(recent, now) > LULL_S:
        return None
    fading = _fading(recent, now)
    jobs, seconds = recent.recent_jobs * fading, recent.recent_s * fading + FADING_S * (1 - fading)
    return jobs / seconds if jobs > 0 and seconds >= LEAST_S else None


def _fading(recent: Recent, now: datetime) -> float:
    return math.exp(-_age_s(recent, now) / FADING_S)


def _age_s(recent: Recent, now: datetime) -> float:
    return max(0.0, (now - recent.served_at).total_seconds())
