"""What is told of files."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import (
    Field,
)

from api.native.schemas.words import Answer
from models.file import FileKind


class FileAnswer(Answer):
    """One file or folder of the project.  Whoever has a file's URL can read it."""

    id: UUID
    kind: FileKind
    name: str
    folder: Annotated[UUID | None, Field(description="Where it lies; null at the top.")]
    content_type: Annotated[str, Field(description="By its content and its name; empty of a folder.")]
    size_bytes: int
    sha256: Annotated[str | None, Field(description="Hex, of its bytes; null of a folder.")]
    url: Annotated[str | None, Field(description="Null of a folder.")]
    reference: Annotated[
        str | None, Field(description="What it is called among a job's parameters; null of a folder.")
    ]
    created_at: datetime


class FilePage(Answer):
    """Some files, newest first; `next_cursor` asks for the ones before, null when there are none."""

    files: list[FileAnswer]
    next_cursor: str | None
