"""Stopping a job that a caller no longer wants, for both doors.

Intent first, in Postgres; then the workers are told.  It holds with every worker
down: a later claim finds the job ended, or the intent.
"""

import logging
import time
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api.dependencies import Services
from api.names import job_called
from models import queries, transitions
from models.job import Job
from models.lifecycle import Outcome, Status

WAIT_S = 3.0
"""A worker learns of a kill within a second, and may have to ask its provider first."""

LOOK_EVERY_S = 0.05

logger = logging.getLogger("darkroom.api")


@dataclass(frozen=True, slots=True)
class Stop:
    """What became of the wish to stop a job.

    Attributes:
        job_id: the job.
        is_heeded: it was stopped, or whoever holds it has been told to.
        outcome: how it had already ended before the wish; None if it had not.
    """

    job_id: int
    is_heeded: bool
    outcome: Outcome | None


def cancel(services: Services, project_id: int, name: str, wait_s: float) -> Stop:
    """Stop a job that waits; leave one that runs.

    A job that waits after losing its worker may have been sent to a provider, and
    can only be stopped there: the intent is noted, and waited for up to `wait_s`.

    Raises:
        NotFound: the project has no such job.
    """
    with services.database.transaction() as session:
        job = job_called(session, project_id, name)
        is_stopped = transitions.cancel(session, job.id)
        _look_again(session, job)
        is_wanted = job.status is Status.QUEUE and transitions.request_kill(session, job.id)
    return _tell(services, job, is_stopped=is_stopped, is_wanted=is_wanted, wait_s=wait_s)


def kill(services: Services, project_id: int, name: str, wait_s: float) -> Stop:
    """Stop a job wherever it is; waits up to `wait_s` for whoever holds it to let go.

    Raises:
        NotFound: the project has no such job.
    """
    with services.database.transaction() as session:
        job = job_called(session, project_id, name)
        is_stopped = transitions.cancel(session, job.id)
        is_wanted = not is_stopped and transitions.request_kill(session, job.id)
        _look_again(session, job)
    return _tell(services, job, is_stopped=is_stopped, is_wanted=is_wanted, wait_s=wait_s)


def _look_again(session: Session, job: Job) -> None:
    """Read the row as it is now: the verbs write past the loaded object."""
    session.refresh(job)


def _tell(services: Services, job: Job, *, is_stopped: bool, is_wanted: bool, wait_s: float) -> Stop:
    """After the commit: tell the workers, wait for them if need be."""
    if is_stopped or is_wanted:
        event = "job_cancelled" if is_stopped else "kill_requested"
        logger.info(
            "Stopped a job." if is_stopped else "Asked a job to stop.",
            extra={"event": event, "job_id": job.id},
        )
        if job.dispatched_at is not None:
            services.bell.revoke([job.uuid], terminate=is_wanted)
    # Where too many wait already, the truth of this moment has to do.
    if is_wanted and services.waiters.acquire(blocking=False):
        try:
            _wait_for_the_end(services, job.id, wait_s)
        finally:
            services.waiters.release()
    return Stop(job.id, is_stopped or is_wanted, None if is_stopped else job.outcome)


def _wait_for_the_end(services: Services, job_id: int, wait_s: float) -> None:
    """Look until the job has ended; each look is a unit of work of its own."""
    deadline = time.monotonic() + wait_s
    while True:
        with services.database.transaction() as session:
            if queries.job(session, job_id).outcome is not None:
                return
        if time.monotonic() + LOOK_EVERY_S > deadline:
            return
        time.sleep(LOOK_EVERY_S)
