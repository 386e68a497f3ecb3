"""One worker process and its signs of life."""

from datetime import datetime

from sqlalchemy import Index, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id

LOCK_NAMESPACE = 0x6461726B  # "dark": first half of the advisory lock's key, the worker's id is the second
SWEEP_LOCK = 0x73776570  # "swep": one sweep at a time
STOP_LOCK = 0x73746F70  # "stop": one process ends what is to stop and nobody holds
TIDY_LOCK = 0x74696479  # "tidy": one process deletes what need not be kept
DISPATCH_LOCK = 0x64697370  # "disp": one dispatcher decides at a time


class Worker(Base):
    """A process that runs jobs.

    As long as it lives it holds the advisory lock (LOCK_NAMESPACE, id) on a
    connection of its own, and renews `seen_at`.  A dead process loses the
    lock at once; a frozen one keeps it and is told by its silence.
    """

    __tablename__ = "workers"
    # sweep and dispatch: who is alive, among all that ever were
    __table_args__ = (Index("ix_workers_alive", "id", postgresql_where="ended_at IS NULL"),)

    id: Mapped[Id]
    name: Mapped[str]  # Celery's node name
    host: Mapped[str]
    pid: Mapped[int]
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))  # none once it is closing
    concurrency: Mapped[int]  # jobs at a time
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
