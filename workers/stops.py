"""What is to stop and no worker holds is ended here, at its provider first.

A provider may take its time, so this is no duty of the sweep: dead workers' jobs
must not wait for it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Row

from models import queries, transitions
from models.errors import StaleTransition
from models.lifecycle import StopOutcome
from models.session import Database
from models.transitions import Claim
from models.worker import STOP_LOCK
from providers.base import CancelOutcome, LostAnswer, Provider, Ticket
from providers.errors import ProviderError, ProviderFault
from workers.patience import skipped_while_away

PAGE = 200
"""Jobs looked at together."""

HANDS = 8
"""Requests to providers at a time; each needs a connection to Postgres afterwards."""

ENOUGH_S = 10.0
"""One call goes on so long while there is more; what is new then gets its turn."""

KEEP_CANCELLING = timedelta(minutes=2)
"""A provider that does not answer is asked again for so long, before the job ends as not cancellable."""

HANGS_AFTER_S = 3.0
"""A provider that takes so long to give no answer is asked once in a call: the others wait meanwhile."""

ALONE_FOR_S = 60.0
"""A provider that hangs makes a call last longer than `ENOUGH_S`; who takes so long is frozen."""

logger = logging.getLogger("darkroom.stops")


def finish_stops(
    database: Database, providers: Mapping[str, Provider], clock: Callable[[], float] = time.monotonic
) -> int:
    """End the jobs that are to stop and that no worker holds; how many are to run on instead.

    One at a time: a second would ask the providers the same things.
    """
    with database.alone(STOP_LOCK, at_most_s=ALONE_FOR_S) as is_ours:
        return _Round(database, providers, clock).finish() if is_ours else 0


class _Round:
    """One look at all that is to stop, page by page."""

    def __init__(
        self, database: Database, providers: Mapping[str, Provider], clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._providers = providers
        self._clock = clock
        self._silent: set[str] = set()  # providers that hang: no other job of this round waits for them

    def finish(self) -> int:
        ends_at = self._clock() + ENOUGH_S
        spared = 0
        last: Row[Any] | None = None
        with ThreadPoolExecutor(HANDS) as hands:
            while (page := self._page(last)) and self._clock() < ends_at:
                last = page[-1]
                # Each provider once before any of them many times: one that hangs is asked no more.
                for jobs in _first_of_each_provider(page):
                    spared += sum(hands.map(self._end, jobs))
        return spared

    def _page(self, after: Row[Any] | None) -> list[Row[Any]]:
        with self._database.transaction() as session:
            return queries.unheld_kills(session, PAGE, after)

    def _end(self, job: Row[Any]) -> bool:
        """End one job, or leave it for the next call; True if its picture was finished first."""
        try:
            with skipped_while_away(job_id=job.id):
                return self._ended(job)
        except StaleTransition:
            logger.info("A killed job found a worker.", extra={"event": "kill_deferred", "job_id": job.id})
        except Exception:
            # One job's trouble must not keep the others alive.
            logger.exception("Could not end a job.", extra={"event": "kill_failed", "job_id": job.id})
        return False

    def _ended(self, job: Row[Any]) -> bool:
        how = self._stop_at_provider(job)
        if how is None:
            return False
        with self._database.transaction() as session:
            if how is CancelOutcome.FINISHED_FIRST:
                transitions.spare(session, job.id)
                return True
            transitions.kill_unheld(session, Claim(job.id, job.claim), how)
        return False

    def _stop_at_provider(self, job: Row[Any]) -> StopOutcome | Literal[CancelOutcome.FINISHED_FIRST] | None:
        """What became of it there; None when the provider has not said yet."""
        if job.attempt_id is None:
            return StopOutcome.UNKNOWN if job.may_have_cost else StopOutcome.NEVER_STARTED
        # Without a ticket it is held, or its worker died between the intent and the ticket.
        unheard = StopOutcome.UNKNOWN if job.ticket is None else StopOutcome.CANNOT_CANCEL
        provider = self._providers.get(job.provider)
        if provider is None:
            return unheard
        unanswered = None if job.waited < KEEP_CANCELLING else unheard
        if job.provider in self._silent:
            return unanswered
        asked_at = self._clock()
        try:
            return _stopped(provider, job)
        except ProviderError as exc:
            logger.warning(
                "Could not cancel.", extra={"event": "cancel_failed", "job_id": job.id, "error": exc.code}
            )
            if self._clock() - asked_at > HANGS_AFTER_S:
                self._silent.add(job.provider)
            return unanswered if isinstance(exc, ProviderFault) else unheard


def _first_of_each_provider(page: Iterable[Row[Any]]) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
    """One job of each provider, and all the others."""
    first: dict[str | None, Row[Any]] = {}
    others = [job for job in page if first.setdefault(job.provider, job) is not job]
    return list(first.values()), others


def _stopped(provider: Provider, job: Row[Any]) -> StopOutcome | Literal[CancelOutcome.FINISHED_FIRST]:
    ticket = job.ticket or _found(provider, job)
    if ticket is None:
        return StopOutcome.UNKNOWN
    match provider.cancel(ticket):
        case CancelOutcome.CANCELLED:
            return StopOutcome.CANCELLED
        case CancelOutcome.FINISHED_FIRST if not job.was_fetched:
            return CancelOutcome.FINISHED_FIRST
        case CancelOutcome.FINISHED_FIRST | CancelOutcome.CANNOT_CANCEL:
            # Fetched in vain, or it would not wait here: spared each time, it could never be stopped.
            return StopOutcome.CANNOT_CANCEL


def _found(provider: Provider, job: Row[Any]) -> Ticket | None:
    """The ticket of a request that may have been sent, where its provider can be asked for it."""
    return provider.find(str(job.attempt_uuid)) if provider.on_lost_answer is LostAnswer.ASK else None
