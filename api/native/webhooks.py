"""The native API's webhooks: receivers that are told of a project's jobs, signed as Standard Webhooks say."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.dependencies import GuardedRoute, NativeProject, Services, ServicesOf
from api.errors import Problem
from api.native.deliveries import delivery_answer
from api.native.filters import invalid
from api.native.schemas.webhooks import (
    DeliveryAnswer,
    NewWebhookAnswer,
    NewWebhookBody,
    ReplayAnswer,
    ReplayBody,
    SecretAnswer,
    WebhookAnswer,
    WebhookChanges,
    WebhookList,
)
from api.native.schemas.words import ProblemAnswer
from api.receivers import is_private
from models import deliveries, webhooks
from models.webhook import Notice, Webhook

_NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ProblemAnswer, "description": "webhook_not_found"}
}
_DISABLED: dict[int | str, dict[str, Any]] = {
    **_NOT_FOUND,
    409: {"model": ProblemAnswer, "description": "webhook_disabled"},
}

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api/webhooks",
    tags=["Webhooks"],
)


@router.post(
    "",
    status_code=201,
    summary="Add a webhook",
    responses={409: {"model": ProblemAnswer, "description": "too_many_webhooks"}},
)
def add(
    wanted: NewWebhookBody, project: NativeProject, services: ServicesOf, response: Response
) -> NewWebhookAnswer:
    """A receiver that is told of every job that ends, or is held, from now on.  Each call makes another."""
    _refuse_private(services, wanted.url)
    with services.database.transaction() as session:
        made = webhooks.add(session, project.id, wanted.url, wanted.events)
    if made is None:
        detail = f"A project has {webhooks.MOST} webhooks at most: remove one."
        raise Problem(409, "too_many_webhooks", detail)
    response.headers["Location"] = f"/api/webhooks/{made.uuid}"
    return NewWebhookAnswer(**_fields(made), secret=made.secret)


@router.get("", summary="List webhooks")
def list_webhooks(project: NativeProject, services: ServicesOf) -> WebhookList:
    """All of them, the oldest first; without their secrets."""
    with services.database.transaction() as session:
        found = webhooks.of_project(session, project.id)
    return WebhookList(webhooks=[_answer(webhook) for webhook in found])


@router.get("/{uuid}", summary="Show a webhook", responses=_NOT_FOUND)
def show(uuid: UUID, project: NativeProject, services: ServicesOf) -> WebhookAnswer:
    """Where it is, what it is told of, and whether it is disabled."""
    with services.database.transaction() as session:
        return _answer(_webhook(session, project.id, uuid))


@router.patch("/{uuid}", summary="Change a webhook", responses=_NOT_FOUND)
def change(
    uuid: UUID, changes: WebhookChanges, project: NativeProject, services: ServicesOf
) -> WebhookAnswer:
    """Move it, or let it be told of other events.  What it is owed goes to the new address."""
    if changes.url is not None:
        _refuse_private(services, changes.url)
    with services.database.transaction() as session:
        webhooks.change(session, _webhook(session, project.id, uuid).id, changes.said)
        return _answer(_webhook(session, project.id, uuid))


@router.delete("/{uuid}", status_code=204, summary="Remove a webhook", responses=_NOT_FOUND)
def remove(uuid: UUID, project: NativeProject, services: ServicesOf) -> None:
    """Nothing is sent there any more; the log of what was stays."""
    with services.database.transaction() as session:
        webhooks.remove(session, _webhook(session, project.id, uuid).id)


@router.get("/{uuid}/secret", summary="Show a webhook's secret", responses=_NOT_FOUND)
def secret(uuid: UUID, project: NativeProject, services: ServicesOf) -> SecretAnswer:
    """What its messages are signed with."""
    with services.database.transaction() as session:
        return SecretAnswer(secret=_webhook(session, project.id, uuid).secret)


@router.post("/{uuid}/rotate-secret", summary="Change a webhook's secret", responses=_NOT_FOUND)
def rotate_secret(uuid: UUID, project: NativeProject, services: ServicesOf) -> SecretAnswer:
    """A new one.  For a day messages bear two signatures, while you put it in place."""
    with services.database.transaction() as session:
        return SecretAnswer(secret=webhooks.rotate(session, _webhook(session, project.id, uuid).id))


@router.post("/{uuid}/enable", summary="Enable a webhook", responses=_NOT_FOUND)
def enable(uuid: UUID, project: NativeProject, services: ServicesOf) -> WebhookAnswer:
    """Tell it again, of what ends from now on; what was given up can be replayed.  Safe to call twice."""
    with services.database.transaction() as session:
        webhooks.enable(session, _webhook(session, project.id, uuid).id)
        return _answer(_webhook(session, project.id, uuid))


@router.post("/{uuid}/test", status_code=202, summary="Try a webhook", responses=_DISABLED)
def test(uuid: UUID, project: NativeProject, services: ServicesOf) -> DeliveryAnswer:
    """Send it a `webhook.test`, once; what came of it is in the delivery that is answered."""
    with services.database.transaction() as session:
        webhook = _enabled(session, project.id, uuid)
        owed = delivery_answer(deliveries.owe_test(session, webhook), {webhook.id: webhook.uuid})
    services.bell.notify()
    return owed


@router.post("/{uuid}/replay", summary="Send a webhook what was given up", responses=_DISABLED)
def replay(uuid: UUID, wanted: ReplayBody, project: NativeProject, services: ServicesOf) -> ReplayAnswer:
    """Owe it again what was given up, each under the id it had; a thousand at a time."""
    with services.database.transaction() as session:
        webhook = _enabled(session, project.id, uuid)
        replayed = deliveries.replay_given_up(session, webhook.id, wanted.since)
    services.bell.notify()
    return ReplayAnswer(replayed=replayed, is_complete=replayed < deliveries.REPLAYED_AT_ONCE)


def _refuse_private(services: Services, url: str) -> None:
    if is_private(url, services.private_hosts):
        raise invalid("url", "takes an address on the public internet")


def _webhook(session: Session, project_id: int, uuid: UUID) -> Webhook:
    found = webhooks.find(session, project_id, uuid)
    if found is None:
        raise Problem(404, "webhook_not_found", "This project has no such webhook.")
    return found


def _enabled(session: Session, project_id: int, uuid: UUID) -> Webhook:
    webhook = _webhook(session, project_id, uuid)
    if webhook.disabled_at is not None:
        raise Problem(409, "webhook_disabled", "Nothing is sent to a disabled webhook: enable it first.")
    return webhook


def _answer(webhook: Webhook) -> WebhookAnswer:
    return WebhookAnswer(**_fields(webhook))


def _fields(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.uuid,
        "url": webhook.url,
        "events": None if webhook.events is None else [Notice(event) for event in webhook.events],
        "created_at": webhook.created_at,
        "failing_since": webhook.failing_since,
        "disabled_at": webhook.disabled_at,
        "disabled_why": webhook.disabled_why,
    }
