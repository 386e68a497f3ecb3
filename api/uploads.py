"""Files that a project keeps here: checked, streamed into storage, unpacked, deleted.

Before a byte is stored it is promised that it goes in a day; whoever records the file takes that
back (`models.files`).  So nothing is left of an upload that was killed, broke off or was refused.
"""

import logging
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from sqlalchemy.orm import Session

from api import archives
from api.archives import Entry
from api.content_types import FIRST_BYTES, content_type
from api.dependencies import Services
from models import files, keys
from models.file import File, FileKind
from models.files import Promise
from models.names import new_token
from storage import StorageError, StoredFile

FILE_MAX_BYTES = 100 * 1024 * 1024
"""Of one upload, as at Wiro (its documents say 100 MB)."""

NAME_MAX_BYTES = 200
FOLDERS_MAX = archives.DEPTH_MAX
"""Folders within folders."""

ERASED_AT_ONCE = 100
"""A folder of thousands is left to housekeeping: nobody waits that long for an answer."""

logger = logging.getLogger("darkroom.api")


class NotTaken(Exception):
    """A name or a place that no file is given; the text says why, as a sentence."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A file in storage that no row tells of yet, and where it belongs."""

    folders: tuple[str, ...]
    name: str
    access_key: str
    content_type: str
    stored: StoredFile
    promised: int


def clean_name(sent: str) -> str:
    """The name of a file or folder: the last part of a path, without what no system shows or takes.

    Raises:
        NotTaken: nothing is left of it.
    """
    name = _kept_of(sent)
    if not name:
        raise NotTaken("A file needs a name.")
    return name


def _clean_folder_name(sent: str) -> str:
    # Of a file's path the last part is its name; of a folder's, whoever sent it means all of them.
    if {"/", "\\"} & set(sent.rstrip("/\\")):
        raise NotTaken("The name of a folder is no path: make each in the one before it.")
    name = _kept_of(sent)
    if not name:
        raise NotTaken("A folder needs a name.")
    return name


def _kept_of(sent: str) -> str:
    last = unicodedata.normalize("NFC", sent).replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _shortened("".join(character for character in last if character.isprintable()).strip().lstrip("."))


def _shortened(name: str) -> str:
    """At most so many bytes, with its suffix."""
    stem, dot, suffix = name.rpartition(".")
    if len(name.encode()) <= NAME_MAX_BYTES:
        return name
    if not dot or len(suffix.encode()) > NAME_MAX_BYTES // 4:
        return name.encode()[:NAME_MAX_BYTES].decode(errors="ignore")
    room = NAME_MAX_BYTES - len(suffix.encode()) - 1
    return f"{stem.encode()[:room].decode(errors='ignore')}.{suffix}"


# --- put there -----------------------------------------------------------------------------------------


def add_folder(services: Services, project_id: int, name: str, parent_id: int | None) -> File:
    """The folder of this name; one that is there already is it.

    Raises:
        NotTaken: it has no name, or a path for one, or lies too deep.
    """
    with services.database.transaction() as session:
        _refuse_depth(session, project_id, parent_id, 1)
        return files.add_folder(session, project_id, parent_id, _clean_folder_name(name))


def add(services: Services, project_id: int, name: str, content: IO[bytes], parent_id: int | None) -> File:
    """A file of these bytes; another of the same name stays.

    Raises:
        NotTaken: it has no name.
        models.errors.NotFound: its folder was deleted meanwhile.
        storage.StorageError: it could not be kept.
    """
    called = clean_name(name)
    with _storing(services) as stored:
        stored.append(_store(services, project_id, (), called, content))
        [added] = _record(services, project_id, parent_id, stored)
    return added


def unpack(services: Services, project_id: int, content: IO[bytes], parent_id: int | None) -> list[File]:
    """The files of a zip archive, in folders as there; all of them, or none.

    Raises:
        archives.BadArchive: it cannot be unpacked.
        NotTaken: a name in it is none, or it lies too deep.
        models.errors.NotFound: its folder was deleted meanwhile.
        storage.StorageError: something could not be kept.
    """
    entries = archives.entries(content)
    with services.database.transaction() as session:
        _refuse_depth(session, project_id, parent_id, max((len(one.folders) for one in entries), default=0))
    with _storing(services) as stored:
        for entry in entries:
            stored.append(_unpacked(services, project_id, entry))
        return _record(services, project_id, parent_id, stored)


