"""What projects and campaigns use just now: jobs in flight, jobs that wait, dollars reserved.

Counted, never kept: a number that is kept can leak.  What is in flight is few; what
waits is read from the index of the waiting alone, however many jobs have ended.
"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, func, literal_column, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.campaign import Campaign
from models.job import Job
from models.places import DELAYED, IN_FLIGHT, READY, SUSPECT, WAITS
from models.project import Project

# Written into the statement, not bound to it: an index on an expression is used only where it is seen.
_NO_CAMPAIGN: ColumnElement[int] = literal_column("0", Integer)


@dataclass(slots=True)
class Usage:
    """What one project or campaign uses.

    Attributes:
        in_flight: jobs dispatched, or begun at a provider and waiting for a worker; not held ones.
        waiting: jobs that were not begun, also those whose time has not come yet.
        reserved_usd: of the budgets, for what is begun and has not been settled, held jobs included.
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


def head_of_campaign(session: Session, project_id: int, campaign_id: int) -> Job | None:
    """A job that is due, of the campaign's highest priority: as a rule, what it waits for they all do."""
    lane = (Job.project_id == project_id) & (func.coalesce(Job.campaign_id, _NO_CAMPAIGN) == campaign_id)
    # In the order of the index: the oldest of a million would have to be looked for.
    first = select(Job).where(READY, lane).order_by(Job.priority.desc(), Job.kind, Job.id).limit(1)
    return session.scalars(first).first()


def left_usd(holder: Project | Campaign, used: Usage) -> Decimal | None:
    """What may still be reserved; below 0 when something cost more than its price, None without a budget."""
    return None if holder.budget_usd is None else holder.budget_usd - holder.spent_usd - used.reserved_usd


def _counted(
    session: Session,
    owner: InstrumentedAttribute[Any],
    owner_ids: Collection[int],
    lanes: ColumnElement[bool],
) -> dict[int, Usage]:
    used = {owner_id: Usage() for owner_id in owner_ids}
    if not used:
        return used
    for owner_id, count, reserved_usd in session.execute(_in_flight(owner, lanes)):
        used[owner_id].in_flight, used[owner_id].reserved_usd = count, Decimal(reserved_usd)
    for owner_id, count in session.execute(_waiting(owner, lanes)):
        used[owner_id].waiting = int(count)
    return used


def _in_flight(owner: InstrumentedAttribute[Any], lanes: ColumnElement[bool]) -> Select[Any]:
    """What the dispatcher counts: a held job keeps its dollars and not its place."""
    return (
        select(
            owner,
            func.count().filter(Job.held_at.is_(None)),
            func.coalesce(func.sum(Job.reserved_usd), 0),
        )
        .where(IN_FLIGHT, lanes)
        .group_by(owner)
    )


def _waiting(owner: InstrumentedAttribute[Any], lanes: ColumnElement[bool]) -> Select[Any]:
    """How many wait: due ones, suspects, and those that are not due yet, each read from its own index."""
    parts = [
        select(owner.label("owner"), func.count().label("jobs"))
        .where(place, Job.open_provider.is_(None), lanes)
        .group_by(owner)
        for place in (READY, SUSPECT, DELAYED & WAITS)
    ]
    every = union_all(*parts).subquery()
    return select(every.c.owner, func.sum(every.c.jobs)).group_by(every.c.owner)
