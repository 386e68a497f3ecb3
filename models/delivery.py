"""What callers are owed to be told, and each try to tell them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id, one_of


class DeliveryKind(StrEnum):
    """In whose words a receiver is told."""

    CALLBACK = "callback"  # Wiro's `callbackUrl`: the body of Task/Detail
    WEBHOOK = "webhook"  # Standard Webhooks: signed, `type`, `timestamp`, `data`


class DeliveryState(StrEnum):
    """How far a delivery is."""

    OWED = "owed"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"  # tried for days, or the receiver is gone (410)


class Delivery(Base):
    """One notification owed to one receiver.  Made by the statement that ends the job."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint(one_of("kind", DeliveryKind), name="kind"),
        CheckConstraint(one_of("state", DeliveryState), name="state"),
        # due for the deliverer
        Index("ix_deliveries_due", "next_at", postgresql_where="state = 'owed'"),
        # list: a project's deliveries, newest first
        Index("ix_deliveries_by_project", "project_id", "id"),
        # show, retention: those of a job
        Index("ix_deliveries_job_id", "job_id"),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())  # `webhook-id`
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    webhook_id: Mapped[int | None] = mapped_column(ForeignKey("webhooks.id"))  # None: the job's own address
    kind: Mapped[DeliveryKind]
    event: Mapped[str]  # `job.succeeded` ...
    url: Mapped[str]
    state: Mapped[DeliveryState] = mapped_column(server_default=DeliveryState.OWED.value)
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_at: Mapped[datetime] = mapped_column(
        server_default=func.now()
    )  # not before; a lease while it is sent
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class DeliveryTry(Base):
    """One request to a receiver, and what came of it."""

    __tablename__ = "delivery_tries"

    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)  # 1, 2, 3 ...
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    took_s: Mapped[float] = mapped_column(Double)
    status_code: Mapped[int | None]  # of HTTP; None when nothing answered
    error: Mapped[str | None]  # a sentence, when it was not taken
