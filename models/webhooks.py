"""The receivers of a project: made, found, disabled, and what their messages are signed with."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Interval, func, select, type_coerce, update
from sqlalchemy.orm import Session

from models.delivery import Delivery, DeliveryState
from models.project import Project
from models.webhook import Webhook

MOST = 20
"""Of a project: whoever ends a job writes a row for each of them."""

OLD_SECRET_SIGNS = timedelta(days=1)
"""Beside the new one."""

_SECRET_BYTES = 32
"""Standard Webhooks take 24 to 64."""


def new_secret() -> str:
    """What Standard Webhooks are signed with; nobody guesses it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def add(session: Session, project_id: int, url: str, events: Sequence[str] | None) -> Webhook | None:
    """A receiver that is told of every job that ends from now on; None if the project has its most."""
    # Two who ask at once are counted one after the other.
    session.execute(select(Project.id).where(Project.id == project_id).with_for_update(key_share=True))
    if len(of_project(session, project_id)) >= MOST:
        return None
    made = Webhook(
        project_id=project_id, url=url, secret=new_secret(), events=None if events is None else list(events)
    )
    session.add(made)
    session.flush()
    session.refresh(made)
    return made


def of_project(session: Session, project_id: int) -> Sequence[Webhook]:
    """Those that are there, the oldest first."""
    return session.scalars(select(Webhook).where(_is_of(project_id)).order_by(Webhook.id)).all()


def disabled(session: Session) -> Sequence[Webhook]:
    """Those of all projects that are told nothing, the last one first."""
    is_disabled = Webhook.disabled_at.is_not(None) & Webhook.deleted_at.is_(None)
    return session.scalars(select(Webhook).where(is_disabled).order_by(Webhook.disabled_at.desc())).all()


def find(session: Session, project_id: int, uuid: UUID) -> Webhook | None:
    """A project's receiver."""
    return session.scalars(select(Webhook).where(_is_of(project_id), Webhook.uuid == uuid)).one_or_none()


def names(session: Session, project_id: int) -> dict[int, UUID]:
    """What callers know all receivers by that a project has or had, by their numbers."""
    rows = session.execute(select(Webhook.id, Webhook.uuid).where(Webhook.project_id == project_id))
    return {row.id: row.uuid for row in rows}


def change(session: Session, webhook_id: int, said: Mapping[str, Any]) -> None:
    """Its URL or its events become these; what it is owed goes to where it is now."""
    session.execute(update(Webhook).where(Webhook.id == webhook_id).values(**said))
    if "url" in said:
        session.execute(
            update(Delivery)
            .where(Delivery.webhook_id == webhook_id, Delivery.state == DeliveryState.OWED)
            .values(url=said["url"])
        )


def _is_of(project_id: int) -> ColumnElement[bool]:
    return (Webhook.project_id == project_id) & Webhook.deleted_at.is_(None)


def remove(session: Session, webhook_id: int) -> None:
    """Nothing is sent there any more; what was stays readable."""
    session.execute(update(Webhook).where(Webhook.id == webhook_id).values(deleted_at=func.now()))
    _give_up_all(session, webhook_id)


def disable(session: Session, webhook_id: int, why: str) -> bool:
    """Nothing is owed to it any more; False if that was so already."""
    disabled = session.scalars(
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.disabled_at.is_(None))
        .values(disabled_at=func.now(), disabled_why=why)
        .returning(Webhook.id)
    ).one_or_none()
    _give_up_all(session, webhook_id)
    return disabled is not None


def rotate(session: Session, webhook_id: int) -> str:
    """A new secret; for a day both sign, so that no message is refused while it is put in place."""
    made = new_secret()
    session.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id)
        .values(secret=made, old_secret=Webhook.secret, old_secret_until=func.now() + OLD_SECRET_SIGNS)
    )
    return made


def enable(session: Session, webhook_id: int) -> None:
    """It is told again, of what ends from now on; what was given up can be replayed."""
    session.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id)
        .values(disabled_at=None, disabled_why=None, failing_since=None)
    )


def _give_up_all(session: Session, webhook_id: int) -> None:
    session.execute(
        update(Delivery)
        .where(Delivery.webhook_id == webhook_id, Delivery.state == DeliveryState.OWED)
        .values(state=DeliveryState.GIVEN_UP, finished_at=func.clock_timestamp())
    )


def took_one(session: Session, webhook_id: int) -> None:
    """It answers well."""
    # Mostly it did before: then nothing is written.
    session.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.failing_since.is_not(None))
        .values(failing_since=None)
    )


def took_none(session: Session, webhook_id: int) -> timedelta:
    """It does not; for how long it has not."""
    session.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.failing_since.is_(None))
        .values(failing_since=func.now())
    )
    failing_for = type_coerce(func.now() - Webhook.failing_since, Interval)
    found = session.execute(select(failing_for).where(Webhook.id == webhook_id)).scalar_one()
    return found or timedelta(0)  # None when it took one in between


def secret_of_project(session: Session, project_id: int) -> str:
    """What the webhooks of a project's single jobs are signed with; made when it is first needed."""
    held = session.execute(select(Project.webhook_secret).where(Project.id == project_id)).scalar_one()
    if held is not None:
        return held
    # Of two who need it first one makes it, and both have that one.
    made = (
        update(Project)
        .where(Project.id == project_id)
        .values(webhook_secret=func.coalesce(Project.webhook_secret, new_secret()))
        .returning(Project.webhook_secret)
    )
    return str(session.execute(made).scalar_one())
