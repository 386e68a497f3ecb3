"""One job, from a worker's claim to its outcome: small named steps.

    accept → preprocess → assign → submit → watch → postprocess

No transaction is open while a provider talks.  Each step commits what it knows
before the next begins, so that whoever finds the job after a crash goes on from
there: with a ticket the provider is asked, never paid again.

Knows nothing of Celery: `tasks.py` says a `Finish` in Celery's words.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

import catalogue
from catalogue import ModelSpec, Offer
from models import queries, transitions
from models.attempts import Assigned, Cost, Failure
from models.errors import StaleTransition
from models.job import Job
from models.lifecycle import AttemptState, StopOutcome
from models.transitions import Claim, NewOutput, new_token
from providers.base import (
    CancelOutcome,
    Done,
    Failed,
    GenerationRequest,
    LostAnswer,
    Provider,
    RemoteOutput,
    Running,
    Ticket,
)
from providers.errors import (
    MalformedResponse,
    ProviderError,
    ProviderFault,
    SubmissionUnknown,
    TimedOut,
)
from storage.errors import StorageError
from workers import breakers
from workers.bench import Bench
from workers.computing import compute
from workers.imprint import NotAPicture, imprint, inspect
from workers.retry import Onward, Trouble, after_failure, trouble_of
from workers.routing import candidates
from workers.running import StopReason, StopSignal

DEADLINE_S = 600.0
"""Longest time one worker waits for one attempt; the vendors' own clients wait as long."""

MAX_ASK_ERRORS = 5
"""Failures in a row to check or to fetch before the job is put aside, with its ticket, for a while."""

ASIDE_S = (15.0, 3600.0)
"""Shortest and longest time it is put aside; in between, half the ticket's age: few asks reach far."""

MAX_CANCEL_ERRORS = 3
"""A provider that does not answer is asked so often to cancel, a second apart."""

STORAGE_DELAY = timedelta(seconds=15)
"""Wait when the pictures are made and paid for but our own storage refuses them."""

OFF_DELAY = timedelta(seconds=60)
"""Wait when the provider that holds the job's ticket has been turned off."""

CANCEL_AGAIN_S = 1.0
LONGEST_PAUSE_S = 30.0

CLOSING = "its worker is shutting down"
BURIED = "this worker was taken for dead"

logger = logging.getLogger("darkroom.generate")

T = TypeVar("T")


