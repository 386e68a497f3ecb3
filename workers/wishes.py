"""Carrying out, batch by batch, the wishes that stand in Postgres: deadlines, and campaigns that are to stop.

As far as nobody has to be asked: what a worker or a provider has is told to stop.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row, func
from sqlalchemy.orm import Session

from broker import Broker
from models import campaign_stops, places, queries, transitions
from models.attempts import were_any
from models.campaign import Campaign
from models.job import Job
from models.session import Database
from models.transitions.stopping import TOO_LATE

NOT_BEGUN = "nothing was begun before its start deadline"

BATCH = 2000
"""A tenth of a second: dead workers wait meanwhile."""

ENOUGH_S = 0.5
"""One duty goes on so long while there is more; the rest comes a second later."""

Batch = Callable[[Session], Sequence[Row[Any]]]

logger = logging.getLogger("darkroom.sweep")


def expire_late(database: Database, broker: Broker) -> None:
    """End what nobody has begun in time, and ask what runs too long to stop."""
    now = func.statement_timestamp()
    is_late = Job.deadline_at <= now
    never_begun = places.WAITS & (Job.start_by_at <= now) & ~were_any()
    ended = _all(database, lambda session: transitions.expire(session, never_begun, NOT_BEGUN, BATCH))
    ended += _all(
        database,
        lambda session: transitions.expire(session, Job.outcome.is_(None) & is_late, TOO_LATE, BATCH),
    )
    asked = _all(database, lambda session: transitions.request_expiry(session, is_late, BATCH))
    _tell(broker, "jobs_expired", ended, asked)


def stop_campaigns(database: Database, broker: Broker) -> None:
    """Go on with stopping the campaigns that are to stop; those of which nothing lives have stopped."""
    with database.transaction() as session:
        stopping = queries.campaigns_to_stop(session)
    ends_at = time.monotonic() + ENOUGH_S
    for campaign in stopping:
        with campaign_stops.in_hand(database, campaign.id) as is_ours:
            if is_ours:  # else a request is at it
                _stop(database, broker, campaign)
        if time.monotonic() > ends_at:
            break  # the one wished first is through first


def _stop(database: Database, broker: Broker, campaign: Campaign) -> None:
    jobs = campaign_stops.jobs_of(campaign.project_id, campaign.id)
    ended = _all(database, lambda session: transitions.cancel_waiting(session, jobs, BATCH))
    asked = []
    if campaign_stops.is_kill(campaign):
        asked = _all(database, lambda session: transitions.request_kills(session, jobs, BATCH))
    _tell(broker, "campaign_stopping", ended, asked)
    with database.transaction() as session:
        if campaign_stops.end_if_nothing_lives(session, campaign):
            logger.info(
                "A campaign has stopped.", extra={"event": "campaign_stopped", "campaign_id": campaign.id}
            )


def _all(database: Database, batch: Batch) -> list[Row[Any]]:
    """What some batches moved, each a unit of work of its own; at least one."""
    moved: list[Row[Any]] = []
    ends_at = time.monotonic() + ENOUGH_S
    while True:
        with database.transaction() as session:
            rows = batch(session)
        moved += rows
        if not rows or time.monotonic() > ends_at:
            return moved


def _tell(broker: Broker, event: str, ended: Sequence[Row[Any]], asked: Sequence[Row[Any]]) -> None:
    """After the commits: workers are told of what they may have heard of."""
    if ended or asked:
        logger.info("Stopped jobs.", extra={"event": event, "ended": len(ended), "asked": len(asked)})
    for jobs, terminate in ((ended, False), (asked, True)):
        if published := [job.uuid for job in jobs if job.was_published]:
            broker.revoke(published, terminate=terminate)
