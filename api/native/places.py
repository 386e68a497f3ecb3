"""A waiting job's place in the queue, and how long it will probably wait; or why nobody can know.

It reads what the dispatcher goes by and decides nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

import providers
from api.market import Market
from api.native import waiting
from api.native.schemas.jobs import QueueAnswer
from broker import queue_of
from models import limits, obstacles, positions, queries, rates
from models.job import Job
from models.lifecycle import SUSPECT_DEATHS, OfferKey, Status
from models.limit import WHOLE, Limit
from models.obstacles import Obstacles
from models.positions import Position
from models.scopes import campaign_scope, project_scope


def place_of(session: Session, market: Market, job: Job) -> QueueAnswer | None:
    """Its place; None unless it waits in the queue."""
    if job.status is not Status.QUEUE or job.dispatched_at is not None or job.kill_requested_at is not None:
        return None
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    apart = _why_it_is_in_no_turn(job, now)
    if apart is not None:
        return QueueAnswer(position=None, is_at_least=False, ahead=None, wait_s=None, reason=apart)
    queue = positions.waiting_with(session, job)
    stops = obstacles.read(session, queue, market.sold_by)
    where = positions.position(session, job, queue, stops)
    reason = next(_why_nobody_knows(session, market, job, stops), None)
    wait_s = None if reason is not None else _wait_s(session, market, job, where, now)
    if reason is None and wait_s is None:
        reason = "Nothing like it was made lately, so nobody knows how long that takes."
    return QueueAnswer(
        position=where.in_lane + 1,
        is_at_least=where.is_at_least,
        ahead=where.ahead,
        wait_s=None if wait_s is None else round(wait_s, 1),
        reason=reason,
    )


def _why_it_is_in_no_turn(job: Job, now: datetime) -> str | None:
    if job.held_at is not None:
        return "It waits until somebody resolves it."
    if not job.is_due and job.run_at > now:
        return f"It waits until {_moment(job.run_at)} before it is tried again."
    if job.worker_deaths >= SUSPECT_DEATHS:
        return "Workers died with it, so it runs when no other such job does."
    if job.open_provider is not None:
        return f"It was begun at {job.open_provider} and goes on there as soon as a worker is free."
    return None


def _why_nobody_knows(session: Session, market: Market, job: Job, stops: Obstacles) -> Iterator[str]:
    """What keeps it from its turn for a time that nobody knows."""
    for who, scope in (
        ("project", project_scope(job.project_id)),
        ("campaign", campaign_scope(job.campaign_id or 0)),
    ):
        if stops.is_paused(scope):
            yield f"Its {who} is paused."
        if stops.is_doubtful(scope):
            yield (
                f"Its {who} has a budget, and some of its jobs in flight were sent before, at a price that "
                "nobody knows: it waits for those to end, or for the operator's price."
            )
        elif stops.is_spent(scope):
            yield f"The budget of its {who} is spent."
    names = waiting.candidates_of(market, job)
    if not names:
        yield "Nobody who is on sells it to this job."
    closed = waiting.why_all_are_closed(stops.closures, market, job)
    if closed is not None:
        yield closed
    capacity = queries.capacity(session)
    if not any(capacity[queue_of(name)] for name in names):
        yield "No worker is alive that could take it."


def _wait_s(session: Session, market: Market, job: Job, where: Position, now: datetime) -> float | None:
    """From what its lane had lately; where that says nothing, from free places and a picture's time."""
    lane = positions.lane_of(session, job)
    rate = None if lane is None else rates.rate_per_s(lane, now)
    if rate is not None:
        return (where.in_lane + 1) / rate
    return _wait_by_latency_s(session, waiting.candidates_of(market, job), job, where, now)


def _wait_by_latency_s(
    session: Session, names: Sequence[str], job: Job, where: Position, now: datetime
) -> float | None:
    """All who go before it, through the places that there are."""
    places, free = _places(session, names, now)
    if where.ahead < free:
        return 1.0  # the next look of the dispatcher
    latencies = queries.latencies(session)
    known = [latencies[name, job.model_slug] for name in names if (name, job.model_slug) in latencies]
    if not known or not places:
        return None
    return (where.ahead - free + 1) * min(known) / places


def _places(session: Session, names: Sequence[str], now: datetime) -> tuple[int, int]:
    """Jobs that those who may make it can have at a time, and how many of these places are free."""
    rows: Mapping[OfferKey, Limit] = limits.limits(session)
    used = limits.in_use(session)
    capacity = queries.capacity(session)
    slots = sum(capacity[queue] for queue in {queue_of(name) for name in names})
    busy = sum(use.slots for use in used if queue_of(use.provider) in {queue_of(name) for name in names})
    places = free = 0
    for name in names:
        most = limits.ceiling(rows.get((name, WHOLE)), providers.documented_limit(name), now)
        taken = sum(use.places for use in used if use.provider == name)
        places += slots if most is None else most
        free += slots if most is None else max(0, most - taken)
    return min(places, slots), max(0, min(free, slots - busy))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
