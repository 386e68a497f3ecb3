"""The worker, under its claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import attempts, kinds, lifecycle
from models.attempt import Attempt
from models.attempts import Assigned, Cost, Failure
from models.errors import StaleTransition
from models.job import Job
from models.lifecycle import (
    AttemptState,
    Outcome,
    Status,
)
from models.output import Output
from models.transitions.holding import release
from models.transitions.moving import BACK_WITH_ATTEMPT, BACK_WITHOUT_ATTEMPT, Claim, after, step
from models.transitions.stopping import FINISHED_FIRST, WANTED_DEAD_AGAIN
from models.worker import Worker


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


def accept(session: Session, claim: Claim, worker_id: int) -> None:
    """A living worker took the message; of two with the same message, one."""
    is_alive = select(Worker.id).where(Worker.id == worker_id, Worker.ended_at.is_(None)).exists()
    step(session, lifecycle.ACCEPT, claim, is_alive, worker_id=worker_id)


def start_preprocess(session: Session, claim: Claim) -> None:
    """The input is being resolved."""
    step(session, lifecycle.START_PREPROCESS, claim)


def end_preprocess(session: Session, claim: Claim) -> None:
    """The input is ready."""
    step(session, lifecycle.END_PREPROCESS, claim)


def assign(
    session: Session, claim: Claim, *, provider: str, remote_id: str, key: UUID | None = None
) -> Assigned:
    """A new intent, or the open attempt that an earlier claim left, whatever its provider.

    Committed before anything is sent, so that whoever finds the job later knows
    that something may have been.

    Args:
        session: the unit of work.
        claim: the worker's.
        provider: where a new one is to be bought.
        remote_id: what the offer calls the model.
        key: the new one's; None for any.
    """
    attempt = attempts.take_or_make(session, claim.job_id, provider, remote_id, key or uuid4())
    reason = f"attempt {attempt.number} at {attempt.provider}"
    if attempt.is_taken_over:
        reason = f"taking over attempt {attempt.number}, {attempt.state}, at {attempt.provider}"
    step(session, lifecycle.ASSIGN, claim, attempt_id=attempt.id, reason=reason)
    return attempt


def assigned(session: Session, claim: Claim, key: UUID) -> Assigned | None:
    """The intent that `assign` has committed under this key, of which nobody heard; None if it has not."""
    is_ours = (Job.id == claim.job_id) & (Job.claim == claim.number)
    # Locked: that unit of work may be committing still, on a connection that broke.
    if session.scalar(select(Job.status).where(is_ours).with_for_update(key_share=True)) is not Status.ASSIGN:
        return None
    return attempts.intent_of(session, claim.job_id, key)


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
    step(session, lifecycle.START, claim, attempt_id=attempt_id)


def output(session: Session, claim: Claim, attempt_id: int, reason: str | None) -> None:
    """The provider's first sign of progress."""
    step(session, lifecycle.OUTPUT, claim, attempt_id=attempt_id, reason=reason)


def end(session: Session, claim: Claim, attempt_id: int, reason: str | None = None) -> None:
    """The provider is done; `reason` tells why there is less than was asked for."""
    step(session, lifecycle.END, claim, attempt_id=attempt_id, reason=reason)


def start_postprocess(session: Session, claim: Claim, attempt_id: int) -> None:
    """The outputs are being copied into our storage."""
    step(session, lifecycle.START_POSTPROCESS, claim, attempt_id=attempt_id)


def succeed(
    session: Session, claim: Claim, attempt_id: int, outputs: Sequence[NewOutput], cost: Cost
) -> None:
    """The job has its pictures: outputs, cost and outcome in one unit of work."""
    step(
        session,
        lifecycle.SUCCEED,
        claim,
        attempt_id=attempt_id,
        outcome=Outcome.SUCCEEDED,
        finished_at=func.clock_timestamp(),
        cost_usd=cost.usd,
        cost_is_estimate=cost.is_estimate,
        **FINISHED_FIRST,
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
    step(
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


def retry(
    session: Session,
    claim: Claim,
    attempt_id: int,
    failure: Failure,
    delay: timedelta,
    *,
    excluding: Mapping[str, str] | None = None,
) -> None:
    """The attempt failed; the job waits `delay` for another one, and not at those who cannot express it.

    An attempt that is to be written off is not, when its answer came late: the job
    then goes on with it.

    Args:
        session: the unit of work.
        claim: the worker's.
        attempt_id: the attempt.
        failure: how it failed.
        delay: how long the job waits.
        excluding: providers that turned out to be unable to express the job, each with a sentence why.
    """
    if failure.state is AttemptState.WRITTEN_OFF and _answer_came_late(session, claim, attempt_id):
        return
    step(
        session,
        lifecycle.RETRY,
        claim,
        attempt_id=attempt_id,
        reason=f"{failure.code}: another attempt {_when(delay)}",
        **{
            **BACK_WITHOUT_ATTEMPT,
            **after(delay),
            **WANTED_DEAD_AGAIN,
            **_narrowed(session, claim.job_id, excluding or {}),
        },
    )
    attempts.fail(session, attempt_id, failure)


def _narrowed(session: Session, job_id: int, excluding: Mapping[str, str]) -> dict[str, Any]:
    """The columns that tell who may make the job, without these providers."""
    if not excluding:
        return {}
    row = session.execute(
        select(Job.model_slug, Job.wanted_providers, Job.excluded).where(Job.id == job_id)
    ).one()
    excluded = {**row.excluded, **excluding}
    return {"excluded": excluded, "kind": kinds.word_of(row.model_slug, row.wanted_providers, excluded)}


def _when(delay: timedelta) -> str:
    return f"in {delay.total_seconds():.1f} s" if delay else "at once"


def hand_over(session: Session, claim: Claim, attempt_id: int | None, reason: str, delay: timedelta) -> None:
    """This worker lets go; after `delay` the next one goes on where it stopped, with what attempt is open."""
    step(
        session,
        lifecycle.HAND_OVER,
        claim,
        attempt_id=attempt_id,
        reason=reason,
        **{**BACK_WITH_ATTEMPT, **after(delay)},
    )


def hold(session: Session, claim: Claim, attempt_id: int, failure: Failure) -> None:
    """The answer to a paid request was lost and nobody can be asked: the job waits for a person.

    Its attempt stays open as unknown, so nothing is bought beside it.  When the answer
    came late after all, the job goes on with its ticket instead.
    """
    if _answer_came_late(session, claim, attempt_id):
        return
    step(
        session,
        lifecycle.HOLD,
        claim,
        attempt_id=attempt_id,
        reason=f"{failure.code}: held until somebody decides",
        held_at=func.clock_timestamp(),
        **BACK_WITH_ATTEMPT,
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
