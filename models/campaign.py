"""Many jobs submitted under one name."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id


class Campaign(Base):
    """A named batch of jobs of one project."""

    __tablename__ = "campaigns"
    __table_args__ = (
        # An interrupted submit is run again under the same name and finds its campaign.
        UniqueConstraint("project_id", "name"),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
