"""What `transitions` writes about attempts: each is one submission, and a job has at most one that is open.

Knows nothing of a job's status; whoever calls these holds the job's row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, case, func, select, update
from sqlalchemy.orm import Session

from models import lifecycle
from models.attempt import Attempt
from models.job import Job
from models.lifecycle import AttemptState, Billed, Status

IDENTITY = ("taskid", "task_uuid", "id")
"""What the providers' tickets call their own id of a request."""


LOG_MAX_CHARS = 8000
"""Of what a provider said in an attempt so many characters are kept, the last ones."""

_IN_DOUBT = (AttemptState.INTENT, AttemptState.UNKNOWN, AttemptState.WRITTEN_OFF)
"""Nobody could say whether they cost anything."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """The attempt that a claim works on.

    Attributes:
        uuid: its key at the provider.
        state: how far it got: a new one is an `intent`.
        ticket: the provider's, when it has been submitted.
        intended_at: when it was made.
        submitted_at: when the ticket came.
        is_taken_over: an earlier claim left it open.
    """

    id: int
    uuid: UUID
    number: int
    provider: str
    remote_id: str
    state: AttemptState
    ticket: Mapping[str, Any] | None
    intended_at: datetime
    submitted_at: datetime | None
    is_taken_over: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """What a picture cost.

    Attributes:
        usd: None when nobody knows, never 0 for that.
        is_estimate: it is the catalogue's price; the provider did not say.
    """

    usd: Decimal | None
    is_estimate: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt or a job failed.

    Attributes:
        code: a stable machine word.
        message: a sentence for people.
        cost_usd: what the provider said it cost all the same.
        state: how the attempt ends: FAILED, or when its answer was lost UNKNOWN or WRITTEN_OFF.
        request_id: the provider's own id for the request, for their support.
        billed: a word of `Billed`; None when the provider did not say.
    """

    code: str
    message: str
    cost_usd: Decimal | None = None
    state: AttemptState = AttemptState.FAILED
    request_id: str | None = None
    billed: str | None = None


def take_or_make(session: Session, job_id: int, provider: str, remote_id: str, key: UUID) -> Assigned:
    """The open attempt that an earlier claim left, whatever its provider, or a new intent under this key."""
    left = session.scalars(
        select(Attempt).where(Attempt.job_id == job_id, Attempt.state.in_(lifecycle.OPEN_ATTEMPTS))
    ).one_or_none()
    attempt = left or _make(session, job_id, provider, remote_id, key)
    return _assigned(attempt, is_taken_over=left is not None)


def intent_of(session: Session, job_id: int, key: UUID) -> Assigned | None:
    """The job's intent under this key, under which nothing was sent yet; None when there is none."""
    intent = (Attempt.uuid == key) & (Attempt.job_id == job_id) & (Attempt.state == AttemptState.INTENT)
    attempt = session.scalars(select(Attempt).where(intent)).one_or_none()
    return None if attempt is None else _assigned(attempt, is_taken_over=False)


def _assigned(attempt: Attempt, *, is_taken_over: bool) -> Assigned:
    return Assigned(
        id=attempt.id,
        uuid=attempt.uuid,
        number=attempt.number,
        provider=attempt.provider,
        remote_id=attempt.remote_id,
        state=attempt.state,
        ticket=attempt.ticket,
        intended_at=attempt.intended_at,
        submitted_at=attempt.submitted_at,
        is_taken_over=is_taken_over,
    )


def _make(session: Session, job_id: int, provider: str, remote_id: str, key: UUID) -> Attempt:
    earlier = (
        select(func.coalesce(func.max(Attempt.number), 0)).where(Attempt.job_id == job_id).scalar_subquery()
    )
    reserved = select(Job.reserved_usd).where(Job.id == job_id).scalar_subquery()
    attempt = Attempt(
        uuid=key,
        job_id=job_id,
        number=earlier + 1,
        provider=provider,
        remote_id=remote_id,
        reserved_usd=reserved,
    )
    session.add(attempt)
    session.flush()
    session.refresh(attempt)
    return attempt


def add_to_log(session: Session, attempt_id: int, said: str) -> None:
    """Keep what the provider said, behind what it said before."""
    longer = func.right(func.concat_ws("\n", Attempt.log, said), LOG_MAX_CHARS)
    session.execute(update(Attempt).where(Attempt.id == attempt_id).values(log=longer))


def lock_job_of(session: Session, attempt_id: int) -> int:
    """The attempt's job, which moves nowhere until this unit of work ends.

    Every verb locks the job's row before the attempt's: two that meet wait for each
    other at the same door.
    """
    return session.execute(
        select(Job.id)
        .join(Attempt, Attempt.job_id == Job.id)
        .where(Attempt.id == attempt_id)
        .with_for_update(of=Job, key_share=True)
    ).scalar_one()


