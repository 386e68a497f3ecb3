"""Where a living job is to be found: every one is in at least one of these places, and each has its index.

Asked for `outcome IS NULL` alone, Postgres would read every job that has ended as well.
A place is written with exactly the words of its index.
"""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, literal_column, not_, or_, select
from sqlalchemy.orm import Session

from models.job import Job
from models.lifecycle import SUSPECT_DEATHS, Status

# In the statement and not beside it: for a value that comes later Postgres cannot tell which index serves.
_SUSPECT_DEATHS: ColumnElement[int] = literal_column(str(SUSPECT_DEATHS))

WAITS = and_(
    Job.dispatched_at.is_(None),
    Job.outcome.is_(None),
    Job.held_at.is_(None),
    Job.kill_requested_at.is_(None),
)
"""Neither published nor held nor to be stopped."""

READY = and_(WAITS, Job.is_due, Job.worker_deaths < _SUSPECT_DEATHS, Job.open_provider.is_(None))
"""ix_jobs_ready"""

SUSPECT = and_(WAITS, Job.is_due, Job.worker_deaths >= _SUSPECT_DEATHS)
"""ix_jobs_suspect"""

DELAYED = and_(Job.outcome.is_(None), not_(Job.is_due))
"""ix_jobs_delayed"""

PUBLISHED = and_(Job.outcome.is_(None), Job.dispatched_at.is_not(None), Job.status == Status.QUEUE)
"""ix_jobs_in_flight: the message is on its way."""

IN_HANDS = and_(Job.outcome.is_(None), Job.dispatched_at.is_not(None), Job.worker_id.is_not(None))
"""ix_jobs_in_flight: a worker has it."""

IN_FLIGHT = and_(Job.outcome.is_(None), or_(Job.dispatched_at.is_not(None), Job.open_provider.is_not(None)))
"""ix_jobs_in_flight: published, in a worker's hands, or waiting or held with an open attempt."""

STOPPING = and_(Job.outcome.is_(None), Job.kill_requested_at.is_not(None))
"""ix_jobs_stopping"""

NEVER_BEGUN = (PUBLISHED, READY, DELAYED, SUSPECT)
"""Whatever has no open attempt and no worker is here, unless it is to be stopped already."""

LIVING = (READY, DELAYED, SUSPECT, IN_FLIGHT, STOPPING)


def is_anybody(session: Session, places: Iterable[ColumnElement[bool]], where: ColumnElement[bool]) -> bool:
    """Whether any job that is meant is in one of the places; they are looked at one by one."""
    return any(session.scalar(select(select(Job.id).where(place, where).exists())) for place in places)
