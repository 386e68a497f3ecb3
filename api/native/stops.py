"""The native API's way to stop many jobs: by their names, by what they have in common, by their campaign."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from api import stopping
from api.dependencies import GuardedRoute, Services, ServicesOf, UncountedNativeProject
from api.errors import Problem
from api.names import may_be_a_name
from api.native import stopping_many
from api.native.filters import job_filter
from api.native.jobs import WAIT_MAX_S, WaitS
from api.native.schemas.commands import StopManyAnswer, StoppedJob
from api.native.schemas.requests import LivingFilterBody, StopBody
from api.native.schemas.words import ProblemAnswer, plain_usd
from api.native.stopping_many import ALL_BEGUN, NOT_WITH_A_WORKER, Progress
from models import campaign_stops, costs, queries
from models.costs import NOTHING, Spent
from models.job import Job
from models.lifecycle import Outcome

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api",
    responses={404: {"model": ProblemAnswer, "description": "campaign_not_found"}},
)


_STOPPED = frozenset({Outcome.CANCELLED, Outcome.KILLED, Outcome.EXPIRED})


@dataclass(frozen=True, slots=True)
class _Meant:
    """Whom a wish is about; where they are named, each name's job."""

    jobs: ColumnElement[bool]
    are_named: bool = False
    project_id: int | None = None  # whose jobs have something in common, however many they are
    named: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


# --- by name, and by what they have in common --------------------------------------------------------


@router.post("/jobs/cancel", tags=["Jobs"], summary="Cancel many jobs that wait")
def cancel_many(
    whom: StopBody, project: UncountedNativeProject, services: ServicesOf, wait_s: WaitS = stopping.WAIT_S
) -> StopManyAnswer:
    """Stop those that no worker holds; what runs goes on.  Safe to call twice.

    What nobody has begun ends at once, with every worker down.  What may have been sent
    to a provider is stopped there.  A name that is nobody's is told, and hinders no other.
    """
    return _stop(services, _meant(services, project.id, whom), NOT_WITH_A_WORKER, wait_s)


@router.post("/jobs/kill", tags=["Jobs"], summary="Stop many jobs wherever they are")
def kill_many(
    whom: StopBody, project: UncountedNativeProject, services: ServicesOf, wait_s: WaitS = stopping.WAIT_S
) -> StopManyAnswer:
    """Stop all of them, also those that run; waits for their workers to let go.  Safe to call twice."""
    return _stop(services, _meant(services, project.id, whom), ALL_BEGUN, wait_s)


def _meant(services: Services, project_id: int, whom: StopBody) -> _Meant:
    with services.database.transaction() as session:
        if whom.filter is not None:
            return _Meant(_filtered(session, services, project_id, whom.filter), project_id=project_id)
        names = [str(name) for name in whom.ids or ()]
        named = queries.jobs_called(session, project_id, [name for name in names if may_be_a_name(name)])
    return _Meant(
        jobs=Job.id.in_(named.values()),
        are_named=True,
        named={name: named[name] for name in names if name in named},
        unknown=[name for name in names if name not in named],
    )


def _filtered(
    session: Session, services: Services, project_id: int, asked: LivingFilterBody
) -> ColumnElement[bool]:
    wanted = job_filter(session, services.market, project_id, asked)
    jobs = queries.meant(project_id, wanted)
    if wanted.campaign_id is None:
        return jobs
    return jobs & campaign_stops.jobs_of(project_id, wanted.campaign_id)


# --- by campaign -------------------------------------------------------------------------------------


@router.post("/campaigns/{uuid}/cancel", tags=["Campaigns"], summary="Cancel what waits of a campaign")
def cancel_campaign(
    uuid: UUID, project: UncountedNativeProject, services: ServicesOf, wait_s: WaitS = stopping.WAIT_S
) -> StopManyAnswer:
    """Stop every job of it that no worker holds; what runs is finished.  Safe to call twice.

    Once this is answered it is certain: what is left is gone on with, and until all of its
    jobs have ended the campaign takes no new ones.
    """
    return _stop_campaign(services, project.id, uuid, Outcome.CANCELLED, wait_s)


