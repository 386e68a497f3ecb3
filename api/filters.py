"""Which jobs are meant, as a caller says it and as it is asked of Postgres."""

from uuid import UUID

from sqlalchemy.orm import Session

from api.errors import Problem
from api.schemas import JobFilterBody, LivingFilterBody
from models import queries
from models.queries import JobFilter


def job_filter(session: Session, project_id: int, asked: JobFilterBody) -> JobFilter:
    """The filter that a caller has sent.

    Raises:
        Problem: the project has no such campaign.
    """
    campaign_id = None if asked.campaign is None else campaign_id_of(session, project_id, asked.campaign)
    statuses = asked.statuses if isinstance(asked, LivingFilterBody) else None
    return JobFilter(
        statuses=None if statuses is None else tuple(statuses),
        campaign_id=campaign_id,
        is_held=asked.held,
        model_slug=asked.model,
        provider=asked.provider,
        priority=asked.priority,
        created_after=asked.created_after,
        created_before=asked.created_before,
    )


def campaign_id_of(session: Session, project_id: int, uuid: UUID) -> int:
    """The number of a project's campaign.

    Raises:
        Problem: it has no such campaign.
    """
    found = queries.campaign(session, project_id, uuid)
    if found is None:
        raise Problem(404, "campaign_not_found", "This project has no such campaign.")
    return found.id
