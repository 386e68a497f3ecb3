"""How every verb moves a job: a guarded UPDATE and its row in the ledger, in one statement."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Insert,
    Row,
    case,
    func,
    insert,
    literal,
    null,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session

from models import attempts
from models.errors import StaleTransition
from models.event import JobEvent
from models.job import Job
from models.lifecycle import (
    Arrow,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write about a job: valid while the job's row carries this number."""

    job_id: int
    number: int


_OPEN_AT = attempts.open_provider()

BACK_WITH_ATTEMPT: dict[str, Any] = {
    "claim": Job.claim + 1,  # fences whoever held it, at once
    "dispatched_at": None,
    "provider": None,
    "worker_id": None,
    "is_due": true(),
    "open_provider": _OPEN_AT,
    "reserved_usd": case((_OPEN_AT.is_not(None), Job.reserved_usd)),
}
"""Back in the queue; an open attempt is gone on with, where it is, and keeps what is reserved for it."""

BACK_WITHOUT_ATTEMPT: dict[str, Any] = {**BACK_WITH_ATTEMPT, "open_provider": None, "reserved_usd": None}
"""Back in the queue for a new attempt; in the same unit of work the open one is closed."""


def after(delay: timedelta) -> dict[str, Any]:
    """The job waits `delay` before it is its turn again."""
    return {"run_at": func.clock_timestamp() + delay, "is_due": delay <= timedelta(0)}


def step(
    session: Session,
    arrow: Arrow,
    claim: Claim,
    condition: ColumnElement[bool] | None = None,
    /,  # `values` has a claim of its own when the job changes hands
    *,
    attempt_id: int | None = None,
    reason: str | None = None,
    **values: Any,
) -> None:
    """One arrow of one job under its claim, and under a condition if there is one.

    Raises:
        StaleTransition: the claim is no longer valid, or the job is elsewhere.
    """
    where = (Job.id == claim.job_id) & (Job.claim == claim.number)
    if condition is not None:
        where &= condition
    if not move(session, arrow, where, attempt_id=attempt_id, reason=reason, **values):
        raise StaleTransition(arrow.verb, claim.job_id, claim.number)


def move(
    session: Session,
    arrow: Arrow,
    where: ColumnElement[bool],
    *,
    attempt_id: int | None = None,
    reason: str | None = None,
    **values: Any,
) -> list[Row[Any]]:
    """(id, status) of the jobs that took the arrow, each with its row in the ledger: one statement."""
    moved = (
        update(Job)
        .where(where, Job.status.in_(arrow.sources))
        .values(status=arrow.target, last_seq=Job.last_seq + 1, **values)
        .returning(Job.id, Job.last_seq, Job.status, Job.claim, Job.worker_id)
        .cte("moved")
    )
    told = (
        ledger_rows(moved, attempt_id, reason)
        .returning(JobEvent.job_id.label("id"), JobEvent.status)
        .add_cte(moved)
    )
    return list(session.execute(told))


def ledger_rows(moved: CTE, attempt_id: int | None, reason: str | None) -> Insert:
    """The ledger's rows of jobs that have just moved: their id, last_seq, status, claim and worker_id."""
    return insert(JobEvent).from_select(
        ["job_id", "seq", "status", "claim", "worker_id", "attempt_id", "reason"],
        select(
            moved.c.id,
            moved.c.last_seq,
            moved.c.status,
            moved.c.claim,
            moved.c.worker_id,
            null() if attempt_id is None else literal(attempt_id),
            null() if reason is None else literal(reason),
        ),
    )
