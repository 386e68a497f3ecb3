"""Wiro's File calls: folders and files that a project keeps here.

FolderCreate and Upload are as its documents show them (wiro.ai/docs, files, read 2026-11).
List and Delete are mentioned there and nowhere shown: here they answer with the same items.
A name may be borne by several files of a folder, and by one folder; a zip archive is unpacked
into the folder that it was sent to, and is not kept itself.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from api import archives, uploads
from api.archives import BadArchive
from api.dependencies import Services, ServicesOf, WiroBody, WiroProject
from api.errors import WiroRefusal
from api.multipart import SentFile
from api.uploads import FILE_MAX_BYTES, NotTaken
from api.wiro import asking, file_shapes
from api.wiro.docs import REFUSALS, answers, any_body, form_body
from api.wiro.schemas import Files
from models import files
from models.errors import NotFound
from models.file import File, FileKind

DELETED_MAX = 100
"""Files and folders of one call."""

_TOP = frozenset({"", "0"})
_UUID = re.compile(r"[0-9a-fA-F-]{32,36}")

router = APIRouter(prefix="/v1/File", tags=["Wiro"], responses=REFUSALS)

_FOLDER_BODY = any_body({"name": "boats", "parentid": "0"})
_LIST_BODY = any_body({"folderid": "0", "start": "0", "limit": "20"})
_DELETE_BODY = any_body({"id": "6bc392c93856dfce3a7d1b4261e15af3"})
_UPLOAD_BODY = form_body({"file": {"type": "string", "format": "binary"}, "folderid": {"type": "string"}})


@router.post("/FolderCreate", summary="Make a folder", responses=answers(Files), openapi_extra=_FOLDER_BODY)
def create_folder(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """The folder `name`, in the folder `parentid` or at the top; one that is there already is it."""
    name = asking.text(body, "name")
    if not name:
        raise WiroRefusal((0, "Request parameter [name] required"))
    with _told():
        parent_id = _folder(services, project.id, asking.text(body, "parentid"))
        made = uploads.add_folder(services, project.id, name, parent_id)
    return _listed(services, [made])


@router.post("/Upload", summary="Upload a file", responses=answers(Files), openapi_extra=_UPLOAD_BODY)
def upload(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """Keep the part `file` of a form, in the folder `folderid` or at the top; 100 MB at most.

    A zip archive is unpacked: the answer lists its files.
    """
    sent = body.get("file")
    if isinstance(sent, list):
        told = "Request files [file] takes one file: send each by itself, or all in a zip archive."
        raise WiroRefusal((0, told))
    if not isinstance(sent, SentFile):
        raise WiroRefusal((0, "Request files [file] required"))
    if sent.size_bytes > FILE_MAX_BYTES:
        raise WiroRefusal((0, f"A file may have {FILE_MAX_BYTES // 1024**2} MB at most."))
    with _told():
        parent_id = _folder(services, project.id, asking.text(body, "folderid"))
        added = _added(services, project.id, sent, parent_id)
    return _listed(services, added)


@router.post("/List", summary="List files", responses=answers(Files), openapi_extra=_LIST_BODY)
def list_files(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """What lies in the folder `folderid` (or `parentid`), or at the top: `limit` of it from `start` on.

    Newest first, unless `order` is ASC.  Pictures that came along with jobs are not among them.
    """
    page = asking.page(body)
    with _told():
        folder = asking.text(body, "folderid") or asking.text(body, "parentid")
        parent_id = _folder(services, project.id, folder)
    with services.database.transaction() as session:
        found = files.page_of(
            session,
            project.id,
            parent_id,
            slice(page.start, page.start + page.limit),
            is_descending=page.is_descending,
        )
    return _listed(services, found)


@router.post("/Delete", summary="Delete files", responses=answers(Files), openapi_extra=_DELETE_BODY)
def delete(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """Delete the file or folder `id`, or several; a folder goes with all that lies in it.

    The answer lists what was deleted.  Jobs that were given such a file have a copy of their own.
    """
    names = _ids(body)
    with _told(), services.database.transaction() as session:
        found = [_file(session, project.id, name) for name in names]
    answer = _listed(services, found)
    uploads.delete(services, [one.id for one in found])
    return answer


# --- what they share ------------------------------------------------------------------------------------


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (BadArchive, NotTaken) as exc:
        raise WiroRefusal((0, str(exc))) from exc
    except NotFound as exc:
        told = str(exc)
        raise WiroRefusal((1, f"{told[:1].upper()}{told[1:]}.")) from exc


def _added(services: Services, project_id: int, sent: SentFile, parent_id: int | None) -> list[File]:
    if archives.is_archive(sent.name, sent.file):
        return uploads.unpack(services, project_id, sent.file, parent_id)
    return [uploads.add(services, project_id, sent.name, sent.file, parent_id)]


def _folder(services: Services, project_id: int, name: str) -> int | None:
    """The number of the folder of this id; None for the top.

    Raises:
        NotFound: the project has none of this id.
    """
    if name in _TOP:
        return None
    none = NotFound("this project has no such folder")
    with services.database.transaction() as session:
        try:
            found = _file(session, project_id, name)
        except NotFound as exc:
            raise none from exc
    if found.kind is not FileKind.FOLDER:
        raise none
    return found.id


def _file(session: Session, project_id: int, name: str) -> File:
    if not _UUID.fullmatch(name):
        raise NotFound("this project has no such file")
    try:
        return files.by_uuid(session, project_id, UUID(name))
    except ValueError as exc:  # as long as one, and none
        raise NotFound("this project has no such file") from exc


def _ids(body: Mapping[str, object]) -> list[str]:
    for field in ("id", "fileid", "folderid"):
        sent = body.get(field)
        names = [str(one).strip() for one in (sent if isinstance(sent, list) else [sent]) if one]
        if len(names) > DELETED_MAX:
            raise WiroRefusal((0, f"Request parameter [{field}] takes at most {DELETED_MAX} of them."))
        if names:
            return names
    raise WiroRefusal((0, "Request parameter [id] required"))


def _listed(services: Services, found: Sequence[File]) -> JSONResponse:
    with services.database.transaction() as session:
        folders = files.folder_uuids(session, found)
    return JSONResponse(file_shapes.wiro_list(found, folders, services.public_url))
