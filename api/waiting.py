"""Why a job waits although it is its turn: all who may make its picture are left alone by their breakers.

It reads what the dispatcher goes by and decides nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.market import Market
from catalogue import UnknownModel
from models import limits, queries
from models.breaker import Breaker
from models.candidates import candidates
from models.job import Job
from models.lifecycle import OPEN_ATTEMPTS, BreakerState, OfferKey, Status
from models.limit import WHOLE, Limit


def why_it_waits(session: Session, market: Market, job: Job) -> str | None:
    """A sentence for people; None unless every offer that the job may go to is left alone now."""
    if job.status is not Status.QUEUE or job.held_at is not None or job.dispatched_at is not None:
        return None
    # What is begun is gone on with: an open attempt passes every breaker.
    if any(attempt.state in OPEN_ATTEMPTS for attempt in queries.attempts(session, job.id)):
        return None
    names = candidates_of(session, market, job)
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    shut = {
        one.provider: one
        for one in queries.breakers(session)
        if one.model_slug == job.model_slug and _is_shut(one, now)
    }
    if not names or any(name not in shut for name in names):
        return None
    return _sentence([shut[name] for name in names])


def candidates_of(session: Session, market: Market, job: Job) -> list[str]:
    """The providers that may get a new attempt of the job some time."""
    try:
        sold_by = market.sellers(market.catalogue.find(job.model_slug))
    except UnknownModel:  # the job is older than the model's removal from the catalogue
        return []
    failures = queries.failures_by_offer(session, [job.id]).get(job.id, {})
    return candidates(job, sold_by, failures)


def why_all_are_closed(session: Session, market: Market, job: Job) -> str | None:
    """A sentence for people; None unless every offer the job may go to is paused or asked for quiet."""
    names = candidates_of(session, market, job)
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    rows = limits.limits(session)
    closed = [why for name in names if (why := _why_closed(rows, (name, job.model_slug), now)) is not None]
    return "; ".join(closed) + "." if names and len(closed) == len(names) else None


def _why_closed(rows: dict[OfferKey, Limit], offer: OfferKey, now: datetime) -> str | None:
    """Why nothing new goes to an offer now."""
    name, _ = offer
    whole = rows.get((name, WHOLE))
    if limits.is_paused(rows, offer):
        return f"{name} is paused"
    if whole is not None and whole.quiet_until is not None and limits.is_quiet(whole, now):
        until = whole.quiet_until.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{name} asked to be left alone until {until}"
    return None


def _is_shut(breaker: Breaker, now: datetime) -> bool:
    """Whether it lets nobody through, not even the one job that tries it."""
    until = _until(breaker)
    return until is not None and until > now


def _until(breaker: Breaker) -> datetime | None:
    return breaker.probe_until if breaker.state is BreakerState.HALF_OPEN else breaker.retry_at


def _sentence(shut: Sequence[Breaker]) -> str:
    first, *others = shut
    told = [f"{first.provider} is left alone until {_when_and_why(first)}"]
    told += [f"{one.provider} until {_when_and_why(one)}" for one in others]
    return f"Waits: {', '.join(told)}; the next job tries {'each' if others else 'it'} again."


def _when_and_why(breaker: Breaker) -> str:
    """The time, and of the latest trouble its code alone: `darkroom providers` has the whole."""
    until = _until(breaker)
    shown = "" if until is None else until.astimezone(UTC).strftime("%H:%M:%S UTC")
    code = (breaker.reason or "").partition(":")[0]
    return f"{shown} ({code})" if code else shown
