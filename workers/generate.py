"""One job, from a worker's claim to its outcome: small named steps.

    accept → preprocess → assign → submit → watch → postprocess

No transaction is open while a provider talks.  Each step commits what it knows
before the next begins, so that whoever finds the job after a crash goes on from
there: with a ticket the provider is asked, never paid again; without one, see
`lost_answers`.

Knows nothing of Celery: `tasks.py` says a `Finish` in Celery's words.
"""

import logging
import time
from dataclasses import replace
from functools import partial
from uuid import uuid4

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import catalogue
from catalogue import ModelSpec
from models import lifecycle, queries, transitions
from models.attempts import Assigned, Cost, Failure
from models.errors import StaleTransition
from models.lifecycle import OPEN_ATTEMPTS
from models.transitions import Claim
from models.transitions.together import Accepting, JobInHands, Sign, Success, Ticketed
from providers.base import Done, Failed, GenerationRequest, Progress, Running, Ticket
from providers.errors import (
    Billed,
    Forgotten,
    MalformedResponse,
    OutputExpired,
    ProviderError,
    SubmissionUnknown,
    TimedOut,
    Unsupported,
)
from storage.errors import StorageError
from workers import asking, failing, fencing, inputs, lost_answers, pace, stopping
from workers.bench import Bench
from workers.inputs import Pictures
from workers.keeping import keep
from workers.running import StopReason, StopSignal
from workers.turn import (
    OFF_DELAY,
    STORAGE_DELAY,
    Ending,
    Finish,
    FinishedEarly,
    Turn,
    Work,
    storable,
)

logger = logging.getLogger("darkroom.generate")


def generate(bench: Bench, claim: Claim, worker_id: int, stop: StopSignal) -> Finish:
    """Run a job under its claim; how that ended.

    Safe to call twice with the same claim: the second finds the claim used.

    Args:
        bench: what this process works with.
        claim: from the message.
        worker_id: this process, as registered.
        stop: looked at between and during the steps.
    """
    pace.asking.set(stop)
    try:
        return _run(Turn(bench, claim, stop), worker_id)
    except FinishedEarly as early:
        return early.finish
    except StaleTransition as stale:
        return Finish(Ending.LOST, str(stale))


def _run(turn: Turn, worker_id: int) -> Finish:
    work, ticket = _begun_at_once(turn, worker_id) or _begun_step_by_step(turn, worker_id)
    done = _watch(work, ticket)
    return _postprocess(work, ticket, done)


def _begun_at_once(turn: Turn, worker_id: int) -> tuple[Work, Ticket] | None:
    """A new attempt, taken by its provider; None when there is something to wait for, or begun already."""
    if turn.stop.reason is not None:
        return None
    asked_at = time.monotonic()
    begun = turn.bench.scribe.begin(Accepting(turn.claim, worker_id))
    if begun is None:
        return None
    turn.stop.is_ours(asked_at)
    _heed_wish(turn, begun.job)
    work = _work(turn, begun.job, _spec(turn, begun.job), begun.attempt)
    return work, _submit(work, {})


def _begun_step_by_step(turn: Turn, worker_id: int) -> tuple[Work, Ticket]:
    job, is_begun = _accept(turn, worker_id)
    spec = _spec(turn, job)
    if not is_begun:
        return _begin(turn, job, spec)
    work = _assign(turn, job, spec)
    return work, _submit(work, None)


def _begin(turn: Turn, job: JobInHands, spec: ModelSpec) -> tuple[Work, Ticket]:
    """A new attempt, taken by its provider; the pictures sent along are in memory only here."""
    with inputs.in_hand(turn, job, spec):
        pictures = _preprocess(turn, job, spec)
        _wait_for_place(turn, job)
        work = _assign(turn, job, spec)
        return work, _submit(work, pictures)


# --- accept ------------------------------------------------------------------------------------------


def _accept(turn: Turn, worker_id: int) -> tuple[JobInHands, bool]:
    """The job, and whether an earlier turn has left an attempt open."""

    def write(session: Session) -> tuple[JobInHands, bool]:
        transitions.accept(session, turn.claim, worker_id)
        transitions.start_preprocess(session, turn.claim)
        attempts = queries.attempts(session, turn.claim.job_id)
        is_begun = any(one.state in OPEN_ATTEMPTS and one.finished_at is None for one in attempts)
        return JobInHands.of(queries.job(session, turn.claim.job_id)), is_begun

    job, is_begun = turn.write(write)
    _heed_wish(turn, job)
    return job, is_begun


def _heed_wish(turn: Turn, job: JobInHands) -> None:
    if job.kill_requested_at is not None:
        turn.stop.ask(StopReason.KILLED)


# --- preprocess --------------------------------------------------------------------------------------


