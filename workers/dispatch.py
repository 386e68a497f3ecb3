"""Deciding which job goes next, by which provider; then telling the workers.

Only as much as the workers can take at once is ever in Redis.  The rest waits in
Postgres, where stopping, pausing or re-ordering a million jobs is one UPDATE.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from kombu.exceptions import OperationalError
from redis import RedisError
from sqlalchemy import Row, func, select, true
from sqlalchemy.orm import Session

from broker import LOCAL, REMOTE, Broker, GenerateMessage, queue_of
from models import queries, transitions
from models.session import Database
from models.worker import DISPATCH_LOCK
from workers.routing import Pick, choose

WINDOW = 500  # jobs one call hands out at most: it is called again at once while there are more

logger = logging.getLogger("darkroom.dispatch")


def dispatch(database: Database, broker: Broker, offers: Mapping[str, tuple[str, ...]]) -> int:
    """Give the free slots to the jobs whose turn it is, and publish them; how many.

    Safe to call at any time, by any number of processes: one decides at a time.

    Args:
        database: where the jobs wait.
        broker: where the messages go.
        offers: the providers that are on, by model, in the order of preference.
    """
    _recall_after_a_wipe(database, broker)
    with database.transaction() as session:
        # Two deciding at once would both count the same slots as free.
        session.execute(select(func.pg_advisory_xact_lock(DISPATCH_LOCK)))
        queues = {provider: queue_of(provider) for sold_by in offers.values() for provider in sold_by}
        free = _free_slots(session)
        waiting = _whose_turn(session, offers, {name for name, queue in queues.items() if free[queue]}, free)
        messages = _hand_out(session, choose(waiting, offers, queues, free))
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


def _free_slots(session: Session) -> dict[str, int]:
    """Jobs the workers of each queue may still take: what they can run, less what is in flight."""
    capacity = queries.capacity(session)
    free = {queue: capacity[queue] for queue in (REMOTE, LOCAL)}
    for provider, jobs in queries.in_flight(session).items():
        free[queue_of(provider)] -= jobs
    return {queue: max(0, slots) for queue, slots in free.items()}


def _whose_turn(
    session: Session,
    offers: Mapping[str, tuple[str, ...]],
    open_now: Collection[str],
    free: Mapping[str, int],
) -> list[Row[Any]]:
    """As many waiting jobs as there are free slots, in the order of their turn."""
    slugs = {slug for slug, sold_by in offers.items() if set(sold_by).intersection(open_now)}
    if not slugs:
        return []
    return queries.ready_jobs(session, slugs, open_now, min(WINDOW, sum(free.values())))


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
