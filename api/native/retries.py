"""The native API's retries: of one job, of several, of what failed of a campaign."""

from collections import Counter
from dataclasses import replace
from uuid import UUID

from fastapi import APIRouter, Response

from api.dependencies import GuardedRoute, NativeProject, Services, ServicesOf
from api.errors import Problem
from api.native import retrying
from api.native.filters import UNWANTED_ENDS, campaign_id_of, id_after, job_filter
from api.native.retrying import Reason, Sum
from api.native.schemas.commands import NotRetried, RetriedAnswer, RetriedJob, RetriedJobs
from api.native.schemas.requests import RetryBody, RetryCampaignBody, RetryJobsBody
from api.native.schemas.words import ProblemAnswer
from api.native.shapes import job_answer
from api.native.surroundings import settings_of
from models import queries
from models.queries import JobFilter

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api",
)
_AS_USUAL, _ALL_OF_IT = RetryBody(), RetryCampaignBody()
_STATUS = {
    Reason.NOT_FOUND: 404,
    Reason.UNKNOWN_MODEL: 422,
    Reason.NOT_SOLD: 422,
    Reason.NOT_EXPRESSIBLE: 422,
}


@router.post(
    "/jobs/{job_name}/retry",
    status_code=202,
    tags=["Jobs"],
    summary="Try a job again",
    responses={
        200: {"model": RetriedAnswer, "description": "It was tried again before."},
        404: {"model": ProblemAnswer, "description": "job_not_found"},
        409: {
            "model": ProblemAnswer,
            "description": "not_ended, held, succeeded, campaign_stopping, may_have_cost",
        },
    },
)
def retry(
    job_name: str,
    project: NativeProject,
    services: ServicesOf,
    response: Response,
    how: RetryBody = _AS_USUAL,
) -> RetriedAnswer:
    """Queue the same request as a new job: same terms, campaign and `custom_id`.  Safe to call twice.

    The old job stays as it is.  Only one that failed, expired or was stopped is tried
    again; one that may have cost money only with `even_if_paid`.  Its deadlines begin
    anew.
    """
    retried = retrying.retry_named(services, project.id, [job_name], even_if_paid=how.even_if_paid)
    for why in retried.refused.values():
        raise Problem(_STATUS.get(why.reason, 409), why.reason, why.detail)
    [made] = retried.jobs.values()
    with services.database.transaction() as session:
        job = queries.job(session, made.id)
        answer = job_answer(services, job, settings_of(session, [job])[job.id])
    response.headers["Location"] = f"/api/jobs/{made.id}"
    if not made.is_new:
        response.status_code = 200
    return RetriedAnswer(is_new=made.is_new, job=answer)


@router.post(
    "/jobs/retry",
    tags=["Jobs"],
    summary="Try jobs again",
    responses={404: {"model": ProblemAnswer, "description": "campaign_not_found"}},
)
def retry_several(which: RetryJobsBody, project: NativeProject, services: ServicesOf) -> RetriedJobs:
    """Queue several jobs once more: those named, or those a filter finds that were not tried again yet.

    Safe to call twice, also after an interruption.  What cannot be tried again is told
    or counted with the reason.  A filter is followed for some seconds: with the
    answer's `next_cursor` the same request goes on.
    """
    if which.filter is None:
        return _named(services, project.id, [str(name) for name in which.ids or ()], which)
    with services.database.transaction() as session:
        wanted = job_filter(session, services.market, project.id, which.filter)
    return _found(services, project.id, wanted, which)


@router.post(
    "/campaigns/{uuid}/retry-failed",
    tags=["Campaigns"],
    summary="Try again what failed of a campaign",
    responses={404: {"model": ProblemAnswer, "description": "campaign_not_found"}},
)
def retry_failed(
    uuid: UUID,
    project: NativeProject,
    services: ServicesOf,
    how: RetryCampaignBody = _ALL_OF_IT,
) -> RetriedJobs:
    """Queue the rows once more that failed or expired, and were not tried again yet.  Safe to call twice."""
    with services.database.transaction() as session:
        campaign_id = campaign_id_of(session, project.id, uuid)
    return _found(services, project.id, JobFilter(outcomes=UNWANTED_ENDS, campaign_id=campaign_id), how)


def _named(services: Services, project_id: int, names: list[str], how: RetryBody) -> RetriedJobs:
    names = list(dict.fromkeys(names))
    retried = retrying.retry_named(services, project_id, names, even_if_paid=how.even_if_paid)
    is_new = [job.is_new for job in retried.jobs.values()]
    return RetriedJobs(
        retried=sum(is_new),
        existing=len(is_new) - sum(is_new),
        skipped=Counter(why.reason.value for why in retried.refused.values()),
        jobs=[
            RetriedJob(name=name, id=job.id, uuid=job.uuid, is_new=job.is_new)
            for name, job in retried.jobs.items()
        ],
        not_retried=[
            NotRetried(name=name, code=why.reason, detail=why.detail) for name, why in retried.refused.items()
        ],
        next_cursor=None,
    )


def _found(services: Services, project_id: int, wanted: JobFilter, how: RetryCampaignBody) -> RetriedJobs:
    wanted = replace(wanted, before_id=None if how.cursor is None else id_after(how.cursor))
    act = retrying.count if how.dry_run else retrying.retry_all
    done: Sum = act(services, project_id, wanted, even_if_paid=how.even_if_paid)
    return RetriedJobs(
        retried=done.retried,
        existing=0,
        skipped=done.skipped,
        jobs=[],
        not_retried=[],
        next_cursor=None if done.next_id is None else str(done.next_id),
    )
