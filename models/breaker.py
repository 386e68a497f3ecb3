"""What the workers know together of one offer: whether it answers."""

from datetime import datetime

from sqlalchemy import CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, one_of
from models.lifecycle import BreakerState


class Breaker(Base):
    """One offer's circuit breaker; an offer that never gave trouble has no row."""

    __tablename__ = "breakers"
    __table_args__ = (
        CheckConstraint(one_of("state", BreakerState), name="state"),
        CheckConstraint("failures >= 0", name="failures"),
        CheckConstraint("(state = 'open') = (retry_at IS NOT NULL)", name="open_has_retry"),
        CheckConstraint("(state = 'half_open') = (probe_until IS NOT NULL)", name="half_open_has_probe"),
    )

    provider: Mapped[str] = mapped_column(primary_key=True)
    model_slug: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[BreakerState] = mapped_column(server_default=BreakerState.CLOSED.value)
    failures: Mapped[int] = mapped_column(server_default="0")  # in a row
    opened_at: Mapped[datetime | None]  # for the first time since it was last closed
    retry_at: Mapped[datetime | None]  # when open: not before
    probe_until: Mapped[datetime | None]  # when half open: so long the one job has to give a sign
    reason: Mapped[str | None]  # the latest trouble
    changed_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
