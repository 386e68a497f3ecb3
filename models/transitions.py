"""Everything that can happen to a job, one verb for each arrow; nothing else writes `status`.

Each verb is one statement: an UPDATE guarded by status and claim, and the
`job_events` row that tells of it.  When the guard hits no row, somebody else
holds the job or it has ended: `StaleTransition`, and nothing was written.

A verb does not commit; the unit of work around it does.  Verbs that happen
back to back may share one.
"""

import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, case, func, insert, literal, null, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from models import attempts, lifecycle
from models.attempt import Attempt
from models.attempts import Assigned, Cost, Failure
from models.errors import StaleTransition
from models.event import JobEvent
from models.job import Job
from models.lifecycle import (
    MAX_WORKER_DEATHS,
    Arrow,
    AttemptState,
    Billed,
    OnUnknown,
    Outcome,
    Route,
    Status,
    StopOutcome,
)
from models.output import Output
from models.worker import Worker

TOKEN_LENGTH = 30  # as Wiro's socketaccesstoken and accesskey


def new_token() -> str:
    """An unguessable name: 30 letters and digits, 178 bits."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(TOKEN_LENGTH))


_BACK_IN_QUEUE: dict[str, Any] = {
    "claim": Job.claim + 1,  # fences whoever held it, at once
    "dispatched_at": None,
    "provider": None,
    "worker_id": None,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write about a job: valid while the job's row carries this number."""

    job_id: int
    number: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a producer asks for.

    Attributes:
        parameters: validated.
        wanted_providers: no others, best first; one pins the job to it.  None for any.
        route: by what the offers are ranked; where providers are wanted, `ORDER` is theirs.
        on_unknown: what to do when the answer to a paid request is lost and nobody can be asked.
        excluded: the providers that cannot express this job, each with a sentence why.
    """

    project_id: int
    model_slug: str
    parameters: Mapping[str, Any]
    priority: int = 0
    wanted_providers: tuple[str, ...] | None = None
    route: Route = Route.ORDER
    on_unknown: OnUnknown = OnUnknown.HOLD
    excluded: Mapping[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    campaign_id: int | None = None
    custom_id: str | None = None


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """A committed job's names; `is_new` is False for a campaign row that was there already."""

    id: int
    uuid: UUID
    socket_token: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class NewOutput:
    """One stored file, about to be recorded."""

    name: str
    access_key: str
    storage_key: str
    content_type: str
    size_bytes: int
    sha256: str
    width_px: int
    height_px: int
    seed: int | None


# --- the producer ------------------------------------------------------------------------------


def enqueue(session: Session, jobs: Sequence[NewJob]) -> list[EnqueuedJob]:
    """The names of `jobs`, in order; a row with the (campaign, custom_id) of an earlier one is that job."""
    if not jobs:
        return []
    rows = [
        {
            "project_id": job.project_id,
            "campaign_id": job.campaign_id,
            "custom_id": job.custom_id,
            "model_slug": job.model_slug,
            "parameters": dict(job.parameters),
            "priority": job.priority,
            "wanted_providers": None if job.wanted_providers is None else list(job.wanted_providers),
            "route": job.route,
            "on_unknown": job.on_unknown,
            "excluded": dict(job.excluded),
            "callback_url": job.callback_url,
            "socket_token": new_token(),
        }
        for job in jobs
    ]
    added = session.execute(
        upsert(Job)
        .values(rows)
        .on_conflict_do_nothing(
            index_elements=["campaign_id", "custom_id"], index_where=Job.campaign_id.is_not(None)
        )
        .returning(Job.id, Job.uuid, Job.socket_token)
    ).all()
    if added:
        session.execute(
            insert(JobEvent).from_select(
                ["job_id", "seq", "status", "claim"],
                select(Job.id, literal(1), literal(Status.QUEUE.value), literal(0)).where(
                    Job.id.in_([row.id for row in added])
                ),
            )
        )
    new = {row.socket_token: EnqueuedJob(row.id, row.uuid, row.socket_token, is_new=True) for row in added}
    old = _already_there(session, jobs) if len(added) < len(jobs) else {}
    return [
        new.get(row["socket_token"]) or old[job.campaign_id, job.custom_id]
        for row, job in zip(rows, jobs, strict=True)
    ]


