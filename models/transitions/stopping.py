"""The caller who wants it stopped, and the clock.

A wish is noted first (`request_kill`, `request_kills`, `request_expiry`), where somebody
may hold the job or its provider have it; what nobody has begun ends at once (`cancel`,
`cancel_waiting`, `expire`).

What moves many jobs takes only rows that nobody else is moving just now: it waits for
nobody, so two of them cannot wait for each other, and is called again for the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, or_, select, true, update
from sqlalchemy.orm import Session

from models import attempts, lifecycle, places
from models.attempt import Attempt
from models.job import Job
from models.lifecycle import (
    Arrow,
    AttemptState,
    Billed,
    Outcome,
    Status,
    StopOutcome,
)
from models.transitions.moving import Claim, ledger_rows, step


@dataclass(frozen=True, slots=True)
class _End:
    """How jobs end."""

    arrow: Arrow
    reason: str
    columns: Mapping[str, Any]


_CANCELLED = _End(lifecycle.CANCEL, "cancelled", {"outcome": Outcome.CANCELLED})

BATCH = 5_000
"""Jobs that one statement ends: more are no faster (32 us each, from 1,000 to 25,000 a batch), and hold their
rows longer; the dispatcher may be waiting for one of them."""

UNASKED = or_(Job.kill_requested_at.is_(None), Job.stop_as == Outcome.EXPIRED)
"""SQL: no person has wished yet that it stops."""

TOO_LATE = "its deadline passed"

FINISHED_FIRST: Mapping[str, Any] = {
    "stopped_how": case(
        (Job.kill_requested_at.is_not(None), StopOutcome.FINISHED_FIRST.value), else_=Job.stopped_how
    )
}
"""What a job says that succeeds although it was to stop."""

WANTED_DEAD_AGAIN: Mapping[str, Any] = {
    "kill_requested_at": case(
        (Job.stopped_how == StopOutcome.FINISHED_FIRST, func.clock_timestamp()), else_=Job.kill_requested_at
    ),
    "stopped_how": None,
}
"""A job was spared for its picture and did not get it: it is not to buy another one."""


# --- what nobody has begun -----------------------------------------------------------------------


def cancel(session: Session, job_id: int) -> bool:
    """Stop a job that no worker holds; True if it was stopped, False if it is running or has ended.

    Safe to call twice.  No worker needs to be alive: a later claim finds the job ended.
    """
    # Waits for whoever moves it just now, and then looks: the attempt that it may have opened is seen.
    session.execute(select(Job.id).where(Job.id == job_id).with_for_update(key_share=True))
    return bool(_end_waiting(session, Job.id == job_id, 1, _CANCELLED))


def cancel_waiting(session: Session, where: ColumnElement[bool], most: int = BATCH) -> list[Row[Any]]:
    """Stop jobs that no worker holds and no provider has: (id, uuid, was_published, stopped_how) of each.

    Safe to call twice.  Call it until it stops none: it looks at one place after the other, and leaves
    rows that somebody is moving just now for another call.
    """
    ended = (_end_waiting(session, place & where, most, _CANCELLED) for place in places.NEVER_BEGUN)
    return next(filter(None, ended), [])


def expire(session: Session, where: ColumnElement[bool], reason: str, most: int = BATCH) -> list[Row[Any]]:
    """Jobs that nobody has begun end because they are too late: as `cancel_waiting`."""
    columns = {"outcome": Outcome.EXPIRED, "error_code": "expired", "error_message": reason}
    return _end_waiting(session, where, most, _End(lifecycle.EXPIRE, reason, columns))


def _end_waiting(session: Session, where: ColumnElement[bool], most: int, end: _End) -> list[Row[Any]]:
    """One statement: seen, locked, moved, told."""
    seen = (
        select(Job.id, Job.claim)
        .where(Job.status == Status.QUEUE, where, ~attempts.are_open())
        .limit(most)
        .cte("seen")
    )
    # Since it was seen it may have been run and come back with an attempt, which this statement would not
    # see; but not under the same claim.
    locked = (
        select(Job.id)
        .join(seen, (seen.c.id == Job.id) & (seen.c.claim == Job.claim))
        .where(Job.status == Status.QUEUE)
        .with_for_update(of=Job, key_share=True, skip_locked=True)
        .cte("locked")
    )
    how = case((attempts.may_have_cost(), StopOutcome.UNKNOWN.value), else_=StopOutcome.NEVER_STARTED.value)
    moved = (
        update(Job)
        .where(Job.id == locked.c.id, Job.status == Status.QUEUE)
        .values(
            status=end.arrow.target,
            last_seq=Job.last_seq + 1,
            claim=Job.claim + 1,  # a message already on its way must find another claim
            finished_at=func.clock_timestamp(),
            stopped_how=how,
            **end.columns,
        )
        .returning(
            Job.id,
            Job.uuid,
            Job.last_seq,
            Job.status,
            Job.claim,
            Job.worker_id,
            Job.dispatched_at.is_not(None).label("was_published"),
            Job.stopped_how,
        )
        .cte("moved")
    )
    told = ledger_rows(moved, None, end.reason).cte("told")
    return list(
        session.execute(
            select(moved.c.id, moved.c.uuid, moved.c.was_published, moved.c.stopped_how).add_cte(told)
        )
    )


# --- wishes --------------------------------------------------------------------------------------


def request_kill(session: Session, job_id: int) -> bool:
    """Note that a living job shall stop; True if the intent now stands.

    The intent is carried out by whoever holds the job (`kill`), or by the sweep
    when nobody does.  A person's wish goes before the clock's: it ends as killed.
    """
    hit = session.execute(
        update(Job)
        .where(Job.id == job_id, Job.outcome.is_(None))
        .values(_wish(Outcome.KILLED))
        .returning(Job.id)
    ).first()
    return hit is not None


def request_kills(session: Session, where: ColumnElement[bool], most: int = BATCH) -> list[Row[Any]]:
    """Note that begun jobs shall stop: (id, uuid, was_published) of those of which nobody had wished it.

    Rows that somebody is moving just now are left for another call.
    """
    return _request(session, places.IN_FLIGHT & where & UNASKED, Outcome.KILLED, most)


def request_expiry(session: Session, where: ColumnElement[bool], most: int = BATCH) -> list[Row[Any]]:
    """Note that jobs which are too late shall stop: (id, uuid, was_published) of each.

    One that is to be killed already is, and one whose picture is there or was kept is
    only to be fetched.
    """
    stoppable = Job.status.not_in([Status.END, Status.POSTPROCESS_START])
    undecided = Job.kill_requested_at.is_(None) & Job.stopped_how.is_(None)
    return _request(session, where & stoppable & undecided, Outcome.EXPIRED, most)


def _request(session: Session, where: ColumnElement[bool], stop_as: Outcome, most: int) -> list[Row[Any]]:
    free = (
        select(Job.id)
        .where(Job.outcome.is_(None), where)
        .limit(most)
        .with_for_update(key_share=True, skip_locked=True)
        .cte("free")
    )
    return list(
        session.execute(
            update(Job)
            .where(Job.id == free.c.id)
            .values(_wish(stop_as))
            .returning(Job.id, Job.uuid, Job.dispatched_at.is_not(None).label("was_published"))
        )
    )


def _wish(stop_as: Outcome) -> dict[str, Any]:
    return {
        "kill_requested_at": func.coalesce(Job.kill_requested_at, func.clock_timestamp()),
        "stop_as": stop_as,
    }


# --- how a wish ends -----------------------------------------------------------------------------


def kill(session: Session, claim: Claim, how: StopOutcome, attempt_id: int | None = None) -> None:
    """The job was stopped while it was held; `how` tells what became of the money."""
    _end_stopped(session, claim, how, None, attempt_id)


def kill_unheld(session: Session, claim: Claim, how: StopOutcome) -> None:
    """The job was stopped while no worker held it; one that has just been taken is its worker's to stop."""
    _end_stopped(session, claim, how, Job.status == Status.QUEUE, None)


