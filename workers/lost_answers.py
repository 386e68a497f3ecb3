"""An answer to a paid request was lost: what may be done depends on the provider, and then on the job.

Where two submissions under one key are one purchase, the request is sent again.
Where the id was ours to choose, it is asked for.  Elsewhere nobody knows, and the
job's policy decides: it waits for a person, it fails, or it is bought again.

Nobody's death changes that.  A worker that was killed between an intent and its
ticket leaves the same question as an answer that was lost, and the same steps
answer it: an intent that was left is one that may have been sent.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import queries, transitions
from models.attempts import Failure
from models.event import JobEvent
from models.lifecycle import AttemptState, OnUnknown, Status
from models.transitions import Claim
from providers.base import LostAnswer, Ticket
from providers.errors import Forgotten, ProviderError, SubmissionUnknown, Unavailable
from workers import asking, stopping
from workers.failing import brought_nothing
from workers.running import StopReason
from workers.turn import Ending, Finish, FinishedEarly, Work, storable

ASK_AFTER = timedelta(seconds=3)
"""An answer that was lost just now is asked for so much later: mostly the request has arrived by then."""

ON_ITS_WAY = timedelta(seconds=15)
"""So long a request may be on its way after its sender has gone: in a buffer, a proxy, a queue.

Who is told "never heard of it" before that has been, and sends it again, may send it twice.
"""

MOST_SENDS = 4
LATELY = timedelta(minutes=10)
"""A request that was sent so often within this time, and that its provider has never heard of, was not taken.

