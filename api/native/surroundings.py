"""What the rows of jobs do not say of themselves, and their callers want to know."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api.native import accounts
from api.native.shapes import Setting
from models import queries, transitions
from models.job import Job


def settings_of(session: Session, jobs: Sequence[Job]) -> dict[int, Setting]:
    """The setting of each job, by its number."""
    campaigns = {job.campaign_id for job in jobs if job.campaign_id is not None}
    uuids = queries.campaign_uuids(session, campaigns)
    held_at = accounts.held_at(session, jobs)
    retries = transitions.retries_of(session, [job.id for job in jobs])
    return {
        job.id: Setting(
            campaign=uuids.get(job.campaign_id or 0),
            held_at=held_at.get(job.id),
            retried_as=retries[job.id].id if job.id in retries else None,
        )
        for job in jobs
    }
