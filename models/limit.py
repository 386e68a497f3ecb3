"""What a provider, or one of its offers, is allowed to be asked for at a time."""

from datetime import datetime

from sqlalchemy import CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Usd

WHOLE = ""
"""In place of a model's slug: the limits of the provider as a whole."""


class Limit(Base):
    """An operator's limits on a provider or an offer, and what its own refusals have taught.

    A provider or an offer that nobody limited, paused or was refused by has no row.
    """

    __tablename__ = "limits"
    __table_args__ = (
        CheckConstraint("max_in_flight > 0", name="max_in_flight"),
        CheckConstraint("per_second > 0", name="per_second"),
        CheckConstraint("price_usd >= 0", name="price_usd"),
        CheckConstraint("learnt_in_flight > 0", name="learnt_in_flight"),
    )

    provider: Mapped[str] = mapped_column(primary_key=True)
    model_slug: Mapped[str] = mapped_column(primary_key=True)  # or WHOLE
    # what an operator says
    max_in_flight: Mapped[int | None]  # jobs at a time; None for what the provider documents
    per_second: Mapped[float | None]  # requests to its API, of a whole provider; None for any number
    price_usd: Mapped[Usd | None]  # of one job, where the catalogue knows none
    paused_at: Mapped[datetime | None]  # since then nothing new is sent there
    # what its refusals taught
    learnt_in_flight: Mapped[int | None]  # so many were with it when it refused one more
    learnt_at: Mapped[datetime | None]  # from then on the window widens again
    quiet_until: Mapped[datetime | None]  # it asked for a pause: nothing new is sent before
    refusals: Mapped[int] = mapped_column(server_default="0")  # in a row
    # pace
    next_request_at: Mapped[datetime | None]  # the next free place in time, where `per_second` is set
    changed_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