def _end_stopped(
    session: Session,
    claim: Claim,
    how: StopOutcome,
    condition: ColumnElement[bool] | None,
    attempt_id: int | None,
) -> None:
    """The end of a job that was to stop, on which no attempt stays open: killed, or expired."""
    arrow, end = _end_of(session, claim.job_id)
    step(
        session,
        arrow,
        claim,
        condition,
        attempt_id=attempt_id,
        reason=f"{end['outcome']}: {how}",
        held_at=None,
        finished_at=func.clock_timestamp(),
        stopped_how=how,
        **end,
    )
    state = AttemptState.UNKNOWN if how is StopOutcome.UNKNOWN else AttemptState.CANCELLED
    billed = Billed.NO if how is StopOutcome.NEVER_STARTED else Billed.UNKNOWN
    attempts.close(session, Attempt.job_id == claim.job_id, state, billed)


def _end_of(session: Session, job_id: int) -> tuple[Arrow, dict[str, Any]]:
    """By whose wish it stops; the row is locked, so that nobody wishes otherwise meanwhile."""
    stop_as = session.scalar(select(Job.stop_as).where(Job.id == job_id).with_for_update(key_share=True))
    if stop_as is Outcome.EXPIRED:
        end = {"outcome": Outcome.EXPIRED, "error_code": "expired", "error_message": TOO_LATE}
        return lifecycle.EXPIRE, end
    return lifecycle.KILL, {"outcome": Outcome.KILLED}


def spare(session: Session, job_id: int) -> None:
    """Withdraw the wish to stop: the picture was finished first, and is only to be fetched, now."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.outcome.is_(None))
        .values(
            kill_requested_at=None,
            stopped_how=StopOutcome.FINISHED_FIRST,
            is_due=true(),
            run_at=func.least(Job.run_at, func.clock_timestamp()),
        )
    )


def cancel_late_ticket(session: Session, attempt_id: int) -> None:
    """The ticket of a job that has ended meanwhile was cancelled at its provider."""
    attempts.close(session, Attempt.id == attempt_id, AttemptState.CANCELLED, Billed.UNKNOWN)
