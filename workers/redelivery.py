"""What becomes of a delivery after a try.  Pure: what was answered, and chance, are arguments.

The pauses are those that Standard Webhooks recommend
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, read 2026-11).
"""

from dataclasses import dataclass
from datetime import timedelta

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""After the first try, the second ...; then it is given up, three days after it was owed."""

MOST_TRIES = len(PAUSES) + 1

JITTER = 0.2
"""A pause is so much longer or shorter: what failed together does not come together again."""

LONGEST_WISH = timedelta(hours=24)
"""Who asks to be left alone for longer is asked again all the same."""

OWED_AT_MOST = timedelta(days=7)
"""A receiver that is owed thousands, and hangs, gets them one at a time: the oldest end some time."""

HOPELESS_AFTER = timedelta(days=5)
"""A webhook that has taken nothing for so long is disabled: every single delivery was tried to its end."""

GONE = 410
_SUCCESSES = range(200, 300)
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver said.

    Attributes:
        status: of HTTP; None when nothing answered.
        error: what went wrong, when nothing answered.
        retry_after_s: seconds it asked to be left alone; None when it did not.
    """

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has it."""
        return self.status in _SUCCESSES

    @property
    def complaint(self) -> str | None:
        """Why it was not taken, for people; None when it was."""
        if self.status is None:
            return self.error
        if self.is_taken:
            return None
        hint = ": redirects are not followed" if self.status in _REDIRECTS else ""
        return f"answered {self.status}{hint}"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Later:
    """It is tried again, so much later."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It is not tried again.

    Attributes:
        is_gone: the receiver says that it is to be told nothing any more.
    """

    is_gone: bool = False


Fate = Delivered | Later | GivenUp


def fate(reply: Reply, *, tries: int, owed_for: timedelta, is_test: bool, chance: float) -> Fate:
    """What becomes of a delivery.

    Args:
        reply: to the last try.
        tries: how many there have been.
        owed_for: since it was owed.
        is_test: somebody looks on, and tries again by hand.
        chance: from 0 to 1, drawn anew for each.
    """
    if reply.is_taken:
        return Delivered()
    if reply.status == GONE:
        return GivenUp(is_gone=True)
    if is_test or tries >= MOST_TRIES or owed_for >= OWED_AT_MOST:
        return GivenUp()
    pause = PAUSES[tries - 1] * (1 + JITTER * (2 * chance - 1))
    wished = timedelta(seconds=reply.retry_after_s or 0)
    return Later(max(pause, min(wished, LONGEST_WISH)))


def is_hopeless(failing_for: timedelta) -> bool:
    """Whether a webhook is to be disabled that has taken nothing for so long."""
    return failing_for >= HOPELESS_AFTER
