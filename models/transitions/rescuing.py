"""The sweep: jobs are taken out of hands that cannot hold them any more; and what such hands say later."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, SQLColumnExpression, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from models import attempts, lifecycle, places
from models.attempt import Attempt
from models.event import JobEvent
from models.job import Job
from models.lifecycle import (
    MAX_WORKER_DEATHS,
    AttemptState,
    Billed,
    Outcome,
    Status,
)
from models.transitions.moving import BACK_WITH_ATTEMPT, BACK_WITHOUT_ATTEMPT, move

_DEATHS = r"^worker .* was (killed|silent)$|^its steps broke"
"""The reasons for which `rescue` was called, in the ledger."""


def give_back(session: Session, whose: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Put jobs back in the queue that nobody is running, through no fault of theirs: (id, status) of each."""
    held = _locked(session, whose)
    return move(session, lifecycle.RESCUE, held, reason=reason, **BACK_WITH_ATTEMPT)


def rescue(session: Session, whose: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Take jobs out of the hands of workers that died with them: (id, status) of each.

    Each gets a new claim at once, so a worker that was only frozen can no longer
    write; it waits for dispatch again, and its open attempt is taken over.  A job
    that has taken down too many workers is not run again.
    """
    held = _locked(session, whose)
    poisonous = Job.worker_deaths + 1 >= MAX_WORKER_DEATHS
    quarantined = move(
        session,
        lifecycle.FAIL,
        held & poisonous,
        reason=f"{reason}; quarantined: {MAX_WORKER_DEATHS} workers died with it",
        claim=Job.claim + 1,
        worker_deaths=Job.worker_deaths + 1,
        outcome=Outcome.FAILED,
        finished_at=func.clock_timestamp(),
        error_code="quarantined",
        error_message=_story(reason),
    )
    if quarantined:
        # Nobody will take these over: what was sent may have cost money.
        theirs = Attempt.job_id.in_([row.id for row in quarantined])
        attempts.close(session, theirs, AttemptState.UNKNOWN, Billed.UNKNOWN, error_code="quarantined")
    rescued = move(
        session,
        lifecycle.RESCUE,
        held,
        reason=reason,
        worker_deaths=Job.worker_deaths + 1,
        **BACK_WITH_ATTEMPT,
    )
    return quarantined + rescued


def _locked(session: Session, whose: ColumnElement[bool]) -> ColumnElement[bool]:
    """SQL: those of them that are in hands, which nobody else moves until this unit of work ends.

    By a statement of its own: the next one sees the attempt that such hands were just opening, and that
    the job goes back with.  In the order of their numbers, as workers lock the jobs that they move together.
    """
    rows = select(Job.id).where(whose, places.IN_HANDS).order_by(Job.id).with_for_update(key_share=True)
    return Job.id.in_(session.scalars(rows).all()) & whose & places.IN_HANDS


def _story(last_reason: str) -> ColumnElement[str]:
    """SQL: which workers died with the job, how, and when."""
    death = JobEvent.reason + " at " + _said(JobEvent.at)
    earlier = (
        select(func.string_agg(death, aggregate_order_by(literal("; "), JobEvent.seq)))
        .where(JobEvent.job_id == Job.id, JobEvent.reason.regexp_match(_DEATHS))
        .correlate(Job)
        .scalar_subquery()
    )
    last = literal(f"{last_reason} at ") + _said(func.clock_timestamp())
    whole = literal(f"{MAX_WORKER_DEATHS} workers died while they ran this job; it is not run again: ")
    return whole + func.concat_ws("; ", earlier, last)


def _said(at: SQLColumnExpression[datetime]) -> ColumnElement[str]:
    return func.to_char(func.timezone("UTC", at), 'YYYY-MM-DD HH24:MI:SS "UTC"')


def record_unbought(session: Session, attempt_id: int, why: str) -> bool:
    """Nothing was bought under this attempt, says the worker that alone could have; True if that was news.

    A fact, like a ticket: it needs no claim, and whoever has the job now learns of it.  A
    job that was held for want of it, or that somebody was about to hold, waits for a new
    attempt; an attempt that has ended is known to have cost nothing.  Safe to call twice.
    """
    job_id = attempts.lock_job_of(session, attempt_id)
    mine = (Attempt.id == attempt_id) & Attempt.ticket.is_(None)
    unbought = {"error_code": "unbought", "error_message": why}
    if attempts.end_unbilled(session, mine & Attempt.finished_at.is_(None), **unbought):
        _to_be_bought_anew(session, job_id, why)
        return True
    return attempts.end_unbilled(session, mine & (Attempt.billed == Billed.UNKNOWN))


def _to_be_bought_anew(session: Session, job_id: int, why: str) -> None:
    """From wherever it is, even from a worker's hands: that one could only have put it on hold."""
    whose = Job.id == job_id
    run_at = func.clock_timestamp()
    anew: dict[str, Any] = {**BACK_WITHOUT_ATTEMPT, "run_at": run_at, "reason": f"nothing was bought: {why}"}
    move(session, lifecycle.RELEASE, whose & (Job.status == Status.QUEUE), held_at=None, **anew)
    move(session, lifecycle.RESCUE, whose & places.IN_HANDS, **anew)
