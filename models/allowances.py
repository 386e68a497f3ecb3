"""What a project or a campaign may use: turns, places in flight, dollars; and whether it goes on at all.

An operator writes a project's, its tenant those of its campaigns; the dispatcher
obeys both.  Each write names only the columns that change, so that what the
database itself adds to `spent_usd` meanwhile is not lost.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict, TypeVar

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from models import transitions
from models.campaign import Campaign
from models.errors import NotFound
from models.job import Job
from models.places import PUBLISHED
from models.project import Project
from models.worker import DISPATCH_LOCK

WEIGHT_MAX = 1_000
IN_FLIGHT_MAX = 1_000_000
"""More than any vendor takes at a time; a larger number is a slip of the finger."""

REQUESTS_MAX = 100_000
"""In a minute.  More than one process answers; the moment of each is kept in Redis for so long."""

DAYS_MAX = 36_500
"""A hundred years: whoever wants more wants for ever."""

_Holder = TypeVar("_Holder", Project, Campaign)


class Allowance(TypedDict, total=False):
    """What is to change; what is not named stays as it is."""

    weight: int
    max_in_flight: int | None
    budget_usd: Decimal | None


class ProjectTerms(Allowance, total=False):
    """The same of a project, with its callers' pace and the days for which it keeps what has ended."""

    requests_per_minute: int | None
    keep_jobs_days: int | None
    keep_events_days: int | None
    keep_outputs_days: int | None


def change_project(session: Session, project_id: int, terms: ProjectTerms) -> Project:
    """The project with these terms from now on."""
    return _write(session, Project, project_id, dict(terms))


def change_campaign(session: Session, campaign_id: int, allowance: Allowance) -> Campaign:
    """The campaign with this allowance from now on."""
    return _write(session, Campaign, campaign_id, dict(allowance))


def pause_project(session: Session, project_id: int) -> Project:
    """The project, of which nothing new is sent from now on, nor what no worker has taken yet.

    What is begun is gone on with.  Safe to call twice.
    """
    take_back(session, Job.project_id == project_id)
    return _write(session, Project, project_id, {"paused_at": _now_unless(Project)})


def pause_campaign(session: Session, campaign_id: int) -> Campaign:
    """The same of a campaign."""
    take_back(session, Job.campaign_id == campaign_id)
    return _write(session, Campaign, campaign_id, {"paused_at": _now_unless(Campaign)})


def halt_project(session: Session, project_id: int, most: timedelta) -> datetime:
    """Until when nothing new of the project is sent, nor what no worker has taken yet.

    For whoever stops many of its jobs: meanwhile none of them is begun.  It ends by itself,
    should nobody say `go_on`.
    """
    take_back(session, Job.project_id == project_id)
    until: datetime = session.execute(select(func.clock_timestamp() + most)).scalar_one()
    longest = func.greatest(Project.halted_until, until)
    session.execute(update(Project).where(Project.id == project_id).values(halted_until=longest))
    return until


def go_on(session: Session, project_id: int, until: datetime) -> None:
    """The project is dispatched again, unless somebody else has halted it for longer."""
    session.execute(
        update(Project)
        .where(Project.id == project_id, Project.halted_until == until)
        .values(halted_until=None)
    )


def resume_project(session: Session, project_id: int) -> Project:
    """The project, dispatched again.  Safe to call twice."""
    return _write(session, Project, project_id, {"paused_at": None})


def resume_campaign(session: Session, campaign_id: int) -> Campaign:
    """The same of a campaign."""
    return _write(session, Campaign, campaign_id, {"paused_at": None})


def take_back(session: Session, which: ColumnElement[bool]) -> None:
    """Call back what was dispatched and no worker has taken: those messages are stale from now on."""
    # A dispatcher that has just looked, before this is committed, would send what it chose.
    session.execute(select(func.pg_advisory_xact_lock(DISPATCH_LOCK)))
    transitions.recall(session, PUBLISHED & which, "paused before a worker took it")


def project_called(session: Session, name: str) -> Project:
    """The project of this name.

    Raises:
        NotFound: there is none.
    """
    found = session.scalars(select(Project).where(Project.name == name)).one_or_none()
    if found is None:
        raise NotFound(f"no project is called {name!r}")
    return found


def _now_unless(holder: type[Project | Campaign]) -> Any:  # noqa: ANN401 - an expression of SQL
    """Now, unless it is paused already: then it stays known since when."""
    return func.coalesce(holder.paused_at, func.clock_timestamp())


def _write(session: Session, holder: type[_Holder], holder_id: int, values: dict[str, Any]) -> _Holder:
    if values:
        session.execute(update(holder).where(holder.id == holder_id).values(**values))
    return session.scalars(
        select(holder).where(holder.id == holder_id), execution_options={"populate_existing": True}
    ).one()
