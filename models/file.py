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

    A deleted file keeps its row for as long as its project keeps jobs, to say so under its address; its
    bytes are gone or about to go.
    """

    __tablename__ = "files"
    __table_args__ = (
        CheckConstraint(one_of("kind", FileKind), name="kind"),
        CheckConstraint("(kind = 'folder') = (storage_key IS NULL)", name="folders_have_no_bytes"),
        # list: what lies in a folder, or at the top
        Index(
            "ix_files_by_parent",
            "project_id",
            text("coalesce(parent_id, 0)"),
            "id",
            postgresql_where="kind <> 'input' AND deleted_at IS NULL",
        ),
        # retention: what was deleted long ago, and whether something lay in it
        Index("ix_files_deleted", "project_id", "deleted_at", postgresql_where="deleted_at IS NOT NULL"),
        Index("ix_files_parent_id", "parent_id", postgresql_where="parent_id IS NOT NULL"),
        # a folder's name is there once
        Index(
            "uq_files_folder",
            "project_id",
            text("coalesce(parent_id, 0)"),
            "name",
            unique=True,
            postgresql_where="kind = 'folder' AND deleted_at IS NULL",
        ),
        # run: an upload that is meant by its name
        Index(
            "ix_files_upload_name",
            "project_id",
            "name",
            postgresql_where="kind = 'upload' AND deleted_at IS NULL",
        ),
        # The same picture sent again is the same file.
        Index(
            "uq_files_input",
            "project_id",
            "sha256",
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


class Erasure(Base):
    """Bytes that are to go: by whoever said so, at once, or else by housekeeping.

    What is about to be stored is promised to go too, in a day: whoever has recorded it takes that back.
    Killed in between, nobody leaves bytes that no row tells of.
    """

    __tablename__ = "erasures"
    __table_args__ = (
        # what housekeeping takes next
        Index("ix_erasures_due_at", "due_at"),
        # the promise that is taken back when a job uses the file
        Index("ix_erasures_file_id", "file_id", postgresql_where="file_id IS NOT NULL"),
    )

    id: Mapped[Id]
    file_id: Mapped[int | None] = mapped_column(ForeignKey("files.id"))  # it must be deleted, or unused
    folder: Mapped[str]  # everything below it goes
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
