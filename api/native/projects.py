"""The native API's project: the caller's own, with what its operator lets it use.

A tenant reads it and sets nothing: who holds a project's key must not raise its budget.
"""

from fastapi import APIRouter

from api.dependencies import GuardedRoute, NativeProject, ServicesOf
from api.native.schemas.campaigns import ProjectAnswer
from api.native.schemas.webhooks import SecretAnswer
from api.native.standing import notice_of_project, standing
from models import closures, queries, usage, webhooks

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api/project",
    tags=["Project"],
)


@router.get("", summary="Show your project")
def show(caller: NativeProject, services: ServicesOf) -> ProjectAnswer:
    """Its turns, limits and budget, and how much of each is in use.

    `notice` says why nothing new is sent: of it all, or of those jobs that may go nowhere else.
    """
    with services.database.transaction() as session:
        project = queries.project(session, caller.id)
        used = usage.of_projects(session, [project.id])[project.id]
        notice = notice_of_project(project, used) or closures.why_projects_wait(
            session, [project.id], services.market.sold_by
        ).get(project.id)
    return ProjectAnswer(
        **dict(standing(project, used, notice)),
        name=project.name,
        requests_per_minute=project.requests_per_minute,
        keep_jobs_days=project.keep_jobs_days,
        keep_events_days=project.keep_events_days,
        keep_outputs_days=project.keep_outputs_days,
        created_at=project.created_at,
    )


@router.get("/webhook-secret", summary="Show your webhook secret")
def webhook_secret(project: NativeProject, services: ServicesOf) -> SecretAnswer:
    """What is sent to the `webhook_url` of single jobs is signed with; made when it is first asked for."""
    with services.database.transaction() as session:
        return SecretAnswer(secret=webhooks.secret_of_project(session, project.id))