def give_ticket(session: Session, which: ColumnElement[bool], ticket: Mapping[str, Any]) -> bool:
    """The provider's ticket on an attempt that has none yet; False when there is no such attempt.

    It opens nothing: one that was lost for good, because its job has ended, only keeps the ticket.
    """
    given = session.execute(
        update(Attempt)
        .where(which, Attempt.state.in_([AttemptState.INTENT, AttemptState.UNKNOWN]))
        .values(
            state=case((Attempt.finished_at.is_(None), AttemptState.SUBMITTED.value), else_=Attempt.state),
            ticket=dict(ticket),
            submitted_at=func.clock_timestamp(),
        )
        .returning(Attempt.id)
    ).first()
    return given is not None


def take_ticket(session: Session, attempt_id: int) -> None:
    """Its provider knows nothing of the ticket: without it the attempt is as one whose answer was lost."""
    session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == AttemptState.SUBMITTED)
        .values(state=AttemptState.UNKNOWN, ticket=None)
    )


def owner_of(session: Session, provider: str, ticket: Mapping[str, Any]) -> int | None:
    """The job whose request this is already; None when it is nobody's.

    Until this unit of work ends nobody else asks the same of this provider: of two who
    adopt one request, one does.
    """
    identity = {name: ticket[name] for name in IDENTITY if name in ticket}
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"adopt {provider}"))))
    return session.scalars(
        select(Attempt.job_id).where(Attempt.provider == provider, Attempt.ticket.contains(identity)).limit(1)
    ).first()


def has_late_ticket(session: Session, attempt_id: int) -> bool:
    """Whether somebody has left a ticket that whoever holds the job now has not seen.

    A worker that knows of a ticket has taken the arrow `start` before anything else.
    """
    return session.execute(
        select((Attempt.ticket.is_not(None)) & (Job.status == Status.ASSIGN))
        .join(Job, Job.id == Attempt.job_id)
        .where(Attempt.id == attempt_id)
    ).scalar_one()


def leave_in_doubt(session: Session, attempt_id: int, **values: Any) -> None:
    """Its answer was lost; it stays open, so that nothing is bought beside it."""
    session.execute(
        update(Attempt)
        .where(
            Attempt.id == attempt_id,
            Attempt.state.in_([AttemptState.INTENT, AttemptState.UNKNOWN]),
            Attempt.finished_at.is_(None),
        )
        .values(state=AttemptState.UNKNOWN, **values)
    )


def finish(session: Session, attempt_id: int, cost: Cost) -> None:
    """It brought the pictures."""
    close(
        session,
        Attempt.id == attempt_id,
        AttemptState.DONE,
        Billed.YES,
        cost_usd=cost.usd,
        cost_is_estimate=cost.is_estimate,
    )


def fail(session: Session, attempt_id: int, failure: Failure) -> None:
    """It brought nothing."""
    close(
        session,
        Attempt.id == attempt_id,
        failure.state,
        failure.billed or Billed.UNKNOWN,
        cost_usd=failure.cost_usd,
        **why(failure),
    )


def why(failure: Failure) -> dict[str, Any]:
    """The columns that tell of a failure."""
    return {
        "error_code": failure.code,
        "error_message": failure.message,
        "request_id": failure.request_id,
    }


def close(
    session: Session, which: ColumnElement[bool], state: AttemptState, billed: str, **values: Any
) -> None:
    """End the attempts that are still open; what has ended stays as it is."""
    session.execute(
        update(Attempt)
        .where(which, Attempt.state.in_(lifecycle.OPEN_ATTEMPTS))
        .values(state=state, billed=billed, finished_at=func.clock_timestamp(), **values)
    )


def end_unbilled(session: Session, which: ColumnElement[bool], **values: Any) -> bool:
    """It is known to have cost nothing; True if there was such an attempt that had not ended so already."""
    ended = session.execute(
        update(Attempt)
        .where(which, Attempt.state.in_(_IN_DOUBT))
        .values(
            state=AttemptState.CANCELLED,
            billed=Billed.NO,
            finished_at=func.coalesce(Attempt.finished_at, func.clock_timestamp()),
            **values,
        )
        .returning(Attempt.id)
    ).first()
    return ended is not None


def open_provider() -> ScalarSelect[str]:
    """SQL: who has the open attempt of a job's row; NULL when it has none."""
    return (
        select(Attempt.provider)
        .where(
            Attempt.job_id == Job.id,
            Attempt.state.in_(lifecycle.OPEN_ATTEMPTS),
            Attempt.finished_at.is_(None),
        )
        .correlate(Job)
        .scalar_subquery()
    )


def are_open() -> ColumnElement[bool]:
    """SQL: the a job's row has an open attempt."""
    return (
        select(Attempt.id)
        .where(Attempt.job_id == Job.id, Attempt.state.in_(lifecycle.OPEN_ATTEMPTS))
        .correlate(Job)
        .exists()
    )


def may_have_cost() -> ColumnElement[bool]:
    """SQL: an attempt of a job's row has ended that was billed, or about which nobody knows."""
    return (
        select(Attempt.id)
        .where(Attempt.job_id == Job.id, Attempt.billed != Billed.NO)
        .correlate(Job)  # the statement around it may look at attempts too
        .exists()
    )


def were_any() -> ColumnElement[bool]:
    """SQL: an attempt of a job's row has been made."""
    return select(Attempt.id).where(Attempt.job_id == Job.id).correlate(Job).exists()