class Ending(StrEnum):
    """How a worker's part in a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRYING = "retrying"  # back in the queue, for another attempt
    STOPPED = "stopped"  # killed
    HANDED_OVER = "handed_over"  # back in the queue, to go on where this one stopped
    LOST = "lost"  # never ours, or ours no more: nothing was written


@dataclass(frozen=True, slots=True)
class Finish:
    """An ending and its story."""

    ending: Ending
    reason: str = ""
    delay: timedelta | None = None


class _FinishedEarly(Exception):
    """Leaves the steps with a finish that is already written down."""

    def __init__(self, finish: Finish) -> None:
        super().__init__(finish.reason)
        self.finish = finish


def generate(bench: Bench, claim: Claim, worker_id: int, stop: StopSignal) -> Finish:
    """Run a job under its claim; how that ended.

    Safe to call twice with the same claim: the second finds the claim used.

    Args:
        bench: what this process works with.
        claim: from the message.
        worker_id: this process, as registered.
        stop: looked at between and during the steps.
    """
    try:
        return _Generation(bench, claim, stop).run(worker_id)
    except _FinishedEarly as early:
        return early.finish
    except StaleTransition as stale:
        return Finish(Ending.LOST, str(stale))


class _Generation:
    """The steps of one job and what they share."""

    def __init__(self, bench: Bench, claim: Claim, stop: StopSignal) -> None:
        self._bench = bench
        self._claim = claim
        self._stop = stop
        self._is_stopping = False

    def run(self, worker_id: int) -> Finish:
        job = self._accept(worker_id)
        spec = self._preprocess(job)
        self._leave_if_closing()
        attempt = self._assign(job, spec)
        ticket = self._submit(job, spec, attempt)
        done = self._watch(attempt, ticket)
        return self._postprocess(job, attempt, ticket, done)

    # --- the steps -------------------------------------------------------------------------------

    def _accept(self, worker_id: int) -> Job:
        def write(session: Session) -> Job:
            transitions.accept(session, self._claim, worker_id)
            transitions.start_preprocess(session, self._claim)
            return queries.job(session, self._claim.job_id)

        job = self._write(write)
        if job.kill_requested_at is not None:
            self._stop.ask(StopReason.KILLED)
        return job

    def _preprocess(self, job: Job) -> ModelSpec:
        """Resolve the input.  The models of today take no files; theirs will be fetched and checked here."""
        try:
            return self._bench.catalogue.find(job.model_slug)
        except catalogue.UnknownModel as exc:
            # A worker of another version may know it, and there may be a ticket that is worth money.
            raise self._handed_over(None, str(exc), OFF_DELAY) from exc

    def _leave_if_closing(self, attempt: Assigned | None = None) -> None:
        """Let go of the job, with what attempt is open, when this process ends."""
        if self._stop.reason is StopReason.SHUTDOWN:
            raise self._handed_over(attempt, CLOSING, timedelta(0))
        if self._stop.reason is StopReason.BURIED:
            raise _FinishedEarly(Finish(Ending.LOST, BURIED))

    def _assign(self, job: Job, spec: ModelSpec) -> Assigned:
        """The committed intent, or the open attempt of an earlier claim."""
        offer = self._offer(spec, job.provider)
        self._provider(offer.provider)  # on, or there is nothing to intend

        def write(session: Session) -> Assigned:
            transitions.end_preprocess(session, self._claim)
            return transitions.assign(
                session, self._claim, provider=offer.provider, remote_id=offer.remote_id
            )

        return self._write(write)

    def _submit(self, job: Job, spec: ModelSpec, attempt: Assigned) -> Ticket:
        """The provider's ticket: the stored one, or a new one for a new request."""
        if attempt.ticket is not None:
            self._write(lambda session: transitions.start(session, self._claim, attempt.id))
            return attempt.ticket
        if self._stop.reason is StopReason.KILLED:
            self._kill(attempt, None)
        ticket = self._buy(job, spec, attempt)
        # The provider may be working for us: nothing may come between its answer and this commit.
        try:
            self._write(lambda session: transitions.record_ticket(session, attempt.id, ticket))
            self._write(lambda session: transitions.start(session, self._claim, attempt.id))
        except StaleTransition:
            self._cancel_if_nobody_wants_it(attempt, ticket)
            raise
        except DBAPIError:
            # Postgres will never take it, so a person must find it here.
            fields = self._fields(event="ticket_lost", attempt_id=attempt.id, ticket=ticket)
            logger.exception("Could not record a ticket.", extra=fields)
            raise
        return ticket

    def _cancel_if_nobody_wants_it(self, attempt: Assigned, ticket: Ticket) -> None:
        """While the provider took its time the job was given away, which is well, or ended."""
        job = self._write(lambda session: queries.job(session, self._claim.job_id))
        if job.outcome is not None and self._cancel(attempt, ticket) is CancelOutcome.CANCELLED:
            self._write(lambda session: transitions.cancel_late_ticket(session, attempt.id))

    def _buy(self, job: Job, spec: ModelSpec, attempt: Assigned) -> Ticket:
        provider = self._provider(attempt.provider)
        if attempt.is_taken_over and provider.on_lost_answer is not LostAnswer.SEND_AGAIN:
            lost = SubmissionUnknown(
                "the worker that was sending this request died; it may or may not be running"
            )
            raise self._failed_attempt(attempt, lost)
        told = catalogue.translate(spec, self._offer(spec, attempt.provider), job.parameters)
        request = GenerationRequest(
            key=str(attempt.uuid),
            attempt=attempt.number,
            remote_id=attempt.remote_id,
            parameters=told.parameters,
            extra=told.extra,
        )
        try:
            return provider.submit(request)
        except ProviderError as exc:
            raise self._failed_attempt(attempt, exc) from exc

    def _watch(self, attempt: Assigned, ticket: Ticket) -> Done:
        """Ask until the provider is done."""
        provider = self._provider(attempt.provider)
        deadline = time.monotonic() + DEADLINE_S
        is_first = True
        while time.monotonic() < deadline:
            progress = self._ask(attempt, ticket, lambda: provider.check(ticket))
            if isinstance(progress, Done):
                return progress
            if isinstance(progress, Failed):
                raise self._failed_attempt(attempt, progress.error, progress)
            if is_first:
                is_first = False
                self._first_sign(attempt, progress)
            if self._stop.wait(progress.poll_after_s):
                done = self._heed_stop(attempt, ticket)
                if done is not None:
                    return done
        stopped = self._stop_at_provider(attempt, ticket)
        if isinstance(stopped, Done):
            return stopped
        raise self._failed_attempt(attempt, TimedOut(f"not finished within {DEADLINE_S:.0f} s"))

    def _first_sign(self, attempt: Assigned, progress: Running) -> None:
        note = None if progress.log is None else _storable(progress.log)
        self._write(lambda session: transitions.output(session, self._claim, attempt.id, note))

    def _postprocess(self, job: Job, attempt: Assigned, ticket: Ticket, done: Done) -> Finish:
        def begin(session: Session) -> None:
            transitions.end(session, self._claim, attempt.id)
            transitions.start_postprocess(session, self._claim, attempt.id)

        self._write(begin)
        try:
            outputs = [
                self._keep(job, attempt, ticket, position, output)
                for position, output in enumerate(done.outputs)
            ]
        except NotAPicture as exc:
            raise self._failed_attempt(attempt, MalformedResponse(str(exc)), done) from exc
        except StorageError as exc:
            raise self._handed_over(attempt, f"storage refused the pictures: {exc}", STORAGE_DELAY) from exc
        self._write(
            lambda session: transitions.succeed(
                session, self._claim, attempt.id, outputs, Cost(done.cost_usd, is_estimate=False)
            )
        )
        return Finish(Ending.SUCCEEDED)

    def _keep(
        self, job: Job, attempt: Assigned, ticket: Ticket, position: int, output: RemoteOutput
    ) -> NewOutput:
        """One picture, from the provider into our storage.  Safe to repeat: same key, same bytes."""
        content = self._fetch(attempt, ticket, output)
        facts = compute(lambda: inspect(content))
        seed = output.seed if output.seed is not None else job.parameters.get("seed")
        named = self._imprinted(
            content,
            {
                "job": str(job.uuid),
                "model": job.model_slug,
                "prompt": job.parameters.get("prompt"),
                "provider": attempt.provider,
                "seed": seed,
            },
        )
        name = f"{position}.{facts.extension}"
        # The attempt is in the key: a late writer of an earlier one must not replace this picture.
        stored = self._bench.storage.put(f"{str(job.uuid)[:2]}/{job.uuid}/{attempt.number}/{name}", named)
        return NewOutput(
            name=name,
            access_key=new_token(),
            storage_key=stored.key,
            content_type=facts.content_type,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            width_px=facts.width_px,
            height_px=facts.height_px,
            seed=seed,
        )

    def _fetch(self, attempt: Assigned, ticket: Ticket, output: RemoteOutput) -> bytes:
        provider = self._provider(attempt.provider)
        if provider.computes_here:
            return self._ask(attempt, ticket, lambda: compute(lambda: provider.fetch(ticket, output)))
        return self._ask(attempt, ticket, lambda: provider.fetch(ticket, output))

    def _imprinted(self, content: bytes, record: Mapping[str, str | int | None]) -> bytes:
        """The picture with its story; as it is where its file has no place for one, since it is paid for."""
        try:
            return imprint(content, record)
        except NotAPicture as exc:
            logger.warning("Could not imprint.", extra=self._fields(event="imprint_failed", error=str(exc)))
            return content

    # --- ways out ----------------------------------------------------------------------------------

    def _heed_stop(self, attempt: Assigned, ticket: Ticket) -> Done | None:
        """Stop if asked to; a picture that was finished first is kept.

        Raises:
            _FinishedEarly: the job was killed, handed over, or is not ours any more.
        """
        self._leave_if_closing(attempt)
        return self._kill(attempt, ticket) if self._stop.reason is StopReason.KILLED else None

    def _kill(self, attempt: Assigned, ticket: Ticket | None) -> Done:
        """The finished picture, if it was finished first; else the end."""
        stopped: Done | StopOutcome = StopOutcome.NEVER_STARTED
        if ticket is not None:
            stopped = self._stop_at_provider(attempt, ticket)
        elif attempt.is_taken_over:
            stopped = StopOutcome.UNKNOWN
        if isinstance(stopped, Done):
            return stopped
        how = stopped
        self._write(lambda session: transitions.kill(session, self._claim, how, attempt.id))
        raise _FinishedEarly(Finish(Ending.STOPPED, how))

    def _stop_at_provider(self, attempt: Assigned, ticket: Ticket) -> Done | StopOutcome:
        match self._cancel(attempt, ticket):
            case CancelOutcome.CANCELLED:
                return StopOutcome.CANCELLED
            case CancelOutcome.CANNOT_CANCEL:
                return StopOutcome.CANNOT_CANCEL
            case CancelOutcome.FINISHED_FIRST:
                return self._what_was_finished(attempt, ticket)

    def _what_was_finished(self, attempt: Assigned, ticket: Ticket) -> Done | StopOutcome:
        try:
            progress = self._provider(attempt.provider).check(ticket)
        except ProviderError as exc:
            logger.warning(
                "The provider did not answer.", extra=self._fields(event="ask_failed", error=exc.code)
            )
            return StopOutcome.CANNOT_CANCEL
        return progress if isinstance(progress, Done) else StopOutcome.CANNOT_CANCEL

    def _cancel(self, attempt: Assigned, ticket: Ticket) -> CancelOutcome:
        for failures in range(1, MAX_CANCEL_ERRORS + 1):
            try:
                return self._provider(attempt.provider).cancel(ticket)
            except ProviderError as exc:
                logger.warning("Could not cancel.", extra=self._fields(event="cancel_failed", error=exc.code))
                if not isinstance(exc, ProviderFault):
                    break
                if failures < MAX_CANCEL_ERRORS:
                    time.sleep(CANCEL_AGAIN_S)
        return CancelOutcome.CANNOT_CANCEL

    def _handed_over(self, attempt: Assigned | None, reason: str, delay: timedelta) -> _FinishedEarly:
        """Back in the queue with whatever is open."""
        attempt_id = None if attempt is None else attempt.id
        note = _storable(reason)
        self._write(lambda session: transitions.hand_over(session, self._claim, attempt_id, note, delay))
        return _FinishedEarly(Finish(Ending.HANDED_OVER, reason, delay))

    def _failed_attempt(
        self, attempt: Assigned, error: ProviderError, seen: Done | Failed | None = None
    ) -> _FinishedEarly:
        """Another attempt later if that can cost nothing twice; else the end.

        Only for what the provider said of the attempt itself.  That it could not be
        asked is no failure of the attempt: see `_ask`.
        """
        failure = Failure(
            code=error.code,
            message=_storable(error.message),
            cost_usd=None if seen is None else seen.cost_usd,
            state=AttemptState.UNKNOWN if isinstance(error, SubmissionUnknown) else AttemptState.FAILED,
            request_id=error.request_id,
            billed=error.billed,
        )
        onward = self._onward(attempt, trouble_of(error))
        if onward is None:
            return self._failed(failure, attempt)
        if failure.state is AttemptState.UNKNOWN:
            failure = replace(failure, state=AttemptState.WRITTEN_OFF)
        self._write(
            lambda session: transitions.retry(session, self._claim, attempt.id, failure, onward.delay)
        )
        return _FinishedEarly(Finish(Ending.RETRYING, failure.message, onward.delay))

    def _onward(self, attempt: Assigned, trouble: Trouble) -> Onward | None:
        """When and whether the job goes on, by all that is known of it and of its offers."""
        on = self._bench.offers()

        def decide(session: Session) -> Onward | None:
            job = queries.job(session, self._claim.job_id)
            failures = queries.failures_by_offer(session, [job.id]).get(job.id, {})
            sold_by = [offer.provider for offer in on.get(job.model_slug, ())]
            return after_failure(
                trouble,
                attempt.provider,
                candidates(job, sold_by, failures),
                tried=failures,
                shut=breakers.shut(session, job.model_slug),
                counted_attempts=queries.counted_attempts(session, job.id) + trouble.counts,
                on_unknown=job.on_unknown,
                jitter=random.random(),  # noqa: S311 - spreads retries
            )

        return self._write(decide)

    def _failed(self, failure: Failure, attempt: Assigned) -> _FinishedEarly:
        self._write(lambda session: transitions.fail(session, self._claim, failure, attempt.id))
        return _FinishedEarly(Finish(Ending.FAILED, f"{failure.code}: {failure.message}"))

    # --- how every step asks and writes --------------------------------------------------------------

    def _ask(self, attempt: Assigned, ticket: Ticket, question: Callable[[], T]) -> T:
        """The provider's answer to a question that is free to repeat.

        A ticket is never given up because of a question: when there is no answer, the
        job is put aside with its ticket and asked for again later.
        """
        for failures in range(1, MAX_ASK_ERRORS + 1):
            try:
                return question()
            except ProviderError as exc:
                logger.warning(
                    "The provider did not answer.", extra=self._fields(event="ask_failed", error=exc.code)
                )
                if failures == MAX_ASK_ERRORS or not isinstance(exc, ProviderFault):
                    reason = f"the provider gave no answer: {exc.code}: {exc.message}"
                    raise self._handed_over(attempt, reason, self._aside(attempt)) from exc
                self._pause(attempt, ticket, exc.retry_after_s or 2.0**failures)
        raise AssertionError("unreachable: the last failure raises")

    def _pause(self, attempt: Assigned, ticket: Ticket, seconds: float) -> None:
        """Wait before asking again; a stop is heeded, once."""
        seconds = min(LONGEST_PAUSE_S, seconds)
        if self._is_stopping:
            time.sleep(seconds)
        elif self._stop.wait(seconds):
            self._is_stopping = True
            self._heed_stop(attempt, ticket)

    def _aside(self, attempt: Assigned) -> timedelta:
        shortest_s, longest_s = ASIDE_S
        if attempt.submitted_at is None:
            return timedelta(seconds=shortest_s)
        age_s = (datetime.now(UTC) - attempt.submitted_at).total_seconds()
        return timedelta(seconds=min(longest_s, max(shortest_s, age_s / 2)))

    def _write(self, write: Callable[[Session], T]) -> T:
        """One unit of work, tried until Postgres takes it.

        While Postgres is away the worker keeps what it knows; a ticket must not be
        dropped because a server restarts.
        """
        delay_s = 0.1
        while True:
            try:
                with self._bench.database.transaction() as session:
                    return write(session)
            except (DBAPIError, PoolTimeout) as exc:
                if not _may_pass(exc):
                    raise
                logger.warning("Postgres is away.", extra=self._fields(event="postgres_away", error=str(exc)))
                time.sleep(delay_s)
                delay_s = min(5.0, 2 * delay_s)

    def _offer(self, spec: ModelSpec, provider: str | None) -> Offer:
        offer = None if provider is None else spec.offer(provider)
        if offer is None:
            raise self._handed_over(None, f"{provider} does not sell {spec.slug} here", OFF_DELAY)
        return offer

    def _provider(self, name: str) -> Provider:
        provider = self._bench.providers.get(name)
        if provider is None:
            # It may hold a ticket that is worth money: wait until it is on again.
            raise self._handed_over(None, f"provider {name} is off", OFF_DELAY)
        return provider

    def _fields(self, **fields: object) -> dict[str, object]:
        return {"job_id": self._claim.job_id, "claim": self._claim.number, **fields}


def _may_pass(exc: DBAPIError | PoolTimeout) -> bool:
    """Whether the same write may succeed later: it was the connection, not what was written."""
    if isinstance(exc, DBAPIError):
        return isinstance(exc, OperationalError) or exc.connection_invalidated
    return True


def _storable(text: str) -> str:
    """Without NUL, which Postgres takes in no text, whatever a provider says."""
    return text.replace("\0", "")