def _spec(turn: Turn, job: JobInHands) -> ModelSpec:
    try:
        return turn.bench.catalogue.find(job.model_slug)
    except catalogue.UnknownModel as exc:
        # A worker of another version may know it, and there may be a ticket that is worth money.
        raise turn.handed_over(str(exc), OFF_DELAY) from exc


def _preprocess(turn: Turn, job: JobInHands, spec: ModelSpec) -> Pictures:
    """The pictures that the job sends along, in our storage before anything is bought."""
    try:
        return inputs.gather(turn, job, spec)
    except inputs.BadInput as exc:
        raise _refused(turn, exc) from exc
    except StorageError as exc:
        raise turn.handed_over(f"storage refused the pictures sent along: {exc}", STORAGE_DELAY) from exc


def _refused(turn: Turn, bad: inputs.BadInput) -> FinishedEarly:
    """The job's end before anybody was asked for anything."""
    failure = Failure(code="invalid_input", message=storable(str(bad)), billed=Billed.NO)
    turn.write(lambda session: transitions.fail(session, turn.claim, failure))
    return FinishedEarly(Finish(Ending.FAILED, f"{failure.code}: {failure.message}"))


# --- assign ------------------------------------------------------------------------------------------


def _wait_for_place(turn: Turn, job: JobInHands) -> None:
    """Before the intent: whoever dies while it waits leaves nothing behind that may have been bought."""
    if job.provider is not None and not turn.bench.pace.buy(job.provider, turn.stop):
        stopping.leave_if_asked(turn)


def _assign(turn: Turn, job: JobInHands, spec: ModelSpec) -> Work:
    """The committed intent, or the open attempt of an earlier turn."""
    turn.leave_if_closing()
    offer = turn.offer(spec, job.provider)
    turn.provider(offer.provider)  # on, or there is nothing to intend

    key = uuid4()

    def write(session: Session) -> Assigned:
        # It may be here for the second time: then its first commit was heard of by nobody, and it must not
        # be taken for that of another turn, which may have sent something.
        mine = transitions.assigned(session, turn.claim, key)
        if mine is not None:
            return mine
        transitions.end_preprocess(session, turn.claim)
        return transitions.assign(
            session, turn.claim, provider=offer.provider, remote_id=offer.remote_id, key=key
        )

    asked_at = time.monotonic()
    attempt = turn.write(write)
    turn.stop.is_ours(asked_at)
    return _work(turn, job, spec, attempt)


def _work(turn: Turn, job: JobInHands, spec: ModelSpec, attempt: Assigned) -> Work:
    return Work(
        turn=turn,
        job=job,
        spec=spec,
        offer=turn.offer(spec, attempt.provider),
        attempt=attempt,
        provider=turn.provider(attempt.provider),
    )


# --- submit ------------------------------------------------------------------------------------------


def _submit(work: Work, pictures: Pictures | None) -> Ticket:
    """The provider's ticket: the stored one, or a new one for a new request."""
    turn, attempt = work.turn, work.attempt
    if attempt.ticket is not None:
        turn.write(lambda session: transitions.start(session, turn.claim, attempt.id))
        return attempt.ticket
    if turn.stop.reason is StopReason.KILLED and not attempt.is_taken_over:
        raise stopping.killed_unsent(turn, attempt.id)
    ticket = _bought(work, pictures)
    # The provider may be working for us: nothing may come between its answer and this commit.
    try:
        _record(work, ticket)
    except StaleTransition:
        stopping.cancel_if_nobody_wants_it(work, ticket)
        raise
    except DBAPIError:
        # Postgres will never take it, so a person must find it here.
        fields = turn.fields(event="ticket_lost", attempt_id=attempt.id, ticket=ticket)
        logger.exception("Could not record a ticket.", extra=fields)
        raise
    return ticket


def _record(work: Work, ticket: Ticket) -> None:
    """The ticket is stored, as a fact, and with it that the job has started.

    Raises:
        StaleTransition: the job is not ours any more, or the attempt has another ticket.
    """
    turn, attempt_id = work.turn, work.attempt.id
    if turn.bench.scribe.start(Ticketed(turn.claim, attempt_id, ticket)):
        return
    turn.write(lambda session: transitions.record_ticket(session, attempt_id, ticket))
    turn.write(lambda session: transitions.start(session, turn.claim, attempt_id))


def _bought(work: Work, pictures: Pictures | None) -> Ticket:
    """A ticket for one purchase, whatever became of the turns before.

    Between the intent's commit and here nothing may hand the job over: a new intent that is left
    is one that may have been sent.
    """
    send = partial(_send, work, pictures)
    try:
        return lost_answers.recovered(work, send) if work.attempt.is_taken_over else send()
    except SubmissionUnknown as exc:
        failing.tell(work, exc)
        raise lost_answers.lost(work, exc) from exc
    except ProviderError as exc:
        with fencing.refused(work, exc):
            raise failing.failed_attempt(work, exc) from exc
    except StaleTransition:
        fencing.leave_unbought(work, "its worker was frozen or cut off before anything was sent")
        raise


