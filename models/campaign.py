"""Many jobs submitted under one name."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id, Usd, one_of
from models.lifecycle import Outcome


class Campaign(Base):
    """A named batch of jobs of one project."""

    __tablename__ = "campaigns"
    __table_args__ = (
        # An interrupted submit is run again under the same name and finds its campaign.
        UniqueConstraint("project_id", "name"),
        CheckConstraint("weight > 0", name="weight"),
        CheckConstraint("max_in_flight > 0", name="max_in_flight"),
        CheckConstraint("budget_usd >= 0", name="budget_usd"),
        CheckConstraint(one_of("stop_as", Outcome), name="stop_as"),
        # sweep: campaigns whose jobs are to stop
        Index("ix_campaigns_stopping", "id", postgresql_where="stop_as IS NOT NULL"),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    weight: Mapped[int] = mapped_column(server_default="1")  # turns among the lanes of its project
    max_in_flight: Mapped[int | None]  # jobs at a time; None for any number
    paused_at: Mapped[datetime | None]  # since then none of its jobs is dispatched
    budget_usd: Mapped[Usd | None]  # what it may spend in all; None for any sum
    spent_usd: Mapped[Usd] = mapped_column(server_default="0")  # the sum of its attempts' `settled_usd`
    # Intent first: living jobs are stopped, batch after batch, until none is left; then it is None again.
    stop_as: Mapped[Outcome | None]
    stopped_at: Mapped[datetime | None]  # the latest wish to stop it
