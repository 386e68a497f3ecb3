"""What a project has sent: folders, uploads, and the pictures that came along with its jobs."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Id, one_of


class FileKind(StrEnum):
    """What a row of `files` is."""

    FOLDER = "folder"  # has no bytes
    UPLOAD = "upload"  # put there by a call of its own; stays until it is deleted
    INPUT = "input"  # came along with a job; belongs to the jobs that use it


class File(Base):
    """One folder or file of a project.

    A deleted file keeps its row, to say so under its address; its bytes are gone or about to go.
    """

    __tablename__ = "files"
    __table_args__ = (
        CheckConstraint(one_of("kind", FileKind), name="kind"),
        CheckConstraint("(kind = 'folder') = (storage_key IS NULL)", name="folders_have_no_bytes"),
        # list: what lies in a folder, or at the top; and a folder's name is there once
        Index("ix_files_by_parent", "project_id", text("coalesce(parent_id, 0)"), "id"),
        # The same picture sent again is the same file; and an address of ours leads back to it.
        Index(
            "uq_files_input",
            "project_id",
            "storage_key",
            unique=True,
            postgresql_where="kind = 'input' AND deleted_at IS NULL",
        ),
    )

    id: Mapped[Id]
    uuid: Mapped[UUID] = mapped_column(unique=True, server_default=func.gen_random_uuid())
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("files.id"))
    kind: Mapped[FileKind]
    name: Mapped[str]
    access_key: Mapped[str] = mapped_column(unique=True)  # unguessable; whoever has it may read the file
    storage_key: Mapped[str | None]  # begins with the project's number: no two projects share bytes
    content_type: Mapped[str] = mapped_column(server_default="")
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    sha256: Mapped[str | None]  # hex, of the stored bytes
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


class JobFile(Base):
    """A job uses a file: it is not deleted while another job may need it."""

    __tablename__ = "job_files"
    __table_args__ = (
        # delete: the jobs that use a file
        Index("ix_job_files_file_id", "file_id"),
    )

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("files.id"), primary_key=True)
