"""The wish that a campaign's jobs stop: on the campaign's own row, so that it outlives whoever wished it.

Until nothing of the campaign lives the dispatcher sends nothing new of it, and it takes no new rows.
"""

from contextlib import AbstractContextManager
from datetime import timedelta

from sqlalchemy import ColumnElement, case, func, literal_column, select, update
from sqlalchemy.orm import Session

from models import places
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import Outcome
from models.session import Database

CAMPAIGN_LOCKS = 0x63616D70  # "camp": first half of an advisory lock's key, the campaign's id is the second

ADDING_LOCKS = 0x726F7773  # "rows": the same, shared by those who add rows to the campaign

IN_HAND_FOR_S = 30.0
"""Longer than a request takes, in which somebody waits for what runs to stop; who takes so long is frozen."""

SETTLES_AFTER = timedelta(seconds=3)
"""A wish stands at least so long: what was just being tried again of it is found by then."""


def in_hand(database: Database, campaign_id: int) -> AbstractContextManager[bool]:
    """Whether the caller alone carries out the wish now; a process that dies lets go at once.

    Nothing would break if two did; but whoever tells how many have stopped must have
    stopped them.
    """
    return database.alone(CAMPAIGN_LOCKS, campaign_id, at_most_s=IN_HAND_FOR_S)


def is_wished(session: Session, campaign_id: int) -> bool:
    """Whether the campaign is to stop; if not, rows that this unit of work adds to it are not missed by one.

    A wish that comes now does not come true before this unit of work has ended.
    """
    # Before the look: whoever ends a wish meanwhile finds the lock taken, or has ended it.
    session.execute(select(func.pg_advisory_xact_lock_shared(ADDING_LOCKS, campaign_id)))
    return session.scalar(select(Campaign.stop_as).where(Campaign.id == campaign_id)) is not None


def wish(session: Session, campaign_id: int, stop_as: Outcome) -> None:
    """Note that what waits of it (`CANCELLED`), or all of it (`KILLED`), shall stop; safe to call twice.

    Who has wished the whole of it stopped does not take that back by wishing less.
    """
    session.execute(
        update(Campaign)
        .where(Campaign.id == campaign_id)
        .values(
            stop_as=case((Campaign.stop_as == Outcome.KILLED, Outcome.KILLED.value), else_=stop_as.value),
            stopped_at=func.clock_timestamp(),
        )
    )


def jobs_of(project_id: int, campaign_id: int) -> ColumnElement[bool]:
    """SQL: a job is one of the campaign's."""
    # As the index of what waits has it.
    lane = func.coalesce(Job.campaign_id, literal_column("0"))
    return (Job.project_id == project_id) & (lane == campaign_id)


def is_kill(campaign: Campaign) -> bool:
    """Whether what runs is to stop too."""
    return campaign.stop_as is Outcome.KILLED


def end_if_nothing_lives(session: Session, campaign: Campaign) -> bool:
    """Take the wish back when it has come true; True if it has."""
    # Nobody is waited for who adds rows just now, and may be frozen: it is looked at again in a second.
    if not session.scalar(select(func.pg_try_advisory_xact_lock(ADDING_LOCKS, campaign.id))):
        return False
    if places.is_anybody(session, places.LIVING, jobs_of(campaign.project_id, campaign.id)):
        return False
    ended = session.execute(
        update(Campaign)
        .where(
            Campaign.id == campaign.id,
            Campaign.stopped_at == campaign.stopped_at,  # nobody has wished it anew
            Campaign.stopped_at < func.clock_timestamp() - SETTLES_AFTER,
        )
        .values(stop_as=None)
        .returning(Campaign.id)
    )
    return ended.first() is not None
