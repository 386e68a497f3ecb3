"""How wide the window of a provider is that refused a request.  Pure: no clock, no database."""

from datetime import datetime, timedelta

WIDER_EVERY = timedelta(seconds=15)
"""A window that a refusal narrowed widens by the square of these: 1, 4, 9 ... requests more."""

FEW = 30
"""So many at a time are few for any provider: worth knowing also while nothing is there."""


def width(learnt: int | None, learnt_at: datetime | None, now: datetime) -> int | None:
    """What refusals have taught, and time has made doubtful; None when there was none.

    Args:
        learnt: requests it had when it refused one more.
        learnt_at: when.
        now: the time.
    """
    if learnt is None or learnt_at is None:
        return None
    return learnt + int(max(0, (now - learnt_at) // WIDER_EVERY)) ** 2


def narrows(window: int, told: int | None, in_flight: int) -> bool:
    """Whether a window keeps out what would be let in without it, or is near to.

    One that was learnt long ago has widened until it is no news any more.

    Args:
        window: how wide it is by now.
        told: the limit that holds anyway: the operator's, or what the provider documents.
        in_flight: jobs that are there.
    """
    return (told is None or window < told) and window < max(FEW, 2 * in_flight)
