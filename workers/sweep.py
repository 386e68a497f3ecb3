"""What is looked after each second: dead workers' jobs, lost messages, what is too late or to stop.

Every duty is safe to repeat and to run twice at once.
"""

import logging
from datetime import timedelta

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from broker import Broker
from models import queries, transitions
from models.job import Job
from models.session import Database
from models.worker import SWEEP_LOCK, Worker
from workers import wishes

PATIENCE = timedelta(seconds=10)
"""A published message that nobody accepted for so long is lost: there was a free slot for it."""

ALONE_FOR_S = 10.0
"""A sweep takes a second or two: one that takes so long is frozen, and dead workers must not wait for it."""

logger = logging.getLogger("darkroom.sweep")


def sweep(database: Database, broker: Broker) -> int:
    """Do every duty once; how many jobs were put back in the queue.  One at a time: two would do the same."""
    with database.alone(SWEEP_LOCK, at_most_s=ALONE_FOR_S) as is_ours:
        return _do_every_duty(database, broker) if is_ours else 0


def _do_every_duty(database: Database, broker: Broker) -> int:
    """Dead workers first; nothing here waits for a provider, and what takes long is done bit by bit."""
    moved = rescue_from_dead_workers(database) + recall_lost_messages(database)
    if moved:
        broker.ring()  # before anything else: they have waited for seconds
    wishes.expire_late(database, broker)
    wishes.stop_campaigns(database, broker)
    repeat_kills(database, broker)
    return moved


def rescue_from_dead_workers(database: Database) -> int:
    """The jobs of workers that were killed or have fallen silent wait for dispatch again."""
    rescued = 0
    while (taken := _bury_one(database)) is not None:
        rescued += taken
    with database.transaction() as session:
        # Accepted in the moment of the burial, or left when its worker ended in order.
        late = transitions.give_back(
            session, Job.worker_id.in_(queries.ended_workers()), "its worker had ended"
        )
    return rescued + len(late)


def _bury_one(database: Database) -> int | None:
    """The first of the dead, and how many jobs it had; None when nobody is dead.

    A unit of work for each: what one of them cost locks its project, and whoever moves the
    next one's jobs may be waiting for that.
    """
    with database.transaction() as session:
        dead = next(iter(queries.dead_workers(session)), None)
        if dead is None:
            return None
        return _bury(session, dead.id, dead.name, "silent" if dead.is_locked else "killed")


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


def repeat_kills(database: Database, broker: Broker) -> None:
    """Revoke once more what should have stopped by now: the first revoke may have been lost."""
    with database.transaction() as session:
        uuids = queries.overdue_kills(session)
    if uuids:
        broker.revoke(uuids, terminate=True)
