"""What projects and campaigns use just now: jobs in flight, jobs that wait, dollars reserved.

Counted, never kept: a number that is kept can leak.  What is in flight is few; what
waits is read from the index of the waiting alone, however many jobs have ended.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, func, literal_column, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.job import Job
from models.lifecycle import SUSPECT_DEATHS, OfferKey

# Written into the statement, not bound to it: a partial index is used only where its condition can be proven.
_SUSPECT_DEATHS = literal_column(str(SUSPECT_DEATHS), Integer)
_NO_CAMPAIGN = literal_column("0", Integer)


@dataclass(slots=True)
class Usage:
    """What one project or campaign uses.

    Attributes:
        in_flight: jobs dispatched, or begun at a provider and waiting for a worker.
        waiting: jobs that were not begun, and those of them whose time has not come yet.
        reserved_usd: of the budgets, for what is in flight and has not been settled.
    """

    in_flight: int = 0
    waiting: int = 0
    reserved_usd: Decimal = Decimal(0)


def of_projects(session: Session, project_ids: Collection[int]) -> dict[int, Usage]:
    """What each of these projects uses."""
    return _counted(session, Job.project_id, project_ids, Job.project_id.in_(project_ids))


def of_campaigns(session: Session, project_id: int, campaign_ids: Collection[int]) -> dict[int, Usage]:
    """What each of these campaigns of one project uses."""
    # Named with its project and as the index has it, so that only these lanes of the index are read.
    lanes = (Job.project_id == project_id) & func.coalesce(Job.campaign_id, _NO_CAMPAIGN).in_(campaign_ids)
    return _counted(session, Job.campaign_id, campaign_ids, lanes)


def in_flight_by_offer(session: Session) -> dict[OfferKey, int]:
    """Jobs of all projects that occupy a place at a provider, by offer."""
    where = func.coalesce(Job.provider, Job.open_provider)
    rows = session.execute(
        select(where, Job.model_slug, func.count()).where(_is_in_flight()).group_by(where, Job.model_slug)
    )
    return {(provider, slug): count for provider, slug, count in rows}


def _counted(
    session: Session, owner: InstrumentedAttribute[Any], owner_ids: Iterable[int], lanes: ColumnElement[bool]
) -> dict[int, Usage]:
    used: defaultdict[int, Usage] = defaultdict(Usage, {owner_id: Usage() for owner_id in owner_ids})
    if not used:
        return used
    flying = select(
        owner, func.count(), func.coalesce(func.sum(Job.reserved_usd), 0).label("reserved_usd")
    ).where(_is_in_flight(), lanes)
    for owner_id, count, reserved_usd in session.execute(flying.group_by(owner)):
        used[owner_id].in_flight, used[owner_id].reserved_usd = count, Decimal(reserved_usd)
    for owner_id, count in session.execute(_waiting(owner, lanes)):
        used[owner_id].waiting = count
    return dict(used)


def _waiting(owner: InstrumentedAttribute[Any], lanes: ColumnElement[bool]) -> Select[Any]:
    """How many wait: due ones, suspects, and those that are not due yet, each read from its own index."""
    parts = [
        select(owner.label("owner"), func.count().label("jobs"))
        .where(_waits(), Job.open_provider.is_(None), lanes, which)
        .group_by(owner)
        for which in (
            Job.is_due & (Job.worker_deaths < _SUSPECT_DEATHS),
            Job.is_due & (Job.worker_deaths >= _SUSPECT_DEATHS),
            ~Job.is_due,
        )
    ]
    every = union_all(*parts).subquery()
    return select(every.c.owner, func.sum(every.c.jobs)).group_by(every.c.owner)


def _waits() -> ColumnElement[bool]:
    """As the indexes say it."""
    return (
        Job.dispatched_at.is_(None)
        & Job.outcome.is_(None)
        & Job.held_at.is_(None)
        & Job.kill_requested_at.is_(None)
    )


def _is_in_flight() -> ColumnElement[bool]:
    """As the index says it."""
    return Job.outcome.is_(None) & or_(Job.dispatched_at.is_not(None), Job.open_provider.is_not(None))
