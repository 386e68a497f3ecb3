"""One stored file of a job."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id


class Output(Base):
    """One picture in our storage."""

    __tablename__ = "outputs"
    __table_args__ = (
        UniqueConstraint("job_id", "position"),
        # retention: the key from outputs to attempts asks for it when an attempt is deleted
        Index("ix_outputs_attempt_id", "attempt_id"),
    )

    id: Mapped[Id]
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"))
    position: Mapped[int]  # 0, 1, 2 ...
    name: Mapped[str]
    access_key: Mapped[str] = mapped_column(unique=True)  # unguessable; whoever has it may read the file
    storage_key: Mapped[str]
    content_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]  # hex, of the stored bytes
    width_px: Mapped[int]
    height_px: Mapped[int]
    seed: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]  # the row stays, to say so; the file is gone or about to go
