"""An address that a project wants to be told at."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id


class Notice(StrEnum):
    """What a project can be told of a job; `job.` and how it ended, or that it waits for a person."""

    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    KILLED = "job.killed"
    EXPIRED = "job.expired"
    HELD = "job.held"


TEST = "webhook.test"
"""Told to whoever wants to try a receiver; of no job."""


class Webhook(Base):
    """One receiver of a project's events, signed to as Standard Webhooks say."""

    __tablename__ = "webhooks"
    __table_args__ = (
        # who is to be told when a job of this project ends
        Index("ix_webhooks_of_project", "project_id", postgresql_where="deleted_at IS NULL"),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    url: Mapped[str]
    secret: Mapped[str]  # `whsec_...`; stored as it is, since every message is signed with it
    old_secret: Mapped[str | None]  # signs beside the new one, until its owner has put that everywhere
    old_secret_until: Mapped[datetime | None]
    events: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # which ones; None for all
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    failing_since: Mapped[datetime | None]  # it has taken nothing since then; None when it took the last one
    disabled_at: Mapped[datetime | None]  # nothing is sent since then, and nothing is owed
    disabled_why: Mapped[str | None]
    deleted_at: Mapped[datetime | None]  # its deliveries stay readable

    def __repr__(self) -> str:
        """Without the secret."""
        return f"<Webhook {self.id} of project {self.project_id}>"
