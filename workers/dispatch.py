"""Deciding which job goes next, by which provider; then telling the workers.

Only as much as the workers can take at once is ever in Redis.  The rest waits in
Postgres, where stopping, pausing or re-ordering a million jobs is one UPDATE.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from kombu.exceptions import OperationalError
from redis import RedisError
from sqlalchemy import true
from sqlalchemy.orm import Session

from broker import Broker, GenerateMessage
from models import transitions, turns
from models.session import Database
from models.transitions import Hand
from workers import picking
from workers.market import Offers
from workers.routing import Pick

FOR_A_WHILE_S = 0.5
"""At a stretch: while thousands of jobs a second come and go, others too get their turn in this process,
the sweep first of all."""

NOTHING_DOCUMENTED: Mapping[str, int] = MappingProxyType({})

logger = logging.getLogger("darkroom.dispatch")


def dispatch(
    database: Database, broker: Broker, offers: Offers, documented: Mapping[str, int] = NOTHING_DOCUMENTED
) -> int:
    """Give the free slots to the jobs whose turn it is, and publish them; how many.

    Safe to call at any time, by any number of processes: one decides at a time.
    Call it again at once while it hands out about as many as one call may, `picking.WINDOW`.

    Args:
        database: where the jobs wait.
        broker: where the messages go.
        offers: those that are on, by model, in the order of preference.
        documented: jobs at a time, by what the providers themselves say.
    """
    _recall_after_a_wipe(database, broker)
    with database.transaction() as session:
        turns.decide_alone(session)
        turns.make_due(session)
        messages = _hand_out(session, picking.picks(session, offers, documented))
    if messages:
        _publish(broker, messages)
    return len(messages)


def repeat_for_a_while(once: Callable[[], int], ring: Callable[[], object], now: Callable[[], float]) -> None:
    """Dispatch until all that could go has gone, or for a while; then ring, so that somebody goes on.

    Args:
        once: one call of `dispatch`.
        ring: asks for the next while.
        now: the clock, seconds.
    """
    leave_at = now() + FOR_A_WHILE_S
    # Some of a full call may have been stopped just then: they were picked, and not handed out.
    while once() > picking.WINDOW // 2:
        if now() > leave_at:
            ring()
            return


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


def _hand_out(session: Session, picks: Sequence[Pick]) -> list[GenerateMessage]:
    """New claims for the picked jobs, in one statement."""
    if not picks:
        return []
    hands = [Hand(pick.job_id, pick.provider, pick.price_usd, pick.is_begun) for pick in picks]
    handed_out = {row.id: row for row in transitions.hand_out(session, hands)}
    # In the order of their turn; one that was stopped meanwhile is not among them.
    rows = [handed_out[pick.job_id] for pick in picks if pick.job_id in handed_out]
    return [
        GenerateMessage(
            job_id=row.id, uuid=row.uuid, claim=row.claim, model=row.model_slug, provider=row.provider
        )
        for row in rows
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
