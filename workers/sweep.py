"""What is looked after each second: dead workers' jobs, lost messages, kills that nobody carried out.

Every duty is safe to repeat and to run twice at once.
"""

import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from broker import Broker
from models import queries, transitions
from models.errors import StaleTransition
from models.job import Job
from models.lifecycle import StopOutcome
from models.session import Database
from models.transitions import Claim
from models.worker import SWEEP_LOCK, Worker
from providers.base import CancelOutcome, LostAnswer, Provider, Ticket
from providers.errors import ProviderError, ProviderFault

PATIENCE = timedelta(seconds=10)
"""A published message that nobody accepted for so long is lost: there was a free slot for it."""

KILLS_AT_ONCE = 50
"""Jobs ended in one sweep: each may be a request to a provider, and the dead workers wait meanwhile."""

KEEP_CANCELLING = timedelta(minutes=2)
"""A provider that does not answer is asked again for so long, before the job ends as not cancellable."""

HANGS_AFTER_S = 3.0
"""A provider that takes so long to give no answer is asked once in a sweep: dead workers wait meanwhile."""

logger = logging.getLogger("darkroom.sweep")


def sweep(database: Database, broker: Broker, providers: Mapping[str, Provider]) -> int:
    """Do every duty once; how many jobs were put back in the queue.

    One at a time: a second sweep would ask the providers the same things.
    """
    with database.engine.connect() as connection:
        lock = select(func.pg_try_advisory_lock(SWEEP_LOCK))
        if not connection.execute(lock).scalar_one():
            return 0
        connection.commit()  # the lock is the session's; no transaction stays open meanwhile
        try:
            return _do_every_duty(database, broker, providers)
        finally:
            connection.execute(select(func.pg_advisory_unlock(SWEEP_LOCK)))


def _do_every_duty(database: Database, broker: Broker, providers: Mapping[str, Provider]) -> int:
    moved = rescue_from_dead_workers(database) + recall_lost_messages(database)
    repeat_kills(database, broker)
    return moved + finish_kills(database, providers)


def rescue_from_dead_workers(database: Database) -> int:
    """The jobs of workers that were killed or have fallen silent wait for dispatch again."""
    with database.transaction() as session:
        rescued = sum(
            _bury(session, dead.id, dead.name, "silent" if dead.is_locked else "killed")
            for dead in queries.dead_workers(session)
        )
    with database.transaction() as session:
        # Accepted in the moment of the burial, or left when its worker ended in order.
        late = transitions.give_back(
            session, Job.worker_id.in_(queries.ended_workers()), "its worker had ended"
        )
    return rescued + len(late)


def _bury(session: Session, worker_id: int, name: str, why: str) -> int:
    """End the worker's row first: from then on nothing is accepted in its name."""
    session.execute(
        update(Worker)
        .where(Worker.id == worker_id, Worker.ended_at.is_(None))
        .values(ended_at=func.clock_timestamp())
    )
    rescued = transitions.rescue(session, Job.worker_id == worker_id, f"worker {name} was {why}")
    logger.warning(
        "Buried a worker.",
        extra={"event": "worker_dead", "worker_id": worker_id, "why": why, "rescued": len(rescued)},
    )
    return len(rescued)


def recall_lost_messages(database: Database) -> int:
    """Published, but accepted by nobody: the message was lost on the way."""
    with database.transaction() as session:
        lost = transitions.recall(
            session, Job.dispatched_at < func.clock_timestamp() - PATIENCE, "no worker took the message"
        )
    if lost:
        logger.warning("Recalled jobs.", extra={"event": "jobs_recalled", "count": len(lost)})
    return len(lost)


def finish_kills(database: Database, providers: Mapping[str, Provider]) -> int:
    """End the killed jobs that no worker holds, at the provider first; how many are to run on instead."""
    with database.transaction() as session:
        waiting = queries.unheld_kills(session, limit=KILLS_AT_ONCE)
    spared = 0
    silent: set[str] = set()
    for job in waiting:
        try:
            spared += _finish_kill(database, providers, silent, job)
        except StaleTransition:
            logger.info("A killed job found a worker.", extra={"event": "kill_deferred", "job_id": job.id})
        except Exception:
            # One job's trouble must not keep the others alive.
            logger.exception("Could not end a job.", extra={"event": "kill_failed", "job_id": job.id})
    return spared


def _finish_kill(
    database: Database, providers: Mapping[str, Provider], silent: set[str], job: Row[Any]
) -> bool:
    """End one job, or leave it for the next sweep; True if its picture was finished first."""
    how = _stop_at_provider(providers.get(job.provider), silent, job)
    if how is None:
        return False
    with database.transaction() as session:
        if how is CancelOutcome.FINISHED_FIRST:
            transitions.spare(session, job.id)
            return True
        transitions.kill_unheld(session, Claim(job.id, job.claim), how)
    return False


def _stop_at_provider(
    provider: Provider | None, silent: set[str], job: Row[Any]
) -> StopOutcome | Literal[CancelOutcome.FINISHED_FIRST] | None:
    """What became of it there; None when the provider has not said yet.

    A provider that hangs is put on the list of the `silent`, and no other job of this sweep waits for it.
    """
    if job.attempt_id is None:
        return StopOutcome.UNKNOWN if job.may_have_cost else StopOutcome.NEVER_STARTED
    # Without a ticket it is held, or its worker died between the intent and the ticket.
    unheard = StopOutcome.UNKNOWN if job.ticket is None else StopOutcome.CANNOT_CANCEL
    if provider is None:
        return unheard
    unanswered = None if job.waited < KEEP_CANCELLING else unheard
    if job.provider in silent:
        return unanswered
    asked_at = time.monotonic()
    try:
        return _stopped(provider, job)
    except ProviderError as exc:
        logger.warning(
            "Could not cancel.", extra={"event": "cancel_failed", "job_id": job.id, "error": exc.code}
        )
        if time.monotonic() - asked_at > HANGS_AFTER_S:
            silent.add(job.provider)
        return unanswered if isinstance(exc, ProviderFault) else unheard


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


def repeat_kills(database: Database, broker: Broker) -> None:
    """Revoke once more what should have stopped by now: the first revoke may have been lost."""
    with database.transaction() as session:
        uuids = queries.overdue_kills(session)
    if uuids:
        broker.revoke(uuids, terminate=True)
