"""What is looked after each second: dead workers' jobs, lost messages, kills that nobody carried out.

Every duty is safe to repeat and to run twice at once.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, func, update
from sqlalchemy.orm import Session

from broker import Broker
from models import queries, transitions
from models.errors import StaleTransition
from models.job import Job
from models.lifecycle import StopOutcome
from models.session import Database
from models.transitions import Claim
from models.worker import Worker
from providers.base import CancelOutcome, Provider
from providers.errors import ProviderError

PATIENCE = timedelta(seconds=10)
"""A published message that nobody accepted for so long is lost: there was a free slot for it."""

logger = logging.getLogger("darkroom.sweep")


def sweep(database: Database, broker: Broker, providers: Mapping[str, Provider]) -> int:
    """Do every duty once; how many jobs were put back in the queue."""
    moved = rescue_from_dead_workers(database) + recall_lost_messages(database)
    finish_kills(database, providers)
    repeat_kills(database, broker)
    return moved


def rescue_from_dead_workers(database: Database) -> int:
    """The jobs of workers that were killed or have fallen silent wait for dispatch again."""
    with database.transaction() as session:
        return sum(
            _bury(session, dead.id, dead.name, "silent" if dead.is_locked else "killed")
            for dead in queries.dead_workers(session)
        )


def _bury(session: Session, worker_id: int, name: str, why: str) -> int:
    rescued = transitions.rescue(session, Job.worker_id == worker_id, f"worker {name} was {why}")
    session.execute(
        update(Worker)
        .where(Worker.id == worker_id, Worker.ended_at.is_(None))
        .values(ended_at=func.clock_timestamp())
    )
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


def finish_kills(database: Database, providers: Mapping[str, Provider]) -> None:
    """End the killed jobs that no worker holds, at the provider first."""
    with database.transaction() as session:
        waiting = queries.unheld_kills(session)
    for job in waiting:
        how = _stop_at_provider(providers.get(job.provider), job)
        try:
            with database.transaction() as session:
                transitions.kill(session, Claim(job.id, job.claim), how, job.attempt_id)
        except StaleTransition:
            logger.info("A killed job found a worker.", extra={"event": "kill_deferred", "job_id": job.id})


def _stop_at_provider(provider: Provider | None, job: Row[Any]) -> StopOutcome:
    if job.attempt_id is None:
        return StopOutcome.NEVER_STARTED
    if job.ticket is None:
        return StopOutcome.UNKNOWN  # its worker died between the intent and the ticket
    if provider is None:
        return StopOutcome.CANNOT_CANCEL
    try:
        cancelled = provider.cancel(job.ticket) is CancelOutcome.CANCELLED
    except ProviderError as exc:
        logger.warning(
            "Could not cancel.", extra={"event": "cancel_failed", "job_id": job.id, "error": exc.code}
        )
        cancelled = False
    return StopOutcome.CANCELLED if cancelled else StopOutcome.CANNOT_CANCEL


def repeat_kills(database: Database, broker: Broker) -> None:
    """Revoke once more what should have stopped by now: the first revoke may have been lost."""
    with database.transaction() as session:
        uuids = queries.overdue_kills(session)
    if uuids:
        broker.revoke(uuids, terminate=True)
