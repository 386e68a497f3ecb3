"""Files in Wiro's JSON and in ours.  Pure.

Wiro's are those of its documents' FolderCreate and Upload (wiro.ai/docs, files, read 2026-11).
List and Delete are mentioned there and nowhere shown: they answer with the same items.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from api.schemas import FileAnswer
from api.sources import FILE
from models.file import File, FileKind
from shapes.parameters import file_url
from shapes.wiro import Shape, unix

TOP = "0"
"""What Wiro's items say of the folder of what lies in none."""


def wiro_list(files: Iterable[File], folders: Mapping[int | None, UUID], public_url: str) -> Shape:
    """Wiro's answer about files and folders; `folders` are those in which they lie, by their numbers."""
    items = [wiro_item(file, folders.get(file.parent_id), public_url) for file in files]
    return {"result": True, "errors": [], "list": items}


def wiro_item(file: File, parent: UUID | None, public_url: str) -> Shape:
    """A file, or a folder: which has no address."""
    item: Shape = {
        "id": file.uuid.hex,
        "name": file.name,
        "contenttype": file.content_type,
        "size": str(file.size_bytes),
        "parentid": TOP if parent is None else parent.hex,
        "addedtime": unix(file.created_at),
    }
    if file.kind is FileKind.FOLDER:
        return item
    return item | {"url": file_url(public_url, file.access_key, file.name), "accesskey": file.access_key}


def file_answer(file: File, folder: UUID | None, public_url: str) -> FileAnswer:
    """A file as the native API tells of it."""
    is_folder = file.kind is FileKind.FOLDER
    return FileAnswer(
        id=file.uuid,
        kind=file.kind,
        name=file.name,
        folder=folder,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        url=None if is_folder else file_url(public_url, file.access_key, file.name),
        reference=None if is_folder else f"{FILE}{file.uuid}",
        created_at=file.created_at,
    )
