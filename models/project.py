"""A tenant: its name, how it proves itself, its key and secret."""

import secrets
import string
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, Id, Usd, one_of
from models.errors import NameTaken

KEY_LENGTH = 32
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits


class AuthMode(StrEnum):
    """How a project's requests are proved; chosen once, as at Wiro."""

    KEY = "key"  # x-api-key alone
    SIGNATURE = "signature"  # x-api-key, x-nonce and x-signature


class Project(Base):
    """One tenant.

    The secret is stored as it is: the signature is an HMAC over it, so the
    server needs the text itself, not a hash.
    """

    __tablename__ = "projects"
    __table_args__ = (
        CheckConstraint(one_of("auth", AuthMode), name="auth"),
        CheckConstraint("weight > 0", name="weight"),
        CheckConstraint("max_in_flight > 0", name="max_in_flight"),
        CheckConstraint("requests_per_minute > 0", name="requests_per_minute"),
        CheckConstraint("budget_usd >= 0", name="budget_usd"),
        CheckConstraint("keep_jobs_days > 0", name="keep_jobs_days"),
        CheckConstraint("keep_events_days > 0", name="keep_events_days"),
        CheckConstraint("keep_outputs_days > 0", name="keep_outputs_days"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    auth: Mapped[AuthMode]
    api_key: Mapped[str] = mapped_column(unique=True)  # every request is looked up by it
    api_secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    weight: Mapped[int] = mapped_column(server_default="1")  # turns it gets for each turn of a project of 1
    max_in_flight: Mapped[int | None]  # jobs at a time; None for any number
    requests_per_minute: Mapped[int | None]  # of its callers; None for any number
    webhook_secret: Mapped[str | None]  # `whsec_...`, for the webhooks of single jobs; made when first needed
    paused_at: Mapped[datetime | None]  # since then none of its jobs is dispatched
    halted_until: Mapped[datetime | None]  # nor before: many of them are just being stopped
    budget_usd: Mapped[Usd | None]  # what it may spend in all; None for any sum
    spent_usd: Mapped[Usd] = mapped_column(server_default="0")  # the sum of its attempts' `settled_usd`
    # Days after a job's end; None for ever.
    keep_jobs_days: Mapped[int | None]
    keep_events_days: Mapped[int | None]
    keep_outputs_days: Mapped[int | None]
    # How far that has been done: of jobs that ended until then, nothing is left.  Written by housekeeping.
    events_deleted_to: Mapped[datetime | None]
    outputs_deleted_to: Mapped[datetime | None]

    def __repr__(self) -> str:
        """Without the secret."""
        return f"<Project {self.id} {self.name!r}>"


def create_project(session: Session, name: str, auth: AuthMode) -> Project:
    """A new tenant, with a fresh key and secret.

    Raises:
        NameTaken: another project has this name.
    """
    made = session.scalars(
        insert(Project)
        .values(name=name, auth=auth, api_key=_new_key(), api_secret=_new_key())
        # Two may ask for one name at once; the loser learns it without losing its transaction.
        .on_conflict_do_nothing(index_elements=[Project.name])
        .returning(Project)
    ).one_or_none()
    if made is None:
        raise NameTaken(f"there is already a project called {name!r}")
    return made


def _new_key() -> str:
    """32 letters and digits: 190 bits nobody guesses, and nothing a shell or a URL would quote."""
    return "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(KEY_LENGTH))
