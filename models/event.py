"""The ledger: one row for every status a job has ever had."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, one_of
from models.lifecycle import Status


class JobEvent(Base):
    """One arrow taken.  Rows are only ever added; a trigger refuses the rest.

    When a project need not keep them any longer, `models.retention` deletes them, by a door of its own.
    """

    __tablename__ = "job_events"
    __table_args__ = (CheckConstraint(one_of("status", Status), name="status"),)

    # No foreign key: written with its job by one statement and deleted with it by one (docs/decisions).
    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # 1, 2, 3 ... without a gap
    status: Mapped[Status]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    claim: Mapped[int]
    attempt_id: Mapped[int | None] = mapped_column(BigInteger)
    worker_id: Mapped[int | None] = mapped_column(BigInteger)
    reason: Mapped[str | None]
