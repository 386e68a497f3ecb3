"""Ending a job that somebody wants ended: at its provider first, so that it costs no more than it must."""

import logging
import time

from sqlalchemy.orm import Session

from models import queries, transitions
from models.attempt import Attempt
from models.lifecycle import OPEN_ATTEMPTS, Billed, StopOutcome
from providers.base import CancelOutcome, Done, Ticket
from providers.errors import ProviderError, ProviderFault
from workers.running import StopReason
from workers.turn import Ending, Finish, FinishedEarly, Turn, Work

MAX_CANCEL_ERRORS = 3
"""A provider that does not answer is asked so often to cancel, a second apart."""

CANCEL_AGAIN_S = 1.0

logger = logging.getLogger("darkroom.generate")


def leave_if_asked(turn: Turn) -> None:
    """Leave before anything was sent.

    Raises:
        FinishedEarly: the job was killed, handed over, or is not ours any more.
    """
    turn.leave_if_closing()
    if turn.stop.reason is StopReason.KILLED:
        raise killed_unsent(turn)


def killed_unsent(turn: Turn, attempt_id: int | None = None) -> FinishedEarly:
    """The end of a job for which this turn has sent nothing; an earlier one may have.

    Args:
        turn: it ends.
        attempt_id: the intent that this turn has made, if it came so far.
    """

    def write(session: Session) -> StopOutcome:
        earlier = [one for one in queries.attempts(session, turn.claim.job_id) if one.id != attempt_id]
        may_have_cost = any(_may_have_cost(attempt) for attempt in earlier)
        how = StopOutcome.UNKNOWN if may_have_cost else StopOutcome.NEVER_STARTED
        transitions.kill(session, turn.claim, how, attempt_id)
        return how

    return FinishedEarly(Finish(Ending.STOPPED, turn.write(write)))


def _may_have_cost(attempt: Attempt) -> bool:
    """Whether nobody can say that it was not billed; it may still be open."""
    is_open = attempt.state in OPEN_ATTEMPTS and attempt.finished_at is None
    return is_open or attempt.billed not in {Billed.NO, None}


def heed(work: Work, ticket: Ticket | None) -> Done | None:
    """Stop if asked to; a picture that was finished first is kept.

    Raises:
        FinishedEarly: the job was killed, handed over, or is not ours any more.
    """
    work.turn.leave_if_closing(work.attempt.id)
    return kill(work, ticket) if work.turn.stop.reason is StopReason.KILLED else None


def kill(work: Work, ticket: Ticket | None) -> Done:
    """The finished picture, if it was finished first.

    Without a ticket something may have been sent all the same: whoever knows that
    nothing was says `killed_unsent`.

    Raises:
        FinishedEarly: the job has ended.
    """
    stopped = StopOutcome.UNKNOWN if ticket is None else stop_at_provider(work, ticket)
    if isinstance(stopped, Done):
        return stopped
    how = stopped
    work.turn.write(lambda session: transitions.kill(session, work.turn.claim, how, work.attempt.id))
    raise FinishedEarly(Finish(Ending.STOPPED, how))


def stop_at_provider(work: Work, ticket: Ticket) -> Done | StopOutcome:
    """What became of it there, or the picture that was finished first."""
    match cancel(work, ticket):
        case CancelOutcome.CANCELLED:
            return StopOutcome.CANCELLED
        case CancelOutcome.CANNOT_CANCEL:
            return StopOutcome.CANNOT_CANCEL
        case CancelOutcome.FINISHED_FIRST:
            return _what_was_finished(work, ticket)


def cancel_if_nobody_wants_it(work: Work, ticket: Ticket) -> None:
    """While the provider took its time the job was given away, which is well; or bought again, or ended."""

    def is_wanted(session: Session) -> bool:
        attempts = {one.id: one for one in queries.attempts(session, work.job.id)}
        lives = queries.job(session, work.job.id).outcome is None
        # Not only this very ticket: where one key is one purchase, two may lead to the same picture.
        return lives and attempts[work.attempt.id].ticket is not None

    if work.turn.write(is_wanted):
        return
    # Perhaps it is stored nowhere else, and costs money: a person may want to look it up at the provider.
    fields = work.turn.fields(event="ticket_unwanted", attempt_id=work.attempt.id, ticket=ticket)
    logger.warning("A ticket came that nobody wants any more.", extra=fields)
    if cancel(work, ticket) is CancelOutcome.CANCELLED:
        work.turn.write(lambda session: transitions.cancel_late_ticket(session, work.attempt.id))


def cancel(work: Work, ticket: Ticket) -> CancelOutcome:
    """The provider's word on it; who gives none cannot cancel."""
    for failures in range(1, MAX_CANCEL_ERRORS + 1):
        try:
            return work.provider.cancel(ticket)
        except ProviderError as exc:
            logger.warning("Could not cancel.", extra=work.turn.fields(event="cancel_failed", error=exc.code))
            if not isinstance(exc, ProviderFault):
                break
            if failures < MAX_CANCEL_ERRORS:
                time.sleep(CANCEL_AGAIN_S)
    return CancelOutcome.CANNOT_CANCEL


def _what_was_finished(work: Work, ticket: Ticket) -> Done | StopOutcome:
    try:
        progress = work.provider.check(ticket)
    except ProviderError as exc:
        logger.warning(
            "The provider did not answer.", extra=work.turn.fields(event="ask_failed", error=exc.code)
        )
        return StopOutcome.CANNOT_CANCEL
    return progress if isinstance(progress, Done) else StopOutcome.CANNOT_CANCEL