What was sent longer ago a provider may have forgotten: that is sent again under its key, which it may know.
"""

logger = logging.getLogger("darkroom.generate")


def lost(work: Work, error: SubmissionUnknown) -> FinishedEarly:
    """What follows when the answer has just been lost, or was by a worker that died."""
    if work.provider.on_lost_answer is not LostAnswer.NOBODY_KNOWS:
        return _to_be_asked_for(work, error)
    if _policy(work) is OnUnknown.HOLD:
        return _held(work, error, transitions.hold)
    return brought_nothing(work, error)


def forgotten(work: Work, error: Forgotten) -> FinishedEarly:
    """What follows when a provider knows nothing of its own ticket, or of one that a person gave us.

    It may have made the picture and been paid: who holds what was lost holds this too.
    """
    if _policy(work) is OnUnknown.HOLD:
        return _held(work, error, transitions.forget)
    return brought_nothing(work, error)


def recovered(work: Work, send: Callable[[], Ticket]) -> Ticket:
    """The ticket of a request that an earlier turn has sent, or was about to.

    Args:
        work: the attempt that was left without a ticket.
        send: sends it again, under the same key.

    Raises:
        FinishedEarly: there is none, or not yet.
        ProviderError: it was sent again, and refused.
    """
    if work.turn.stop.reason is StopReason.KILLED:
        return _found_before_the_end(work)
    match work.provider.on_lost_answer:
        case LostAnswer.SEND_AGAIN:
            return send()
        case LostAnswer.ASK:
            return _find(work) or _sent_again(work, send)
        case LostAnswer.NOBODY_KNOWS:
            # Our worker's death is no trouble of the offer's, so its breaker hears nothing of it.
            raise lost(
                work,
                SubmissionUnknown(
                    "the worker that was sending this request died; it may or may not be running"
                ),
            )


def _find(work: Work) -> Ticket | None:
    """The ticket, as the provider knows it; put aside when the provider gives no answer."""
    return asking.ask(work, None, lambda: work.provider.find(str(work.attempt.uuid)))


def _sent_again(work: Work, send: Callable[[], Ticket]) -> Ticket:
    """The provider knows nothing of it; once nothing can be on its way any more, it never arrived."""
    if work.turn.write(lambda session: _quiet_for(session, work.job.id)) < ON_ITS_WAY:
        raise work.handed_over(
            f"{work.attempt.provider} has not heard of the request yet; it may still be on its way",
            ON_ITS_WAY,
        )
    if work.turn.write(lambda session: _lost_lately(session, work.attempt.id)) >= MOST_SENDS:
        # Else one offer that loses every answer would keep the job for ever.
        raise Unavailable(f"{work.attempt.provider} was sent the request again and again, and knows of none")
    logger.warning("Sent a request again.", extra=work.turn.fields(event="sent_again"))
    try:
        return send()
    except SubmissionUnknown:
        raise
    except ProviderError:
        # An id that is there already is refused: then the first one has arrived after all.
        ticket = _find(work)
        if ticket is None:
            raise
        return ticket


def _quiet_for(session: Session, job_id: int) -> timedelta:
    """How long ago the last turn at the job ended: whatever it sent, it sent before.

    Not the age of the intent: a turn may have sent it again since.
    """
    quiet: timedelta = session.execute(
        select(func.clock_timestamp() - func.max(JobEvent.at)).where(
            JobEvent.job_id == job_id, JobEvent.status == Status.QUEUE
        )
    ).scalar_one()
    return quiet


def _lost_lately(session: Session, attempt_id: int) -> int:
    """How many answers to the request were lost lately, in turns that could say so."""
    times: int = session.execute(
        select(func.count()).where(
            JobEvent.attempt_id == attempt_id,
            JobEvent.status == Status.QUEUE,
            JobEvent.reason.startswith(f"{SubmissionUnknown.code}:"),
            JobEvent.at > func.clock_timestamp() - LATELY,
        )
    ).scalar_one()
    return times


def _found_before_the_end(work: Work) -> Ticket:
    """The ticket of a job that is to be killed, where there is one to be had: what is found can be stopped.

    Raises:
        FinishedEarly: it has ended, and nobody knows what it cost.
    """
    for failures in range(1, stopping.MAX_CANCEL_ERRORS + 1):
        if work.provider.on_lost_answer is not LostAnswer.ASK:
            break
        try:
            ticket = work.provider.find(str(work.attempt.uuid))
        except ProviderError as exc:
            logger.warning(
                "The provider did not answer.", extra=work.turn.fields(event="ask_failed", error=exc.code)
            )
            if failures < stopping.MAX_CANCEL_ERRORS:
                time.sleep(stopping.CANCEL_AGAIN_S)
            continue
        if ticket is not None:
            return ticket
        break
    stopping.kill(work, None)
    raise AssertionError("unreachable: without a ticket a kill ends the job")


def _to_be_asked_for(work: Work, error: SubmissionUnknown) -> FinishedEarly:
    """In doubt, and soon in the hands of a turn that asks for it, or sends it again."""
    delay = asking.aside(work) if work.attempt.is_taken_over else ASK_AFTER
    note = storable(f"{error.code}: {error.message}")

    def write(session: Session) -> None:
        transitions.doubt(session, work.attempt.id)
        transitions.hand_over(session, work.turn.claim, work.attempt.id, note, delay)

    work.turn.write(write)
    return FinishedEarly(Finish(Ending.HANDED_OVER, note, delay))


def _held(
    work: Work, error: ProviderError, hold: Callable[[Session, Claim, int, Failure], None]
) -> FinishedEarly:
    """Waiting for a person; unless the answer came late, to a turn that lost its claim."""
    failure = Failure(
        code=error.code,
        message=storable(error.message),
        state=AttemptState.UNKNOWN,
        request_id=error.request_id,
        billed=error.billed,
    )

    def write(session: Session) -> bool:
        hold(session, work.turn.claim, work.attempt.id, failure)
        return queries.job(session, work.job.id).held_at is not None

    if not work.turn.write(write):
        return FinishedEarly(Finish(Ending.HANDED_OVER, "its answer came late", timedelta(0)))
    logger.warning(
        "Held a job: nobody knows what became of a paid request.",
        extra=work.turn.fields(
            event="job_held", attempt_id=work.attempt.id, provider=work.attempt.provider, error=error.message
        ),
    )
    return FinishedEarly(Finish(Ending.HELD, f"held until somebody decides: {failure.message}"))


def _policy(work: Work) -> OnUnknown:
    """As it is now: a person may have changed it."""
    return work.turn.write(lambda session: queries.job(session, work.job.id).on_unknown)
