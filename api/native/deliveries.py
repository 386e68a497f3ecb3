"""The native API's log of deliveries: what callers were told, what they are owed, and sending it again."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from api.dependencies import GuardedRoute, NativeProject, ServicesOf
from api.errors import Problem
from api.native.details import job_or_refusal
from api.native.filters import id_after, words
from api.native.schemas.webhooks import DeliveryAnswer, DeliveryDetail, DeliveryPage, TryAnswer
from api.native.schemas.words import ProblemAnswer
from models import deliveries, webhooks
from models.deliveries import DeliveryFilter
from models.delivery import Delivery, DeliveryState, DeliveryTry

PAGE_MAX = 500

_NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ProblemAnswer, "description": "delivery_not_found"}
}

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api/deliveries",
    tags=["Webhooks"],
)


@router.get(
    "",
    summary="List deliveries",
    responses={404: {"model": ProblemAnswer, "description": "webhook_not_found, job_not_found"}},
)
def list_deliveries(
    project: NativeProject,
    services: ServicesOf,
    *,
    states: Annotated[
        list[str] | None, Query(alias="state", description="One or several, by commas.")
    ] = None,
    webhook: Annotated[UUID | None, Query(description="Only those to this one.")] = None,
    job: Annotated[
        str | None, Query(description="Only those of this job, by number, UUID or token.", max_length=64)
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> DeliveryPage:
    """What callers were told and are owed, newest first; kept for a month, unless their job goes before."""
    before_id = None if cursor is None else id_after(cursor)
    state_words = words(DeliveryState, "state", states)
    with services.database.transaction() as session:
        wanted = DeliveryFilter(
            states=state_words,
            webhook_id=None if webhook is None else _webhook_id(session, project.id, webhook),
            job_id=None if job is None else job_or_refusal(session, project.id, job).id,
            before_id=before_id,
        )
        # One more than asked for tells whether there is another page.
        found = deliveries.listed(session, project.id, wanted, limit + 1)
        page = found[:limit]
        named = webhooks.names(session, project.id)
    return DeliveryPage(
        deliveries=[delivery_answer(one, named) for one in page],
        next_cursor=str(page[-1].id) if len(found) > limit else None,
    )


@router.get("/{uuid}", summary="Show a delivery", responses=_NOT_FOUND)
def show(uuid: UUID, project: NativeProject, services: ServicesOf) -> DeliveryDetail:
    """One delivery, by the `webhook-id` that its receiver got, with every request."""
    with services.database.transaction() as session:
        found = _delivery(session, project.id, uuid)
        named = webhooks.names(session, project.id)
        tries = deliveries.tries_of(session, found.id)
    return DeliveryDetail(**_fields(found, named), requests=[_try(one) for one in tries])


@router.post(
    "/{uuid}/replay",
    status_code=202,
    summary="Send a delivery again",
    responses={**_NOT_FOUND, 409: {"model": ProblemAnswer, "description": "webhook_disabled"}},
)
def replay(uuid: UUID, project: NativeProject, services: ServicesOf) -> DeliveryAnswer:
    """Owe it again, whatever became of it: one that was delivered is delivered once more.

    Under the id it had, so that a receiver that has it can tell; to where its webhook is now.
    """
    with services.database.transaction() as session:
        found = _delivery(session, project.id, uuid)
        if not deliveries.may_be_sent(session, found):
            detail = "Its webhook is disabled or was removed: nothing is sent there."
            raise Problem(409, "webhook_disabled", detail)
        deliveries.replay(session, found.id)
        session.refresh(found)
        answer = delivery_answer(found, webhooks.names(session, project.id))
    services.bell.notify()
    return answer


def delivery_answer(one: Delivery, named: Mapping[int, UUID]) -> DeliveryAnswer:
    """One delivery.

    Args:
        one: the record.
        named: the UUIDs of the project's webhooks, by their numbers.
    """
    return DeliveryAnswer(**_fields(one, named))


def _fields(one: Delivery, named: Mapping[int, UUID]) -> dict[str, Any]:
    return {
        "id": one.uuid,
        "kind": one.kind,
        "event": one.event,
        "job": one.job_id,
        "webhook": None if one.webhook_id is None else named.get(one.webhook_id),
        "url": one.url,
        "state": one.state,
        "tries": one.tries,
        "next_try_at": one.next_at if one.state is DeliveryState.OWED else None,
        "created_at": one.created_at,
        "finished_at": one.finished_at,
    }


def _try(one: DeliveryTry) -> TryAnswer:
    return TryAnswer(
        number=one.number, at=one.at, took_s=one.took_s, status_code=one.status_code, error=one.error
    )


def _delivery(session: Session, project_id: int, uuid: UUID) -> Delivery:
    found = deliveries.find(session, project_id, uuid)
    if found is None:
        raise Problem(404, "delivery_not_found", "This project has no such delivery.")
    return found


def _webhook_id(session: Session, project_id: int, uuid: UUID) -> int:
    """Also of one that was removed: what it was sent stays readable."""
    numbers = {name: number for number, name in webhooks.names(session, project_id).items()}
    if uuid not in numbers:
        raise Problem(404, "webhook_not_found", "This project has no such webhook.")
    return numbers[uuid]