@router.post("/campaigns/{uuid}/kill", tags=["Campaigns"], summary="Stop a campaign")
def kill_campaign(
    uuid: UUID, project: UncountedNativeProject, services: ServicesOf, wait_s: WaitS = stopping.WAIT_S
) -> StopManyAnswer:
    """Stop every job of it, also those that run.  Safe to call twice, and certain as a cancel is."""
    return _stop_campaign(services, project.id, uuid, Outcome.KILLED, wait_s)


def _stop_campaign(
    services: Services, project_id: int, uuid: UUID, stop_as: Outcome, wait_s: float
) -> StopManyAnswer:
    begun = ALL_BEGUN if stop_as is Outcome.KILLED else NOT_WITH_A_WORKER
    with services.database.transaction() as session:
        campaign = queries.campaign(session, project_id, uuid)
        if campaign is None:
            raise Problem(404, "campaign_not_found", "This project has no such campaign.")
        jobs = campaign_stops.jobs_of(project_id, campaign.id)
        # First of all: from here on it holds, whatever becomes of this process.
        campaign_stops.wish(session, campaign.id, stop_as)
    with campaign_stops.in_hand(services.database, campaign.id):
        return _stop(services, _Meant(jobs), begun, wait_s)


# --- what became of it ---------------------------------------------------------------------------------


def _stop(services: Services, meant: _Meant, begun: ColumnElement[bool], wait_s: float) -> StopManyAnswer:
    if meant.project_id is None:
        progress = stopping_many.stop(services, meant.jobs, begun)
    else:
        with stopping_many.halted(services, meant.project_id):
            progress = stopping_many.stop(services, meant.jobs, begun)
    stopping_many.wait(services, progress.asked, min(wait_s, WAIT_MAX_S))
    shown = {*progress.asked, *meant.named.values()}
    with services.database.transaction() as session:
        found = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(shown)))}
        spent = costs.of_jobs(session, {*shown, *progress.doubtful})
        going_on = stopping_many.going_on(session, meant.jobs)
    return _answer(meant, progress, going_on, found, spent)


def _answer(
    meant: _Meant,
    progress: Progress,
    going_on: int,
    found: Mapping[int, Job],
    spent: Mapping[int, Spent],
) -> StopManyAnswer:
    """The numbers, and of those named each one.

    Args:
        meant: whom the wish is about.
        progress: how far it has come.
        going_on: how many run on.
        found: those asked and those named, as they are now.
        spent: what these and the doubtful ones have cost.
    """
    asked = [found[job_id] for job_id in progress.asked if job_id in found]
    stopped = progress.ended + Counter(job.stopped_how for job in asked if _has_stopped(job))
    named = {job.id for job_id in meant.named.values() if (job := found.get(job_id)) is not None}
    ended = sum(found[job_id].outcome is not None for job_id in named - {job.id for job in asked})
    otherwise = sum(job.outcome is not None and job.stopped_how is None for job in asked)
    is_known = any(cost.usd for cost in spent.values()) or all(cost.is_all for cost in spent.values())
    return StopManyAnswer(
        matched=len(named) if meant.are_named else progress.ended.total() + len(asked) + going_on,
        stopped={how: count for how, count in stopped.items() if how is not None},
        stopping=sum(job.outcome is None for job in asked),
        going_on=going_on,
        ended_otherwise=otherwise + (ended - progress.ended.total() if meant.are_named else 0),
        is_complete=progress.is_complete,
        cost_usd=plain_usd(sum((cost.usd for cost in spent.values()), Decimal(0))) if is_known else None,
        cost_is_estimate=any(cost.is_estimate for cost in spent.values()),
        cost_unknown=sum(not cost.is_all for cost in spent.values()),
        jobs=[
            _stopped_job(name, found[job_id], spent.get(job_id, NOTHING))
            for name, job_id in meant.named.items()
            if job_id in found
        ],
        unknown=meant.unknown,
    )


def _has_stopped(job: Job) -> bool:
    return job.outcome is not None and job.stopped_how is not None


def _stopped_job(name: str, job: Job, spent: Spent) -> StoppedJob:
    will_stop = job.outcome is None and job.kill_requested_at is not None
    return StoppedJob(
        is_heeded=will_stop or job.outcome in _STOPPED,
        name=name,
        id=job.id,
        uuid=job.uuid,
        status=job.status,
        outcome=job.outcome,
        stopped_how=job.stopped_how,
        cost_usd=plain_usd(spent.usd) if spent.is_all else None,
        cost_is_estimate=spent.is_estimate,
    )