def _already_there(
    session: Session, jobs: Sequence[NewJob]
) -> dict[tuple[int | None, str | None], EnqueuedJob]:
    """The jobs with these names, by name."""
    names = [(job.campaign_id, job.custom_id) for job in jobs if job.campaign_id is not None]
    found = session.execute(
        select(Job.campaign_id, Job.custom_id, Job.id, Job.uuid, Job.socket_token).where(
            tuple_(Job.campaign_id, Job.custom_id).in_(names)
        )
    )
    return {
        (row.campaign_id, row.custom_id): EnqueuedJob(row.id, row.uuid, row.socket_token, is_new=False)
        for row in found
    }


# --- the dispatcher ----------------------------------------------------------------------------


def dispatch(session: Session, provider: str, job_ids: Sequence[int]) -> list[Row[Any]]:
    """(id, uuid, claim, model_slug) of the waiting jobs that now carry a new claim.

    Dispatch is not a status: the job waits on, its message is on the way.
    """
    return list(
        session.execute(
            update(Job)
            .where(
                Job.id.in_(job_ids),
                Job.status == Status.QUEUE,
                Job.dispatched_at.is_(None),
                Job.held_at.is_(None),
            )
            .values(claim=Job.claim + 1, dispatched_at=func.clock_timestamp(), provider=provider)
            .returning(Job.id, Job.uuid, Job.claim, Job.model_slug)
        )
    )


# --- the worker, under its claim ------------------------------------------------------------------


def accept(session: Session, claim: Claim, worker_id: int) -> None:
    """A living worker took the message; of two with the same message, one."""
    is_alive = select(Worker.id).where(Worker.id == worker_id, Worker.ended_at.is_(None)).exists()
    _step(session, lifecycle.ACCEPT, claim, is_alive, worker_id=worker_id)


def start_preprocess(session: Session, claim: Claim) -> None:
    """The input is being resolved."""
    _step(session, lifecycle.START_PREPROCESS, claim)


def end_preprocess(session: Session, claim: Claim) -> None:
    """The input is ready."""
    _step(session, lifecycle.END_PREPROCESS, claim)


def assign(session: Session, claim: Claim, *, provider: str, remote_id: str) -> Assigned:
    """A new intent, or the open attempt that an earlier claim left, whatever its provider.

    Committed before anything is sent, so that whoever finds the job later knows
    that something may have been.
    """
    attempt = attempts.take_or_make(session, claim.job_id, provider, remote_id)
    reason = f"attempt {attempt.number} at {attempt.provider}"
    if attempt.is_taken_over:
        reason = f"taking over attempt {attempt.number}, {attempt.state}, at {attempt.provider}"
    _step(session, lifecycle.ASSIGN, claim, attempt_id=attempt.id, reason=reason)
    return attempt


def record_ticket(session: Session, attempt_id: int, ticket: Mapping[str, Any]) -> None:
    """The provider took it.

    Guarded by the attempt's own state, not by the claim: a ticket is a fact, and
    a worker that has lost its claim meanwhile must still be able to leave it for
    the one that holds it now.  A job that was held for want of it goes on.

    Safe to call twice with one ticket.

    Raises:
        StaleTransition: the attempt has another ticket or has ended.
    """
    job_id = attempts.lock_job_of(session, attempt_id)
    if attempts.give_ticket(session, Attempt.id == attempt_id, ticket):
        release(session, Job.id == job_id, "its answer came late")
    elif session.get_one(Attempt, attempt_id).ticket != ticket:
        raise StaleTransition("record_ticket", attempt_id, None)


def doubt(session: Session, attempt_id: int) -> None:
    """The answer to the intent was lost, and the provider can be asked; it stays open for whoever does.

    A fact, like a ticket: it needs no claim.  Safe to call twice.
    """
    attempts.leave_in_doubt(session, attempt_id)


def start(session: Session, claim: Claim, attempt_id: int) -> None:
    """The provider has the request and its ticket is stored."""
    _step(session, lifecycle.START, claim, attempt_id=attempt_id)


def output(session: Session, claim: Claim, attempt_id: int, reason: str | None) -> None:
    """The provider's first sign of progress."""
    _step(session, lifecycle.OUTPUT, claim, attempt_id=attempt_id, reason=reason)


def end(session: Session, claim: Claim, attempt_id: int, reason: str | None = None) -> None:
    """The provider is done; `reason` tells why there is less than was asked for."""
    _step(session, lifecycle.END, claim, attempt_id=attempt_id, reason=reason)


