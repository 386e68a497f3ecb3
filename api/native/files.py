"""The native API's files: upload, list, show, delete.

What is uploaded can be a picture of any number of jobs: by its `reference`, or by its URL.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api import uploads
from api.dependencies import GuardedRoute, NativeProject, Services, ServicesOf
from api.errors import Problem
from api.forms import MULTIPART, form_fields
from api.multipart import IN_MEMORY_BYTES, BadForm, SentFile
from api.native.filters import id_after
from api.native.schemas.files import FileAnswer, FilePage
from api.native.schemas.words import ProblemAnswer
from api.native.shapes import file_answer
from api.uploads import FILE_MAX_BYTES, NotTaken
from models import files
from models.errors import NotFound
from models.file import File, FileKind

PAGE_MAX = 500
UNNAMED = "file"

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {"schema": {"type": "object", "required": ["file"], "properties": {"file": _BINARY["schema"]}}}
_BODY = {"requestBody": {"content": {"application/octet-stream": _BINARY, MULTIPART: _FORM}}}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ProblemAnswer, "description": "file_not_found"}}

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api/files",
    tags=["Files"],
)

Folder = Annotated[UUID | None, Query(description="In this folder; without it, at the top.")]


async def sent_file(request: Request) -> AsyncIterator[SentFile]:
    """The file of a request: the part `file` of a form, or the whole body whatever its Content-Type says.

    Raises:
        Problem: the body is a form without that part, or none.
    """
    with ExitStack() as opened:
        try:
            fields = await form_fields(request, opened)
            sent = await _whole_body(request, opened) if fields is None else fields.get("file")
        except BadForm as exc:
            raise Problem(422, "invalid_request", str(exc)) from exc
        except ClientDisconnect as exc:
            raise Problem(422, "invalid_request", "The body broke off.") from exc
        if not isinstance(sent, SentFile):
            raise Problem(422, "invalid_request", "A form has the file in its part `file`.")
        yield sent


async def _whole_body(request: Request, opened: ExitStack) -> SentFile:
    file = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - closed with `opened`
    opened.callback(file.close)
    async for piece in request.stream():
        await run_in_threadpool(file.write, piece)
    size_bytes = file.tell()
    file.seek(0)
    return SentFile("", request.headers.get("content-type", ""), file, size_bytes)


@router.post(
    "",
    status_code=201,
    summary="Upload a file",
    openapi_extra=_BODY,
    responses=_NOT_FOUND | {413: {"model": ProblemAnswer, "description": "body_too_large"}},
)
def upload(
    project: NativeProject,
    sent: Annotated[SentFile, Depends(sent_file)],
    services: ServicesOf,
    response: Response,
    *,
    name: Annotated[
        str | None, Query(max_length=1000, description="Its name; without it, as the form calls it.")
    ] = None,
    folder: Folder = None,
) -> FileAnswer:
    """Keep a file of at most 100 MB: the body as it is, or the part `file` of a form.

    Each call is another file.  It stays until it is deleted.
    """
    if sent.size_bytes > FILE_MAX_BYTES:
        raise HTTPException(413, f"A file may have {FILE_MAX_BYTES // 1024**2} MiB at most.")
    with services.database.transaction() as session:
        parent_id = _folder_id(session, project.id, folder)
    try:
        added = uploads.add(services, project.id, name or sent.name or UNNAMED, sent.file, parent_id)
    except NotTaken as exc:
        raise Problem(422, "invalid_request", str(exc)) from exc
    except NotFound as exc:
        raise _no_file() from exc
    response.headers["Location"] = f"/api/files/{added.uuid}"
    return file_answer(added, folder, services.public_url)


@router.get("", summary="List files", responses=_NOT_FOUND)
def list_files(
    project: NativeProject,
    services: ServicesOf,
    *,
    folder: Folder = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> FilePage:
    """What lies in a folder, newest first.  Pictures that came along with jobs are shown with these."""
    before_id = None if cursor is None else id_after(cursor)
    with services.database.transaction() as session:
        parent_id = _folder_id(session, project.id, folder)
        # One more than asked for tells whether there is another page.
        found = files.lying_in(session, project.id, parent_id, before_id=before_id, limit=limit + 1)
    page = found[:limit]
    return FilePage(
        files=[file_answer(file, folder, services.public_url) for file in page],
        next_cursor=None if len(found) <= limit else str(page[-1].id),
    )


@router.get("/{uuid}", summary="Show a file", responses=_NOT_FOUND)
def show(uuid: UUID, project: NativeProject, services: ServicesOf) -> FileAnswer:
    """One file or folder; its bytes are at its `url`."""
    with services.database.transaction() as session:
        file = _file(session, project.id, uuid)
        folders = files.folder_uuids(session, [file])
    return file_answer(file, folders.get(file.parent_id), services.public_url)


@router.delete("/{uuid}", status_code=204, summary="Delete a file", responses=_NOT_FOUND)
def delete(uuid: UUID, project: NativeProject, services: ServicesOf) -> None:
    """Delete a file, or a folder with all that lies in it.  Jobs that were given one have a copy."""
    _delete(services, project.id, uuid)


def _delete(services: Services, project_id: int, uuid: UUID) -> None:
    with services.database.transaction() as session:
        file = _file(session, project_id, uuid)
    uploads.delete(services, [file.id])


def _file(session: Session, project_id: int, uuid: UUID) -> File:
    try:
        return files.by_uuid(session, project_id, uuid)
    except NotFound as exc:
        raise _no_file() from exc


def _folder_id(session: Session, project_id: int, uuid: UUID | None) -> int | None:
    if uuid is None:
        return None
    found = _file(session, project_id, uuid)
    if found.kind is not FileKind.FOLDER:
        raise _no_file()
    return found.id


def _no_file() -> Problem:
    return Problem(404, "file_not_found", "This project has no such file or folder.")
