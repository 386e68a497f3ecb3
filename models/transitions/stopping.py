"""The caller who wants it stopped."""

from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, true, update
from sqlalchemy.orm import Session

from models import attempts, lifecycle
from models.attempt import Attempt
from models.job import Job
from models.lifecycle import (
    AttemptState,
    Billed,
    Outcome,
    Status,
    StopOutcome,
)
from models.transitions.moving import Claim, move, step


def cancel(session: Session, job_id: int) -> bool:
    """Stop a job that no worker holds; True if it was stopped, False if it is running or has ended.

    Safe to call twice.  No worker needs to be alive: a later claim finds the job ended.
    """
    where = (Job.id == job_id) & (Job.status == Status.QUEUE) & ~attempts.are_open()
    return bool(
        move(
            session,
            lifecycle.CANCEL,
            where,
            claim=Job.claim + 1,  # a message already on its way must find another claim
            outcome=Outcome.CANCELLED,
            finished_at=func.clock_timestamp(),
            stopped_how=case(
                (attempts.may_have_cost(), StopOutcome.UNKNOWN.value), else_=StopOutcome.NEVER_STARTED.value
            ),
            reason="cancelled",
        )
    )


def request_kill(session: Session, job_id: int) -> bool:
    """Note that a living job shall stop; True if the intent now stands.

    The intent is carried out by whoever holds the job (`kill`), or by the sweep
    when nobody does.
    """
    hit = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.outcome.is_(None))
        .values(kill_requested_at=func.coalesce(Job.kill_requested_at, func.clock_timestamp()))
        .returning(Job.id)
    ).first()
    return hit is not None


def kill(session: Session, claim: Claim, how: StopOutcome, attempt_id: int | None = None) -> None:
    """The job was stopped while it was held; `how` tells what became of the money."""
    _end_killed(session, claim, how, None, attempt_id)


def kill_unheld(session: Session, claim: Claim, how: StopOutcome) -> None:
    """The job was stopped while no worker held it; one that has just been taken is its worker's to stop."""
    _end_killed(session, claim, how, Job.status == Status.QUEUE, None)


def _end_killed(
    session: Session,
    claim: Claim,
    how: StopOutcome,
    condition: ColumnElement[bool] | None,
    attempt_id: int | None,
) -> None:
    """The end of a killed job, on which no attempt stays open."""
    step(
        session,
        lifecycle.KILL,
        claim,
        condition,
        attempt_id=attempt_id,
        reason=f"killed: {how}",
        held_at=None,
        outcome=Outcome.KILLED,
        finished_at=func.clock_timestamp(),
        stopped_how=how,
    )
    state = AttemptState.UNKNOWN if how is StopOutcome.UNKNOWN else AttemptState.CANCELLED
    billed = Billed.NO if how is StopOutcome.NEVER_STARTED else Billed.UNKNOWN
    attempts.close(session, Attempt.job_id == claim.job_id, state, billed)


def spare(session: Session, job_id: int) -> None:
    """Withdraw the intent to kill: the picture was finished first, and is only to be fetched, now."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.outcome.is_(None))
        .values(
            kill_requested_at=None,
            stop_as=None,
            is_due=true(),
            run_at=func.least(Job.run_at, func.clock_timestamp()),
        )
    )


def cancel_late_ticket(session: Session, attempt_id: int) -> None:
    """The ticket of a job that has ended meanwhile was cancelled at its provider."""
    attempts.close(session, Attempt.id == attempt_id, AttemptState.CANCELLED, Billed.UNKNOWN)


def expire(session: Session, where: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Jobs that nobody has begun end because they are too late: (id, status) of each."""
    waits = (Job.status == Status.QUEUE) & ~attempts.are_open()
    return move(
        session,
        lifecycle.EXPIRE,
        waits & where,
        reason=reason,
        claim=Job.claim + 1,  # a message already on its way must find another claim
        outcome=Outcome.EXPIRED,
        finished_at=func.clock_timestamp(),
        stopped_how=case(
            (attempts.may_have_cost(), StopOutcome.UNKNOWN.value), else_=StopOutcome.NEVER_STARTED.value
        ),
        error_code="expired",
        error_message=reason,
    )