def start_postprocess(session: Session, claim: Claim, attempt_id: int) -> None:
    """The outputs are being copied into our storage."""
    _step(session, lifecycle.START_POSTPROCESS, claim, attempt_id=attempt_id)


def succeed(
    session: Session, claim: Claim, attempt_id: int, outputs: Sequence[NewOutput], cost: Cost
) -> None:
    """The job has its pictures: outputs, cost and outcome in one unit of work."""
    _step(
        session,
        lifecycle.SUCCEED,
        claim,
        attempt_id=attempt_id,
        outcome=Outcome.SUCCEEDED,
        finished_at=func.clock_timestamp(),
        cost_usd=cost.usd,
        cost_is_estimate=cost.is_estimate,
    )
    attempts.finish(session, attempt_id, cost)
    session.add_all(
        Output(
            job_id=claim.job_id,
            attempt_id=attempt_id,
            position=position,
            name=stored.name,
            access_key=stored.access_key,
            storage_key=stored.storage_key,
            content_type=stored.content_type,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            width_px=stored.width_px,
            height_px=stored.height_px,
            seed=stored.seed,
        )
        for position, stored in enumerate(outputs)
    )


def fail(session: Session, claim: Claim, failure: Failure, attempt_id: int | None = None) -> None:
    """The job ends without a picture, for good; one whose answer came late after all goes on instead."""
    was_lost = failure.state is AttemptState.UNKNOWN
    if was_lost and attempt_id is not None and _answer_came_late(session, claim, attempt_id):
        return
    _step(
        session,
        lifecycle.FAIL,
        claim,
        attempt_id=attempt_id,
        reason=failure.code,
        outcome=Outcome.FAILED,
        finished_at=func.clock_timestamp(),
        cost_usd=failure.cost_usd,
        error_code=failure.code,
        error_message=failure.message,
    )
    if attempt_id is not None:
        attempts.fail(session, attempt_id, failure)


def retry(session: Session, claim: Claim, attempt_id: int, failure: Failure, delay: timedelta) -> None:
    """The attempt failed; the job waits `delay` for another one.

    An attempt that is to be written off is not, when its answer came late: the job
    then goes on with it.
    """
    if failure.state is AttemptState.WRITTEN_OFF and _answer_came_late(session, claim, attempt_id):
        return
    _step(
        session,
        lifecycle.RETRY,
        claim,
        attempt_id=attempt_id,
        reason=f"{failure.code}: another attempt {_when(delay)}",
        run_at=func.clock_timestamp() + delay,
        **_BACK_IN_QUEUE,
    )
    attempts.fail(session, attempt_id, failure)


def _when(delay: timedelta) -> str:
    return f"in {delay.total_seconds():.1f} s" if delay else "at once"


def hand_over(session: Session, claim: Claim, attempt_id: int | None, reason: str, delay: timedelta) -> None:
    """This worker lets go; after `delay` the next one goes on where it stopped, with what attempt is open."""
    _step(
        session,
        lifecycle.HAND_OVER,
        claim,
        attempt_id=attempt_id,
        reason=reason,
        run_at=func.clock_timestamp() + delay,
        **_BACK_IN_QUEUE,
    )


def hold(session: Session, claim: Claim, attempt_id: int, failure: Failure) -> None:
    """The answer to a paid request was lost and nobody can be asked: the job waits for a person.

    Its attempt stays open as unknown, so nothing is bought beside it.  When the answer
    came late after all, the job goes on with its ticket instead.
    """
    if _answer_came_late(session, claim, attempt_id):
        return
    _step(
        session,
        lifecycle.HOLD,
        claim,
        attempt_id=attempt_id,
        reason=f"{failure.code}: held until somebody decides",
        held_at=func.clock_timestamp(),
        **_BACK_IN_QUEUE,
    )
    attempts.leave_in_doubt(session, attempt_id, **attempts.why(failure))


def forget(session: Session, claim: Claim, attempt_id: int, failure: Failure) -> None:
    """Its provider knows nothing of the ticket: the job waits for a person, as after a lost answer."""
    attempts.lock_job_of(session, attempt_id)
    attempts.take_ticket(session, attempt_id)
    hold(session, claim, attempt_id, failure)


def _answer_came_late(session: Session, claim: Claim, attempt_id: int) -> bool:
    """Whether a worker that lost its claim has left the ticket; the job then waits to go on with it.

    The job's row is locked first: a ticket that is not there now comes after this
    unit of work, and finds what it did.
    """
    attempts.lock_job_of(session, attempt_id)
    if not attempts.has_late_ticket(session, attempt_id):
        return False
    hand_over(session, claim, attempt_id, "its answer came late", timedelta(0))
    return True


