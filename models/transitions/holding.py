"""The person who decides about a held job."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Row, func
from sqlalchemy.orm import Session

from models import attempts, lifecycle
from models.attempt import Attempt
from models.job import Job
from models.lifecycle import (
    AttemptState,
    Billed,
    Outcome,
    StopOutcome,
)
from models.transitions.moving import BACK_WITH_ATTEMPT, BACK_WITHOUT_ATTEMPT, move


def release(session: Session, where: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Held jobs wait for their turn again, with what attempt is open: (id, status) of each."""
    return _released(session, where, reason, BACK_WITH_ATTEMPT)


def _released(
    session: Session, where: ColumnElement[bool], reason: str, how: Mapping[str, Any]
) -> list[Row[Any]]:
    held = Job.held_at.is_not(None) & where
    run_at = func.clock_timestamp()
    return move(session, lifecycle.RELEASE, held, reason=reason, held_at=None, run_at=run_at, **how)


def resend(session: Session, job_id: int, why: str) -> bool:
    """Write the held job's attempt off and buy again, maybe for the second time; False if it is not held.

    Of two who decide at once, one does.  A job that is to be killed is not bought again.
    """
    is_wanted = (Job.id == job_id) & Job.kill_requested_at.is_(None)
    if not _released(session, is_wanted, f"to be sent again: {why}", BACK_WITHOUT_ATTEMPT):
        return False
    attempts.close(session, Attempt.job_id == job_id, AttemptState.WRITTEN_OFF, Billed.UNKNOWN)
    return True


def adopt(session: Session, job_id: int, ticket: Mapping[str, Any]) -> bool:
    """The held job goes on with a ticket that a person found at the provider; False if it is not held."""
    if not release(session, Job.id == job_id, "found at the provider"):
        return False
    return attempts.give_ticket(session, Attempt.job_id == job_id, ticket)


def give_up(session: Session, job_id: int) -> bool:
    """The held job fails; its attempt stays unknown, since it may cost money.  False if it is not held."""
    ended = move(
        session,
        lifecycle.FAIL,
        (Job.id == job_id) & Job.held_at.is_not(None),
        reason="given up",
        claim=Job.claim + 1,
        held_at=None,
        outcome=Outcome.FAILED,
        finished_at=func.clock_timestamp(),
        error_code=StopOutcome.UNKNOWN,
        error_message="the answer to a paid request was lost and the job given up; it may have cost money",
    )
    if ended:
        attempts.close(session, Attempt.job_id == job_id, AttemptState.UNKNOWN, Billed.UNKNOWN)
    return bool(ended)
