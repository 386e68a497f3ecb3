"""How wide the window of a provider is that refused a request.  Pure: no clock, no database."""

from datetime import datetime, timedelta

WIDER_EVERY = timedelta(seconds=15)
"""A window that a refusal narrowed widens by the square of these: 1, 4, 9 ... requests more."""


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
