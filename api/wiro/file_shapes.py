"""Files in Wiro's JSON.  Pure.

The shapes are those of its documents' FolderCreate and Upload (wiro.ai/docs, files, read 2026-11).
List and Delete are mentioned there and nowhere shown: they answer with the same items.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

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
