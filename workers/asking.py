"""Asking a provider what is free to repeat, and what follows when it gives no answer."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from providers.base import Ticket
from providers.errors import ProviderError, ProviderFault, RateLimited
from workers import failing, stopping, windows
from workers.turn import Work

MAX_ASK_ERRORS = 5
"""Failures in a row before the job is put aside, with its ticket, for a while."""

ASIDE_S = (15.0, 3600.0)
"""Shortest and longest time it is put aside; in between, half the attempt's age: few asks reach far."""

LONGEST_PAUSE_S = 30.0

logger = logging.getLogger("darkroom.generate")

T = TypeVar("T")


def ask(work: Work, ticket: Ticket | None, question: Callable[[], T]) -> T:
    """The provider's answer to a question that is free to repeat.

    A ticket is never given up because of a question, nor is a request whose ticket is
    asked for sent again: when there is no answer, the job is put aside with what is
    open, and asked for again later.

    Raises:
        FinishedEarly: there was no answer, or the job was to stop meanwhile.
    """
    for failures in range(1, MAX_ASK_ERRORS + 1):
        try:
            return question()
        except ProviderError as exc:
            logger.warning(
                "The provider did not answer.", extra=work.turn.fields(event="ask_failed", error=exc.code)
            )
            if isinstance(exc, RateLimited):
                _hush(work, exc.retry_after_s)
            if failures == MAX_ASK_ERRORS or not isinstance(exc, ProviderFault):
                failing.tell(work, exc)
                reason = f"the provider gave no answer: {exc.code}: {exc.message}"
                raise work.handed_over(reason, aside(work)) from exc
            _pause(work, ticket, exc.retry_after_s or 2.0**failures)
    raise AssertionError("unreachable: the last failure raises")


def _hush(work: Work, asked_s: float | None) -> None:
    """Everybody leaves the provider alone for a while, so that what is begun can be asked for."""
    turn = work.turn
    turn.patiently(lambda: windows.hush(turn.bench.database, work.attempt.provider, asked_s))


def aside(work: Work) -> timedelta:
    """How long the job is put aside."""
    shortest_s, longest_s = ASIDE_S
    return timedelta(seconds=min(longest_s, max(shortest_s, work.age_s / 2)))


def _pause(work: Work, ticket: Ticket | None, seconds: float) -> None:
    """Wait before asking again; a stop is heeded, once."""
    seconds = min(LONGEST_PAUSE_S, seconds)
    if work.turn.is_stopping:
        time.sleep(seconds)
    elif work.turn.stop.wait(seconds):
        work.turn.is_stopping = True
        stopping.heed(work, ticket)
