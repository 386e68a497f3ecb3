"""Why a job waits although it is its turn: nobody who may make its picture gets anything new now.

It reads what the dispatcher goes by and decides nothing.
"""

from sqlalchemy.orm import Session

from api.market import Market
from models import closures, queries
from models.candidates import candidates
from models.closures import Closures
from models.job import Job
from models.lifecycle import OPEN_ATTEMPTS, Status


def why_it_waits(session: Session, market: Market, job: Job) -> str | None:
    """A sentence for people; None unless every offer that the job may go to is closed now."""
    if job.status is not Status.QUEUE or job.held_at is not None or job.dispatched_at is not None:
        return None
    # What is begun is gone on with: an open attempt passes every breaker and every pause.
    if any(attempt.state in OPEN_ATTEMPTS for attempt in queries.attempts(session, job.id)):
        return None
    return why_all_are_closed(closures.read(session), market, job)


def why_all_are_closed(closed: Closures, market: Market, job: Job) -> str | None:
    """The same of a job that waits for a new attempt, by what has been read already."""
    why = closed.why_all(candidates_of(market, job), job.model_slug)
    return None if why is None else f"Waits: {why}."


def candidates_of(market: Market, job: Job) -> list[str]:
    """The providers that may get a new attempt of the job some time."""
    return candidates(job, market.sold_by(job.model_slug))
