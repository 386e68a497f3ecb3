"""What callers are owed to be told, and each try to tell them."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, Double, ForeignKey, Index, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id, one_of
from models.webhook import TEST


class DeliveryKind(StrEnum):
    """In whose words a receiver is told."""

    CALLBACK = "callback"  # Wiro's `callbackUrl`: the body of Task/Detail
    WEBHOOK = "webhook"  # Standard Webhooks: signed, `type`, `timestamp`, `data`


class DeliveryState(StrEnum):
    """How far a delivery is."""

    OWED = "owed"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"  # tried for days, or the receiver is gone (410)


_RECEIVER = (
    "lower(coalesce(substring(url from '^[a-zA-Z]+://(?:[^/?#]*@)?([^/?#]*)'), ''))"
    " || coalesce(' (webhook ' || webhook_id, ' (project ' || project_id) || ')'"
)


SETTLED_KEPT = timedelta(days=30)
"""So long the log of what was delivered or given up is kept, unless its job goes before."""


class Delivery(Base):
    """One notification owed to one receiver.  Made by the statement that ends or holds the job."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint(one_of("kind", DeliveryKind), name="kind"),
        CheckConstraint(one_of("state", DeliveryState), name="state"),
        CheckConstraint("(finished_at IS NULL) = (state = 'owed')", name="finished_unless_owed"),
        CheckConstraint(f"(job_id IS NULL) = (event = '{TEST}')", name="only_tests_have_no_job"),
        # what is due, receiver by receiver: the thousands that one waits for are not read to find another's
        Index("ix_deliveries_due", "receiver", "next_at", postgresql_where="state = 'owed'"),
        # retention: longest ago first
        Index("ix_deliveries_settled", "finished_at", postgresql_where="finished_at IS NOT NULL"),
        # list: a project's deliveries, newest first
        Index("ix_deliveries_by_project", "project_id", "id"),
        # list, replay, disable: those of a webhook
        Index("ix_deliveries_by_webhook", "webhook_id", "id", postgresql_where="webhook_id IS NOT NULL"),
        # show, retention: those of a job
        Index("ix_deliveries_job_id", "job_id"),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())  # `webhook-id`
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))  # None of a test
    webhook_id: Mapped[int | None] = mapped_column(ForeignKey("webhooks.id"))  # None: the job's own address
    kind: Mapped[DeliveryKind]
    event: Mapped[str]  # `job.succeeded` ...
    url: Mapped[str]
    # Who keeps only themselves waiting: a webhook, or of addresses of single jobs a project's at one host and
    # port.  Many webhooks of many projects may live at one host, and one of them hang.
    receiver: Mapped[str] = mapped_column(Computed(_RECEIVER, persisted=True))
    state: Mapped[DeliveryState] = mapped_column(server_default=DeliveryState.OWED.value)
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    tries_before: Mapped[int] = mapped_column(SmallInteger, server_default="0")  # before it was replayed
    owed_since: Mapped[datetime] = mapped_column(server_default=func.now())  # made, or replayed
    # not before; while it is sent, a lease: whoever sends it must be done by then
    next_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class DeliveryTry(Base):
    """One request to a receiver, committed before it is sent, and what came of it."""

    __tablename__ = "delivery_tries"

    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)  # 1, 2, 3 ...
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    took_s: Mapped[float | None] = mapped_column(Double)  # None while it is sent, or when its sender died
    status_code: Mapped[int | None]  # of HTTP; None when nothing answered
    error: Mapped[str | None]  # a sentence, when it was not taken