def _unpacked(services: Services, project_id: int, entry: Entry) -> _Stored:
    folders = tuple(clean_name(folder) for folder in entry.folders)
    with entry.open() as content:
        return _store(services, project_id, folders, clean_name(entry.name), content)


@contextmanager
def _storing(services: Services) -> Iterator[list[_Stored]]:
    """A list of what is stored meanwhile, which is erased soon unless all goes well."""
    stored: list[_Stored] = []
    try:
        yield stored
    except BaseException:
        with services.database.transaction() as session:
            files.hasten(session, [one.promised for one in stored])
        raise


def _store(
    services: Services, project_id: int, folders: tuple[str, ...], name: str, content: IO[bytes]
) -> _Stored:
    access_key = new_token()
    folder = keys.upload_folder(project_id, access_key)
    with services.database.transaction() as session:
        promised = files.promise_erasure(session, folder, after=files.UNCLAIMED)
    stored = services.storage.put_file(f"{folder}/file", content)
    with services.storage.open(stored.key) as written:
        kind = content_type(name, written.read(FIRST_BYTES))
    return _Stored(folders, name, access_key, kind, stored, promised)


def _record(
    services: Services, project_id: int, parent_id: int | None, stored: Sequence[_Stored]
) -> list[File]:
    """The rows of what is stored, all in one; what was promised to go stays."""
    with services.database.transaction() as session:
        if parent_id is not None:
            files.hold_folder(session, project_id, parent_id)
        folder_ids = _folder_ids(session, project_id, parent_id, {one.folders for one in stored})
        added = files.add_uploads(session, [_row(project_id, folder_ids[one.folders], one) for one in stored])
        files.erased(session, [one.promised for one in stored])
    extra = {"event": "files_stored", "project_id": project_id, "count": len(added)}
    logger.info("Stored files.", extra=extra)
    return added


def _folder_ids(
    session: Session, project_id: int, parent_id: int | None, paths: set[tuple[str, ...]]
) -> dict[tuple[str, ...], int | None]:
    """The number of the folder at each path below the parent, made where it is missing."""
    ids: dict[tuple[str, ...], int | None] = {(): parent_id}
    # In order, so that two who make the same folders do not wait for each other.
    for path in sorted({whole[:depth] for whole in paths for depth in range(1, len(whole) + 1)}):
        ids[path] = files.add_folder(session, project_id, ids[path[:-1]], path[-1]).id
    return ids


def _row(project_id: int, parent_id: int | None, one: _Stored) -> File:
    return File(
        project_id=project_id,
        parent_id=parent_id,
        kind=FileKind.UPLOAD,
        name=one.name,
        access_key=one.access_key,
        storage_key=one.stored.key,
        content_type=one.content_type,
        size_bytes=one.stored.size_bytes,
        sha256=one.stored.sha256,
    )


def _refuse_depth(session: Session, project_id: int, parent_id: int | None, more: int) -> None:
    """Raises NotTaken where so many folders more would lie too deep, NotFound where there is no folder."""
    depth = 0
    while parent_id is not None:
        depth += 1
        parent_id = files.hold_folder(session, project_id, parent_id).parent_id
    if depth + more > FOLDERS_MAX:
        raise NotTaken(f"Folders lie {FOLDERS_MAX} deep at most.")


# --- deleted -------------------------------------------------------------------------------------------


def delete(services: Services, file_ids: Sequence[int]) -> None:
    """Delete uploads and folders with all that lies in them.  Jobs that use one have a copy of their own."""
    with services.database.transaction() as session:
        folders = files.delete_files(session, file_ids)
    erase(services, folders)


def erase(services: Services, promised: Sequence[Promise]) -> None:
    """Keep promises at once; what cannot be kept now, or is killed meanwhile, housekeeping does."""
    for one in promised[:ERASED_AT_ONCE]:
        try:
            services.storage.delete_below(one.folder)
        except StorageError as exc:
            extra = {"event": "erase_failed", "error": str(exc)}
            logger.warning("Could not erase a file; housekeeping tries again.", extra=extra)
            continue
        with services.database.transaction() as session:
            files.erased(session, [one.id])
