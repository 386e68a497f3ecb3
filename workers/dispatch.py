"""Deciding which job goes next, by which provider; then telling the workers.

Only as much as the workers can take at once is ever in Redis.  The rest waits in
Postgres, where stopping, pausing or re-ordering a million jobs is one UPDATE.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol

from kombu.exceptions import OperationalError
from redis import RedisError
from sqlalchemy import Row, func, select, true
from sqlalchemy.orm import Session

from broker import LOCAL, REMOTE, Broker, GenerateMessage, queue_of
from models import queries, transitions
from models.lifecycle import OfferKey, Route
from models.session import Database
from models.turns import ready_jobs
from models.worker import DISPATCH_LOCK
from workers import breakers
from workers.breaker import Passage
from workers.routing import Market, Pick, choose

WINDOW = 500  # jobs one call hands out at most: it is called again at once while there are more

logger = logging.getLogger("darkroom.dispatch")


class Sold(Protocol):
    """What dispatch needs to know of an offer."""

    @property
    def provider(self) -> str:
        """Who sells it."""

    def price(self, parameters: Mapping[str, Any], /) -> Decimal | None:
        """US dollars, estimated, of a job with these parameters; None when unknown."""


def dispatch(database: Database, broker: Broker, offers: Mapping[str, Sequence[Sold]]) -> int:
    """Give the free slots to the jobs whose turn it is, and publish them; how many.

    Safe to call at any time, by any number of processes: one decides at a time.
    Call it again while it hands out any: a first call may see no further than the jobs
    that compete for the last slot of one queue, or to be the one that tries an offer.

    Args:
        database: where the jobs wait.
        broker: where the messages go.
        offers: those that are on, by model, in the order of preference.
    """
    _recall_after_a_wipe(database, broker)
    with database.transaction() as session:
        # Two deciding at once would both count the same slots as free, and both try the same offer.
        session.execute(select(func.pg_advisory_xact_lock(DISPATCH_LOCK)))
        market = _market(session, offers)
        waiting = _whose_turn(session, market)
        messages = _hand_out(session, _picks(session, waiting, market, offers))
    if messages:
        _publish(broker, messages)
    return len(messages)


def _recall_after_a_wipe(database: Database, broker: Broker) -> None:
    """What was published before Redis lost its memory is published again."""
    try:
        if not broker.was_wiped():
            return
    except RedisError as exc:
        logger.warning("Redis is away.", extra={"event": "redis_away", "error": str(exc)})
        return
    with database.transaction() as session:
        recalled = transitions.recall(session, true(), "Redis lost its messages")
    if recalled:
        logger.warning("Recalled jobs.", extra={"event": "jobs_recalled", "count": len(recalled)})


def _market(session: Session, offers: Mapping[str, Sequence[Sold]]) -> Market:
    """What is so of the offers now, but for their latencies."""
    in_flight = queries.in_flight(session)
    passages = breakers.passages(session)
    return Market(
        offers={slug: [offer.provider for offer in sold] for slug, sold in offers.items()},
        queues={offer.provider: queue_of(offer.provider) for sold in offers.values() for offer in sold},
        free_slots=_free_slots(session, in_flight),
        shut={offer for offer, who in passages.items() if who is Passage.NONE},
        probed={offer for offer, who in passages.items() if who is Passage.ONE},
        busy=in_flight.keys(),
    )


def _free_slots(session: Session, in_flight: Mapping[OfferKey, int]) -> dict[str, int]:
    """Jobs the workers of each queue may still take: what they can run, less what is in flight."""
    capacity = queries.capacity(session)
    free = {queue: capacity[queue] for queue in (REMOTE, LOCAL)}
    for (provider, _), jobs in in_flight.items():
        free[queue_of(provider)] -= jobs
    return {queue: max(0, slots) for queue, slots in free.items()}


def _whose_turn(session: Session, market: Market) -> list[Row[Any]]:
    """As many waiting jobs as there are free slots, in the order of their turn."""
    not_full = [
        (provider, slug)
        for slug, sold_by in market.offers.items()
        for provider in sold_by
        if market.free_slots[market.queues[provider]]
    ]
    if not not_full:
        return []
    available = [offer for offer in not_full if offer not in market.shut]
    return ready_jobs(session, available, not_full, min(WINDOW, sum(market.free_slots.values())))


def _picks(
    session: Session, waiting: Sequence[Row[Any]], market: Market, offers: Mapping[str, Sequence[Sold]]
) -> list[Pick]:
    """Who goes where; of several that would try an offer, one."""
    if any(job.route is Route.LATENCY for job in waiting):
        market = replace(market, latencies=queries.latencies(session))
    failures = queries.failures_by_offer(session, [job.id for job in waiting])
    jobs = {job.id: job for job in waiting}

    def price(job_id: int, provider: str) -> Decimal | None:
        job = jobs[job_id]
        [offer] = [offer for offer in offers[job.model_slug] if offer.provider == provider]
        return offer.price(job.parameters)

    return [
        pick
        for pick in choose(waiting, market, failures, price)
        if not pick.is_probe or breakers.begin_probe(session, pick.provider, jobs[pick.job_id].model_slug)
    ]


def _hand_out(session: Session, picks: Iterable[Pick]) -> list[GenerateMessage]:
    """New claims for the picked jobs, one statement for each provider."""
    by_provider: dict[str, list[int]] = defaultdict(list)
    for pick in picks:
        by_provider[pick.provider].append(pick.job_id)
    return [
        GenerateMessage(
            job_id=row.id, uuid=row.uuid, claim=row.claim, model=row.model_slug, provider=provider
        )
        for provider, job_ids in by_provider.items()
        for row in transitions.dispatch(session, provider, job_ids)
    ]


def _publish(broker: Broker, messages: list[GenerateMessage]) -> None:
    try:
        broker.publish(messages)
    except (RedisError, OperationalError) as exc:
        # They stay dispatched and unaccepted; the sweep recalls them.
        logger.warning(
            "Could not publish.", extra={"event": "publish_failed", "count": len(messages), "error": str(exc)}
        )
    else:
        logger.info("Dispatched jobs.", extra={"event": "jobs_dispatched", "count": len(messages)})
