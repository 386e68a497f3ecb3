"""How many requests a provider takes at a time, learnt from its refusals.  Pure: no clock, no database.

It says 429 when it has as many as it wants: then so many are its window, for everybody.
It is left alone for as long as it asked, or for 1 s, 2 s, 4 s ... while it keeps refusing.
With time the window widens again (`models.widths`): it may be another hour of its
day, or another size of our account.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.widths import width

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LONGEST_ASKED_S = 3600.0
"""A provider may ask for less, but not for a year."""


@dataclass(frozen=True, slots=True)
class Window:
    """What refusals have taught of one provider.

    Attributes:
        learnt: requests it had when it refused one more; None when it never did.
        learnt_at: when.
        quiet_until: nothing new is sent before.
        refusals: in a row, those of one burst counted once.
    """

    learnt: int | None
    learnt_at: datetime | None
    quiet_until: datetime | None
    refusals: int


def refused(
    before: Window,
    *,
    held: int,
    sent_at: datetime,
    asked_s: float | None,
    was_of_use: bool,
    now: datetime,
) -> Window:
    """The window once a request was refused because there are too many.

    Args:
        before: as it was.
        held: the requests that the provider has.
        sent_at: when the refused one was about to be sent.
        asked_s: for how long the provider asked to be left alone; None when it did not say.
        was_of_use: it made a picture since the last refusal.
        now: the time.
    """
    if _is_same_burst(before, sent_at, now):
        # Tickets that were on their way at the first refusal have come: it does take so many.
        return replace(_quieted(before, asked_s, now), learnt=max(before.learnt or 1, held))
    refusals = 1 if was_of_use else before.refusals + 1
    wide = width(before.learnt, before.learnt_at, now)
    return Window(
        learnt=max(1, held if wide is None else min(wide, held)),
        learnt_at=now,
        quiet_until=now + _pause(asked_s, refusals),
        refusals=refusals,
    )


def hushed(before: Window, asked_s: float | None, now: datetime) -> Window:
    """The window once a question was refused because there are too many: that says nothing of its width."""
    if before.quiet_until is not None and now < before.quiet_until:
        return _quieted(before, asked_s, now)
    return replace(
        before, quiet_until=now + _pause(asked_s, before.refusals + 1), refusals=before.refusals + 1
    )


def _is_same_burst(before: Window, sent_at: datetime, now: datetime) -> bool:
    """Whether a hundred refusals are one: all were sent before anybody knew."""
    if before.learnt_at is None or before.quiet_until is None:
        return False
    return sent_at <= before.learnt_at or now < before.quiet_until


def _quieted(before: Window, asked_s: float | None, now: datetime) -> Window:
    """The longest of what it asked for holds."""
    if asked_s is None or before.quiet_until is None:
        return before
    return replace(before, quiet_until=max(before.quiet_until, now + _pause(asked_s, before.refusals)))


def _pause(asked_s: float | None, refusals: int) -> timedelta:
    if asked_s is not None:
        return timedelta(seconds=min(LONGEST_ASKED_S, max(FIRST_PAUSE_S, asked_s)))
    return timedelta(seconds=min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(refusals - 1, 10)))
