"""One submission of a job to one provider."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, UniqueConstraint, false, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id, Usd, one_of
from models.lifecycle import AttemptState, Billed

SETTLED = (
    "CASE WHEN finished_at IS NULL THEN 0 WHEN cost_usd IS NOT NULL THEN cost_usd"
    " WHEN billed = 'no' THEN 0 ELSE coalesce(reserved_usd, 0) END"
)


class Attempt(Base):
    """One submission: committed as an intent before anything is sent, then with its ticket."""

    __tablename__ = "attempts"
    __table_args__ = (
        CheckConstraint(one_of("state", AttemptState), name="state"),
        CheckConstraint(one_of("billed", Billed), name="billed"),
        CheckConstraint("state <> 'submitted' OR ticket IS NOT NULL", name="submitted_has_ticket"),
        CheckConstraint("state <> 'intent' OR ticket IS NULL", name="intent_has_no_ticket"),
        # show: a job's attempts in order
        UniqueConstraint("job_id", "number"),
        # Money: a second open attempt would be a second purchase.
        Index(
            "uq_attempts_open",
            "job_id",
            unique=True,
            postgresql_where="state IN ('intent', 'submitted', 'unknown')",
        ),
        # routing: how long each provider has taken lately
        Index("ix_attempts_latency", "finished_at", postgresql_where="state = 'done'"),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(
        unique=True, server_default=func.gen_random_uuid()
    )  # key at the provider
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    number: Mapped[int]  # 1, 2, 3 ...
    provider: Mapped[str]
    remote_id: Mapped[str]  # what the offer calls the model
    state: Mapped[AttemptState] = mapped_column(server_default=AttemptState.INTENT.value)
    ticket: Mapped[dict[str, Any] | None]
    cost_usd: Mapped[Usd | None]
    cost_is_estimate: Mapped[bool] = mapped_column(server_default=false())  # the catalogue's price
    billed: Mapped[Billed | None]  # None while it is open, or ended before 0002
    reserved_usd: Mapped[Usd | None]  # of the budgets, when it was made
    # What the budgets are charged: nothing while it is open; then what it cost; where nobody knows, what was
    # reserved, since it may have cost that.  A trigger adds it to the project and the campaign.
    settled_usd: Mapped[Usd] = mapped_column(Computed(SETTLED, persisted=True))
    request_id: Mapped[str | None]  # the provider's own, for its support
    log: Mapped[str | None]  # what the provider said while it worked, its last lines
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    intended_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    submitted_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