def _send(work: Work, pictures: Pictures | None) -> Ticket:
    try:
        told = catalogue.translate(work.spec, work.offer, work.job.parameters)
    except catalogue.CannotExpress as exc:
        raise Unsupported(exc.reason) from exc
    sent_along = _gathered_again(work) if pictures is None else pictures
    request = GenerationRequest(
        key=str(work.attempt.uuid),
        attempt=work.attempt.number,
        remote_id=work.attempt.remote_id,
        parameters=told.parameters,
        extra=told.extra,
        images=inputs.arguments(told.images, sent_along),
        may_send=fencing.may_send(work.turn),
    )
    if work.attempt.is_taken_over:
        work.turn.bench.pace.buy(work.attempt.provider, work.turn.stop)
    # Postgres may be away at the last look: then nothing was sent, and it is tried again.
    return work.turn.patiently(lambda: work.provider.submit(request))


def _gathered_again(work: Work) -> Pictures:
    """For a request that an earlier turn may have sent: it waits rather than fails for want of a picture."""
    try:
        return inputs.gather(work.turn, work.job, work.spec)
    except (inputs.BadInput, StorageError) as exc:
        raise work.handed_over(f"cannot be sent again now: {exc}", asking.aside(work)) from exc


# --- watch -------------------------------------------------------------------------------------------


def _watch(work: Work, ticket: Ticket) -> Done:
    """Ask until the provider is done; at least once, however late it is."""
    # A rescued job's time has been running since the provider took it.
    passed_s = 0.0 if work.attempt.ticket is None else work.age_s
    deadline = time.monotonic() + work.offer.deadline_s - passed_s
    is_first = True
    while True:
        progress = _asked(work, ticket)
        if isinstance(progress, Done):
            return progress
        if isinstance(progress, Failed):
            work.keep_log()
            raise _failed(work, progress)
        if is_first:
            is_first = False
            _first_sign(work, progress)
        work.hear(progress)
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            work.keep_log()
            return _given_up(work, ticket)
        if work.turn.stop.wait(min(left_s, progress.poll_after_s)):
            work.keep_log()
            done = stopping.heed(work, ticket)
            if done is not None:
                return done


def _asked(work: Work, ticket: Ticket) -> Progress:
    try:
        return asking.ask(work, ticket, lambda: work.provider.check(ticket))
    except FinishedEarly:
        work.keep_log()  # whoever goes on with the ticket hears nothing of it again
        raise


def _failed(work: Work, failed: Failed) -> FinishedEarly:
    if not isinstance(failed.error, Forgotten):
        return failing.failed_attempt(work, failed.error, failed)
    failing.tell(work, failed.error)
    return lost_answers.forgotten(work, failed.error)


def _first_sign(work: Work, progress: Running) -> None:
    note = None if progress.log is None else storable(progress.log)
    work.turn.expect(work.turn.bench.scribe.output(_sign(work, note)), lifecycle.OUTPUT)


def _sign(work: Work, reason: str | None) -> Sign:
    return Sign(work.turn.claim, work.attempt.id, time.monotonic(), reason)


def _given_up(work: Work, ticket: Ticket) -> Done:
    """The picture after all, if it was finished while it was being stopped."""
    stopped = stopping.stop_at_provider(work, ticket)
    if isinstance(stopped, Done):
        return stopped
    raise failing.failed_attempt(work, TimedOut(f"not finished within {work.offer.deadline_s} s"))


# --- postprocess -------------------------------------------------------------------------------------


def _postprocess(work: Work, ticket: Ticket, done: Done) -> Finish:
    shortfall = None if done.shortfall is None else storable(done.shortfall)
    ended = replace(_sign(work, shortfall), log=work.heard.take())
    work.turn.store_after(ended)
    try:
        outputs = keep(work, ticket, done)
    except (OutputExpired, MalformedResponse) as exc:
        raise failing.failed_attempt(work, exc, done) from exc
    except StorageError as exc:
        raise work.handed_over(f"storage refused the pictures: {exc}", STORAGE_DELAY) from exc
    work.turn.succeed(Success(ended, outputs, _cost(work, done)))
    failing.tell_success(work)
    return Finish(Ending.SUCCEEDED)


def _cost(work: Work, done: Done) -> Cost:
    """What the provider says; else the catalogue's price, marked as an estimate; else nobody knows."""
    if done.cost_usd is not None:
        return Cost(done.cost_usd, is_estimate=False)
    price_usd = work.offer.price(work.job.parameters)
    return Cost(price_usd, is_estimate=price_usd is not None)
