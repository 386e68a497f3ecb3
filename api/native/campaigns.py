"""The native API's campaigns: open one, add rows, count, and set what it may use."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from api.dependencies import GuardedRoute, NativeProject, Services, ServicesOf
from api.errors import Problem, faulty_field
from api.market import NotExpressible, NotSold
from api.native import accounts
from api.native.accounts import Account, Books
from api.native.affording import why_not_afforded
from api.native.schemas.campaigns import (
    AccountAnswer,
    AddedJob,
    AddedRows,
    AllowanceAnswer,
    BadRow,
    CampaignAnswer,
    CampaignList,
    RowProblem,
)
from api.native.schemas.requests import CampaignRow, CampaignRowsBody, CampaignTerms, NewCampaignBody
from api.native.schemas.words import Name, ProblemAnswer, plain_usd
from api.native.standing import notice_of_campaign, standing
from api.native.terms import job_of
from api.native.waiting import why_it_waits
from catalogue import InvalidInput, UnknownModel
from models import allowances, campaign_stops, queries, transitions, usage
from models.allowances import Allowance
from models.campaign import Campaign
from models.transitions import NewJob
from models.usage import Usage, left_usd

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api/campaigns",
    tags=["Campaigns"],
)
logger = logging.getLogger("darkroom.api")

_NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ProblemAnswer, "description": "campaign_not_found"}
}


# --- campaigns ---------------------------------------------------------------------------------------


@router.post(
    "",
    status_code=201,
    summary="Open a campaign",
    responses={
        200: {"model": CampaignAnswer},
        409: {"model": ProblemAnswer, "description": "campaign_differs"},
    },
)
def open_campaign(
    wanted: NewCampaignBody, project: NativeProject, services: ServicesOf, response: Response
) -> CampaignAnswer:
    """The campaign of this name: 201 when it is new, 200 when it was there.  Safe to call twice.

    Of one that was there nothing is changed: what is said of its weight, limit and
    budget must be so already, or it is a 409.
    """
    with services.database.transaction() as session:
        is_new = _insert_unless_there(session, project.id, wanted)
        campaign = queries.campaign_by_name(session, project.id, wanted.name)
        _refuse_other_terms(campaign, wanted.allowance)
        [answer] = _answers(session, services, project.id, [campaign])
    response.headers["Location"] = f"/api/campaigns/{campaign.uuid}"
    if not is_new:
        response.status_code = 200
    return answer


def _insert_unless_there(session: Session, project_id: int, wanted: NewCampaignBody) -> bool:
    added = session.execute(
        upsert(Campaign)
        .values(project_id=project_id, name=wanted.name, **wanted.allowance)
        .on_conflict_do_nothing(index_elements=["project_id", "name"])
        .returning(Campaign.id)
    )
    return added.first() is not None


def _refuse_other_terms(campaign: Campaign, said: Allowance) -> None:
    """Who sends a campaign again must not undo what was set since, nor rely on a budget that it lacks."""
    differ = {name: (getattr(campaign, name), value) for name, value in said.items()}
    told = [
        f"its {name} is {_said(is_now)}, not {_said(value)}"
        for name, (is_now, value) in differ.items()
        if is_now != value
    ]
    if told:
        detail = f"The campaign {campaign.name!r} is there already, and {' and '.join(told)}"
        way = f"leave that out, or change it with PATCH /api/campaigns/{campaign.uuid}"
        raise Problem(409, "campaign_differs", f"{detail}: {way}.", campaign=str(campaign.uuid))


def _said(value: object) -> str:
    return plain_usd(value) or "" if isinstance(value, Decimal) else "null" if value is None else str(value)


@router.get("", summary="List campaigns")
def list_campaigns(
    project: NativeProject,
    services: ServicesOf,
    name: Annotated[Name | None, Query(description="Only the one of this name.")] = None,
) -> CampaignList:
    """Every campaign of the project, newest first."""
    with services.database.transaction() as session:
        campaigns = queries.campaigns(session, project.id, name)
        return CampaignList(campaigns=_answers(session, services, project.id, campaigns))


@router.get("/{uuid}", summary="Show a campaign", responses=_NOT_FOUND)
def show(uuid: UUID, project: NativeProject, services: ServicesOf) -> CampaignAnswer:
    """One campaign: where its jobs are, what each provider has made of it, and what that cost."""
    with services.database.transaction() as session:
        [answer] = _answers(session, services, project.id, [_campaign(session, project.id, uuid)])
        return answer


@router.patch("/{uuid}", summary="Set what a campaign may use", responses=_NOT_FOUND)
def change(uuid: UUID, terms: CampaignTerms, project: NativeProject, services: ServicesOf) -> CampaignAnswer:
    """Its weight among the project's campaigns, its jobs at a time, its budget: what is named alone.

    Either all that is named is set, or none.  It holds from the next job that is sent.
    Below what is spent already, a budget lets nothing new be sent; what is in flight is
    finished.
    """
    return _changed(
        services,
        project.id,
        uuid,
        lambda session, number: allowances.change_campaign(session, number, terms.allowance),
    )


@router.post("/{uuid}/pause", summary="Pause a campaign", responses=_NOT_FOUND)
def pause(uuid: UUID, project: NativeProject, services: ServicesOf) -> CampaignAnswer:
    """Send nothing new of it; what is begun is finished.  Safe to call twice."""
    return _changed(services, project.id, uuid, allowances.pause_campaign)


@router.post("/{uuid}/resume", summary="Resume a campaign", responses=_NOT_FOUND)
def resume(uuid: UUID, project: NativeProject, services: ServicesOf) -> CampaignAnswer:
    """Go on with a paused one.  Safe to call twice."""
    return _changed(services, project.id, uuid, allowances.resume_campaign)


def _changed(
    services: Services, project_id: int, uuid: UUID, write: Callable[[Session, int], Campaign]
) -> CampaignAnswer:
    with services.database.transaction() as session:
        campaign = write(session, _campaign(session, project_id, uuid).id)
        [answer] = _answers(session, services, project_id, [campaign])
    services.bell.ring()
    logger.info(
        "Set what a campaign may use.",
        extra={
            "event": "campaign_set",
            "campaign_id": campaign.id,
            "is_paused": campaign.paused_at is not None,
        },
    )
    return answer


def _campaign(session: Session, project_id: int, uuid: UUID) -> Campaign:
    found = queries.campaign(session, project_id, uuid)
    if found is None:
        raise Problem(404, "campaign_not_found", "This project has no such campaign.")
    return found


def _answers(
    session: Session, services: Services, project_id: int, campaigns: Sequence[Campaign]
) -> list[CampaignAnswer]:
    """Each of the project's campaigns, counted."""
    project = queries.project(session, project_id)
    numbers = [campaign.id for campaign in campaigns]
    counts = queries.campaign_counts(session, numbers)
    books = accounts.books(session, numbers)
    used = usage.of_campaigns(session, project.id, numbers)
    of_project = (
        usage.of_projects(session, [project.id])[project.id] if project.budget_usd is not None else None
    )
    return [
        _answer(
            one,
            counts.get(one.id, {}),
            books[one.id],
            standing(
                one,
                used[one.id],
                notice_of_campaign(one, used[one.id], project, of_project)
                or _why_its_head_waits(
                    session,
                    services,
                    one,
                    used[one.id],
                    (
                        left_usd(one, used[one.id]),
                        None if of_project is None else left_usd(project, of_project),
                    ),
                ),
            ),
        )
        for one in campaigns
    ]


