"""The native API's jobs: list, show, stop, resolve."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime
from starlette.concurrency import run_in_threadpool

from api import patience, stopping
from api.dependencies import GuardedRoute, NativeProject, Services, ServicesOf, UncountedNativeProject
from api.errors import Problem
from api.native import preferring, resolving
from api.native.details import NO_JOB, detail, job_or_refusal, no_job
from api.native.filters import campaign_id_of, id_after, parted, slug_of, words
from api.native.preferring import APPLIED, Prefer
from api.native.resolving import CannotAdopt, NotHeld
from api.native.schemas.commands import ResolveAnswer, StopAnswer
from api.native.schemas.jobs import JobDetail, JobPage, OutputList
from api.native.schemas.requests import ResolveBody
from api.native.schemas.words import Name, ProblemAnswer, plain_usd
from api.native.shapes import at_stake_usd, job_answer, outputs_of
from api.native.surroundings import settings_of
from api.stopping import Stop
from models import queries
from models.errors import NotFound
from models.lifecycle import Outcome, Status
from models.queries import JobFilter

PAGE_MAX = 500
WAIT_MAX_S = 10.0

WaitS = Annotated[
    float,
    Query(alias="wait_s", ge=0, description=f"Seconds to wait for it to stop, at most {WAIT_MAX_S:.0f}."),
]

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api/jobs",
    tags=["Jobs"],
)


# --- list and show -----------------------------------------------------------------------------------


@router.get(
    "",
    summary="List jobs",
    responses={404: {"model": ProblemAnswer, "description": "campaign_not_found"}},
)
def list_jobs(
    project: NativeProject,
    services: ServicesOf,
    *,
    statuses: Annotated[
        list[str] | None, Query(alias="status", description="One or several, by commas.")
    ] = None,
    outcomes: Annotated[
        list[str] | None, Query(alias="outcome", description="One or several, by commas.")
    ] = None,
    campaign: Annotated[UUID | None, Query(description="Only this campaign's.")] = None,
    held: Annotated[
        bool | None,
        Query(description="Only those that wait for somebody to resolve them, or only the others."),
    ] = None,
    model: Annotated[Name | None, Query(description="Only those of this model, by its slug.")] = None,
    error_codes: Annotated[
        list[Name] | None, Query(alias="error_code", description="One or several, by commas.")
    ] = None,
    created_before: Annotated[AwareDatetime | None, Query(description="Only older ones.")] = None,
    tags: Annotated[
        list[Name] | None, Query(alias="tag", description="Bearing this, or all of several, by commas.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> JobPage:
    """Jobs, newest first.  Pages do not shift while new jobs arrive."""
    before_id = None if cursor is None else id_after(cursor)
    status_words, outcome_words = words(Status, "status", statuses), words(Outcome, "outcome", outcomes)
    with services.database.transaction() as session:
        campaign_id = None if campaign is None else campaign_id_of(session, project.id, campaign)
        wanted = JobFilter(
            status_words,
            outcome_words,
            campaign_id,
            before_id,
            held,
            model_slug=None if model is None else slug_of(session, services.market, project.id, model),
            created_before=created_before,
            error_codes=tuple(parted(error_codes)) or None,
            tags=tuple(parted(tags)) or None,
        )
        # One more than asked for tells whether there is another page.
        found = queries.list_jobs(session, project.id, wanted, limit + 1)
        page = found[:limit]
        around = settings_of(session, page)
    is_last = len(found) <= limit
    return JobPage(
        jobs=[job_answer(services, job, around[job.id]) for job in page],
        next_cursor=None if is_last else str(page[-1].id),
    )


@router.get("/{job_name}", summary="Show a job", responses=NO_JOB)
async def show(
    job_name: str,
    project: NativeProject,
    services: ServicesOf,
    *,
    request: Request,
    response: Response,
    prefer: Prefer = None,
) -> JobDetail:
    """One job by number, UUID or token, with its attempts and outputs.

    With `Prefer: wait=30` the answer comes when it has ended, or after so many seconds.
    """
    answer = await run_in_threadpool(detail, services, project.id, job_name)
    wait_s = preferring.wait_s(prefer)
    if wait_s is None:
        return answer
    if answer.outcome is None:
        if not await patience.wait(services, request, answer.id, wait_s):
            return answer
        answer = await run_in_threadpool(detail, services, project.id, job_name)
    response.headers[APPLIED] = f"wait={wait_s}"
    return answer


@router.get("/{job_name}/outputs", summary="Show a job's pictures", responses=NO_JOB)
def outputs(job_name: str, project: NativeProject, services: ServicesOf) -> OutputList:
    """Where each can be read, and its checksum; none before the job has ended."""
    with services.database.transaction() as session:
        found = queries.outputs(session, job_or_refusal(session, project.id, job_name).id)
    return OutputList(outputs=outputs_of(services, found))


# --- stop --------------------------------------------------------------------------------------------


@router.post("/{job_name}/cancel", summary="Cancel a job that waits", responses=NO_JOB)
def cancel(
    job_name: str, project: UncountedNativeProject, services: ServicesOf, wait_s: WaitS = stopping.WAIT_S
) -> StopAnswer:
    """Stop a job that no worker holds; one that runs goes on.  Safe to call twice."""
    return _stop(services, project.id, job_name, wait_s, stopping.cancel)


@router.post("/{job_name}/kill", summary="Stop a job wherever it is", responses=NO_JOB)
def kill(
    job_name: str, project: UncountedNativeProject, services: ServicesOf, wait_s: WaitS = stopping.WAIT_S
) -> StopAnswer:
    """Stop a job, also one that runs; waits for its worker to let go.  Safe to call twice."""
    return _stop(services, project.id, job_name, wait_s, stopping.kill)


def _stop(
    services: Services,
    project_id: int,
    job_name: str,
    wait_s: float,
    stop: Callable[[Services, int, str, float], Stop],
) -> StopAnswer:
    try:
        stopped = stop(services, project_id, job_name, min(wait_s, WAIT_MAX_S))
    except NotFound as exc:
        raise no_job() from exc
    with services.database.transaction() as session:
        job = queries.job(session, stopped.job_id)
        around = settings_of(session, [job])[job.id]
    return StopAnswer(cancelled=job.status is Status.CANCEL, job=job_answer(services, job, around))


# --- resolve -----------------------------------------------------------------------------------------


@router.post(
    "/{job_name}/resolve",
    summary="Decide about a held job",
    responses={
        404: {"model": ProblemAnswer, "description": "job_not_found"},
        409: {"model": ProblemAnswer, "description": "not_held, cannot_adopt"},
    },
)
def resolve(
    job_name: str, decision: ResolveBody, project: NativeProject, services: ServicesOf
) -> ResolveAnswer:
    """Go on with a job that waits because the answer to a paid request was lost.

    Whether the provider took the request, nobody here knows; its own list of requests
    may tell.  `resend` buys the picture again: if the first request arrived after all,
    it is paid for twice.  `fail` buys nothing more.  `found` goes on with the request
    whose id is given.
    """
    try:
        resolved = resolving.resolve(services, project.id, job_name, decision.how, decision.remote_id)
    except NotFound as exc:
        raise no_job() from exc
    except NotHeld as exc:
        raise Problem(409, "not_held", str(exc), status_of_job=exc.status, outcome=exc.outcome) from exc
    except CannotAdopt as exc:
        raise Problem(409, "cannot_adopt", str(exc)) from exc
    with services.database.transaction() as session:
        job = queries.job(session, resolved.job_id)
        around = settings_of(session, [job])[job.id]
        at_stake = at_stake_usd(services, job, resolved.provider)
    return ResolveAnswer(job=job_answer(services, job, around), at_stake_usd=plain_usd(at_stake))