# --- the person who decides about a held job ---------------------------------------------------------


def release(session: Session, where: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Held jobs wait for their turn again, with what attempt is open: (id, status) of each."""
    return _move(
        session,
        lifecycle.RELEASE,
        Job.held_at.is_not(None) & where,
        reason=reason,
        held_at=None,
        run_at=func.clock_timestamp(),
        **_BACK_IN_QUEUE,
    )


def resend(session: Session, job_id: int, why: str) -> bool:
    """Write the held job's attempt off and buy again, maybe for the second time; False if it is not held.

    Of two who decide at once, one does.  A job that is to be killed is not bought again.
    """
    is_wanted = (Job.id == job_id) & Job.kill_requested_at.is_(None)
    if not release(session, is_wanted, f"to be sent again: {why}"):
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
    ended = _move(
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


# --- the caller who wants it stopped ---------------------------------------------------------------


def cancel(session: Session, job_id: int) -> bool:
    """Stop a job that no worker holds; True if it was stopped, False if it is running or has ended.

    Safe to call twice.  No worker needs to be alive: a later claim finds the job ended.
    """
    where = (Job.id == job_id) & (Job.status == Status.QUEUE) & ~attempts.are_open()
    return bool(
        _move(
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
    _step(
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
        .values(kill_requested_at=None, run_at=func.least(Job.run_at, func.clock_timestamp()))
    )


def cancel_late_ticket(session: Session, attempt_id: int) -> None:
    """The ticket of a job that has ended meanwhile was cancelled at its provider."""
    attempts.close(session, Attempt.id == attempt_id, AttemptState.CANCELLED, Billed.UNKNOWN)


# --- the sweep -----------------------------------------------------------------------------------


def give_back(session: Session, whose: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Put jobs back in the queue that nobody is running, through no fault of theirs: (id, status) of each."""
    held = whose & Job.worker_id.is_not(None)
    return _move(session, lifecycle.RESCUE, held, reason=reason, **_BACK_IN_QUEUE)


def rescue(session: Session, whose: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Take jobs out of the hands of workers that died with them: (id, status) of each.

    Each gets a new claim at once, so a worker that was only frozen can no longer
    write; it waits for dispatch again, and its open attempt is taken over.  A job
    that has taken down too many workers is not run again.
    """
    held = whose & Job.worker_id.is_not(None)
    poisonous = Job.worker_deaths + 1 >= MAX_WORKER_DEATHS
    quarantined = _move(
        session,
        lifecycle.FAIL,
        held & poisonous,
        reason=f"{reason}; quarantined: {MAX_WORKER_DEATHS} workers died with it",
        claim=Job.claim + 1,
        worker_deaths=Job.worker_deaths + 1,
        outcome=Outcome.FAILED,
        finished_at=func.clock_timestamp(),
        error_code="quarantined",
        error_message=f"{MAX_WORKER_DEATHS} workers died while they ran this job; it is not run again",
    )
    if quarantined:
        # Nobody will take these over: what was sent may have cost money.
        theirs = Attempt.job_id.in_([row.id for row in quarantined])
        attempts.close(session, theirs, AttemptState.UNKNOWN, Billed.UNKNOWN, error_code="quarantined")
    rescued = _move(
        session, lifecycle.RESCUE, held, reason=reason, worker_deaths=Job.worker_deaths + 1, **_BACK_IN_QUEUE
    )
    return quarantined + rescued


def recall(session: Session, where: ColumnElement[bool], reason: str) -> list[Row[Any]]:
    """Dispatch again what was published but not accepted; the old message will find another claim."""
    published = Job.dispatched_at.is_not(None)
    return _move(session, lifecycle.RECALL, published & where, reason=reason, **_BACK_IN_QUEUE)


# --- how every verb moves ------------------------------------------------------------------------


def _step(
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
    if not _move(session, arrow, where, attempt_id=attempt_id, reason=reason, **values):
        raise StaleTransition(arrow.verb, claim.job_id, claim.number)


def _move(
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
        insert(JobEvent)
        .from_select(
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
        .returning(JobEvent.job_id.label("id"), JobEvent.status)
        .add_cte(moved)
    )
    return list(session.execute(told))