def _why_its_head_waits(
    session: Session, services: Services, campaign: Campaign, used: Usage, purses: Sequence[Decimal | None]
) -> str | None:
    """Why the next of its jobs is not sent, when none of them is in flight; None when it is about to be.

    Args:
        session: the unit of work.
        services: for what can be bought.
        campaign: which.
        used: by it.
        purses: what is left of the budgets that pay for it; None for any sum.
    """
    if used.in_flight or not used.waiting:
        return None
    head = usage.head_of_campaign(session, campaign.project_id, campaign.id)
    if head is None:
        return None
    left = [one for one in purses if one is not None]
    told = why_not_afforded(session, services.market, head, min(left)) if left else None
    return told or why_it_waits(session, services.market, head)


def _answer(
    campaign: Campaign, counts: Mapping[str, int], books: Books, stands: AllowanceAnswer
) -> CampaignAnswer:
    return CampaignAnswer(
        **dict(stands),
        id=campaign.uuid,
        name=campaign.name,
        total=sum(counts.values()),
        counts=dict(counts),
        stop_as=campaign.stop_as,
        held=books.held,
        retried=books.retried,
        pictures=books.pictures,
        cost_usd=plain_usd(books.cost_usd),
        cost_is_estimate=books.is_estimate,
        by_provider=[_account(one) for one in books.accounts],
        created_at=campaign.created_at,
    )


def _account(account: Account) -> AccountAnswer:
    return AccountAnswer(
        provider=account.provider,
        requests=account.requests,
        pictures=account.pictures,
        cost_usd=plain_usd(account.cost_usd),
        cost_is_estimate=account.is_estimate,
        unknown=account.unknown,
    )


# --- rows ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _GoodRow:
    row: CampaignRow
    job: NewJob


@router.post(
    "/{uuid}/jobs",
    summary="Add jobs to a campaign",
    responses=_NOT_FOUND | {409: {"model": ProblemAnswer, "description": "campaign_stopping"}},
)
def add_rows(uuid: UUID, sent: CampaignRowsBody, project: NativeProject, services: ServicesOf) -> AddedRows:
    """Queue the good rows, all in one, and say what is wrong with the others.

    Safe to call twice: a row with the `custom_id` of an earlier one is that job.
    """
    read = [_read(services, project.id, index, raw) for index, raw in enumerate(sent.rows)]
    good = [row for row in read if isinstance(row, _GoodRow)]
    with services.database.transaction() as session:
        campaign = _campaign(session, project.id, uuid)
        _refuse_while_it_stops(session, campaign)
        jobs = [dataclasses.replace(row.job, campaign_id=campaign.id) for row in good]
        queued = transitions.enqueue(session, jobs)
    added = sum(job.is_new for job in queued)
    if added:
        services.bell.ring()
    logger.info(
        "Added rows.",
        extra={"event": "rows_added", "campaign_id": campaign.id, "added": added, "sent": len(sent.rows)},
    )
    return AddedRows(
        added=added,
        existing=len(queued) - added,
        jobs=[
            AddedJob(custom_id=accepted.row.custom_id, id=job.id, uuid=job.uuid, is_new=job.is_new)
            for accepted, job in zip(good, queued, strict=True)
        ],
        problems=[row for row in read if isinstance(row, BadRow)],
    )


def _refuse_while_it_stops(session: Session, campaign: Campaign) -> None:
    """Who adds rows wants them made; who stops a campaign wants none of it: one of them is to think again."""
    if campaign_stops.is_wished(session, campaign.id):
        detail = "The campaign is being stopped; it takes rows again when all of its jobs have ended."
        raise Problem(409, "campaign_stopping", detail)


def _read(services: Services, project_id: int, index: int, raw: object) -> _GoodRow | BadRow:
    """One row as it can be queued, or what is wrong with it."""
    try:
        row = CampaignRow.model_validate(raw)
        return _GoodRow(row, _new_job(services, project_id, row))
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        problems = [RowProblem(**faulty_field(error["loc"], error)) for error in errors]
    except UnknownModel as exc:
        problems = [RowProblem(parameter="model", kind="unknown", message=str(exc))]
    except NotSold as exc:
        problems = [RowProblem(parameter="provider", kind="not_sold", message=str(exc))]
    except NotExpressible as exc:
        problems = [RowProblem(parameter="parameters", kind="not_expressible", message=str(exc))]
    except InvalidInput as exc:
        problems = [
            RowProblem(parameter=problem.parameter, kind=problem.kind, message=problem.message)
            for problem in exc.problems
        ]
    return BadRow(index=index, custom_id=_custom_id(raw), problems=problems)


def _new_job(services: Services, project_id: int, row: CampaignRow) -> NewJob:
    return dataclasses.replace(job_of(services, project_id, row), custom_id=row.custom_id)


def _custom_id(raw: object) -> str | None:
    """What a row that may be anything calls itself."""
    custom_id = raw.get("custom_id") if isinstance(raw, dict) else None
    return custom_id.encode("utf-8", "replace").decode() if isinstance(custom_id, str) else None
