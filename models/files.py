"""What projects have sent: found, recorded, used by jobs, and deleted.

A file is deleted in two steps.  Its row says so, and the promise that its bytes go is written with it; then
they go, by whoever said so or by housekeeping, and the promise with them.  What came along with jobs is
deleted when the last job that uses it lets go of it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session

from models import keys
from models.errors import FileGone, NotFound
from models.file import Erasure, File, FileKind, JobFile
from models.job import Job
from models.names import new_token
from models.output import Output

UNCLAIMED = timedelta(days=1)
"""What was stored and never recorded is kept so long: no request takes nearly as much time."""

TOP = 0
"""The number of no folder: where files lie that lie in none."""

_TOP = literal_column(f"{TOP}", BigInteger)  # written out, as in the index that serves it


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that came along with a job, before it has a row.

    Attributes:
        name: as its address ends.
        sha256: hex, of its bytes.
    """

    name: str
    content_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Promise:
    """An erasure: its number, and the folder of storage below what everything goes."""

    id: int
    folder: str


# --- found -------------------------------------------------------------------------------------------


def by_access_key(session: Session, access_key: str) -> File | None:
    """The file with this address, also a deleted one; folders have none that opens."""
    return session.scalars(
        select(File).where(File.access_key == access_key, File.kind != FileKind.FOLDER)
    ).first()


def by_uuid(session: Session, project_id: int, uuid: UUID) -> File:
    """A project's own file or folder.

    Raises:
        NotFound: it has none of this name, or no longer.
    """
    found = session.scalars(select(File).where(File.uuid == uuid, _is_there(project_id))).first()
    if found is None:
        raise NotFound("this project has no such file")
    return found


def folder_uuids(session: Session, lying: Iterable[File]) -> dict[int | None, UUID]:
    """How the folders are called in which these files lie, by their numbers."""
    numbers = {file.parent_id for file in lying} - {None}
    rows = session.execute(select(File.id, File.uuid).where(File.id.in_(numbers)))
    return {row.id: row.uuid for row in rows}


def uploads_called(session: Session, project_id: int, names: Collection[str]) -> dict[str, File]:
    """The uploads that these names mean: those that exactly one upload bears."""
    bearers: dict[str, list[File]] = {}
    query = select(File).where(File.kind == FileKind.UPLOAD, File.name.in_(names), _is_there(project_id))
    for file in session.scalars(query):
        bearers.setdefault(file.name, []).append(file)
    return {name: files[0] for name, files in bearers.items() if len(files) == 1}


def lying_in(
    session: Session, project_id: int, parent_id: int | None, *, before_id: int | None, limit: int
) -> Sequence[File]:
    """What lies in a folder, or at the top: newest first, older than a certain one."""
    query = select(File).where(*_lies_below(project_id, parent_id)).order_by(File.id.desc()).limit(limit)
    return session.scalars(query if before_id is None else query.where(File.id < before_id)).all()


def page_of(
    session: Session, project_id: int, parent_id: int | None, page: slice, *, is_descending: bool
) -> Sequence[File]:
    """The same, counted from one of its ends: Wiro's lists have no better way to say where they go on."""
    query = select(File).where(*_lies_below(project_id, parent_id))
    by_age = File.id.desc() if is_descending else File.id.asc()
    return session.scalars(query.order_by(by_age).slice(page.start, page.stop)).all()


def _lies_below(project_id: int, parent_id: int | None) -> tuple[ColumnElement[bool], ...]:
    in_folder = func.coalesce(File.parent_id, _TOP) == (parent_id or TOP)
    return (File.kind != FileKind.INPUT, _is_there(project_id), in_folder)


def _is_there(project_id: int) -> ColumnElement[bool]:
    return (File.project_id == project_id) & File.deleted_at.is_(None)


# --- recorded ----------------------------------------------------------------------------------------


def record_inputs(session: Session, project_id: int, pictures: Iterable[Picture]) -> dict[str, File]:
    """The row of each picture by its SHA-256: a new one, or that of an equal one of the project.

    The bytes of a new one are the caller's to store.
    """
    wanted = {picture.sha256: picture for picture in pictures}
    there = _inputs_of(session, project_id, wanted)
    # In order, so that two who bring the same ones do not wait for each other.
    missing = [wanted[sha256] for sha256 in sorted(wanted) if sha256 not in there]
    if not missing:
        return there
    session.execute(_insert_inputs(project_id, missing))
    there = _inputs_of(session, project_id, wanted)
    for picture in missing:
        file = there[picture.sha256]
        promise_erasure(session, folder_of(file), after=UNCLAIMED, file_id=file.id)
    return there


def _inputs_of(session: Session, project_id: int, sha256s: Collection[str]) -> dict[str, File]:
    query = select(File).where(File.kind == FileKind.INPUT, File.sha256.in_(sha256s), _is_there(project_id))
    return {str(file.sha256): file for file in session.scalars(query)}


def _insert_inputs(project_id: int, pictures: Sequence[Picture]) -> Insert:
    rows = []
    for picture in pictures:
        access_key = new_token()
        rows.append(
            {
                "project_id": project_id,
                "kind": FileKind.INPUT,
                "name": picture.name,
                "access_key": access_key,
                "storage_key": f"{keys.input_folder(project_id, access_key)}/{picture.name}",
                "content_type": picture.content_type,
                "size_bytes": picture.size_bytes,
                "sha256": picture.sha256,
            }
        )
    # Of two requests that bring the same picture, one writes the row and both use it.
    return insert(File).values(rows).on_conflict_do_nothing()


def add_folder(session: Session, project_id: int, parent_id: int | None, name: str) -> File:
    """The folder of this name; safe to call twice."""
    row = {
        "project_id": project_id,
        "parent_id": parent_id,
        "kind": FileKind.FOLDER,
        "name": name,
        "access_key": new_token(),
    }
    session.execute(insert(File).values(row).on_conflict_do_nothing())
    query = select(File).where(
        File.kind == FileKind.FOLDER,
        File.name == name,
        _is_there(project_id),
        func.coalesce(File.parent_id, _TOP) == (parent_id or TOP),
    )
    return session.scalars(query).one()


def hold_folder(session: Session, project_id: int, folder_id: int) -> File:
    """A project's folder, which nobody deletes until the unit of work has ended.

    Raises:
        NotFound: it is not there, or no longer.
    """
    query = select(File).where(File.id == folder_id, File.kind == FileKind.FOLDER, _is_there(project_id))
    found = session.scalars(query.with_for_update(read=True)).first()
    if found is None:
        raise NotFound("this project has no such folder")
    return found


def add_uploads(session: Session, uploads: Sequence[File]) -> list[File]:
    """Their rows; what was promised to go of their bytes is the caller's to take back."""
    session.add_all(uploads)
    session.flush()
    for one in uploads:
        session.refresh(one)
    return list(uploads)


def folder_of(file: File) -> str:
    """Below what the bytes of a file lie, and nothing else does."""
    if file.storage_key is None:
        raise ValueError("a folder has no bytes")
    return file.storage_key.rpartition("/")[0]


# --- used --------------------------------------------------------------------------------------------


def use(session: Session, uses: Mapping[int, Collection[int]]) -> None:
    """Note which files each of these new jobs uses, by their numbers.

    Raises:
        FileGone: one of them was deleted meanwhile.
    """
    wanted = {file_id for file_ids in uses.values() for file_id in file_ids}
    if not wanted:
        return
    # Locked, so that who is about to delete one waits, and then finds it used; in order, so that two who
    # need the same ones do not wait for each other.
    there = select(File.id).where(File.id.in_(wanted), File.deleted_at.is_(None)).order_by(File.id)
    if set(session.scalars(there.with_for_update(read=True))) != wanted:
        raise FileGone("a file of the job was deleted while it was being queued: send it again")
    rows = [{"job_id": job, "file_id": file} for job, files in uses.items() for file in sorted(set(files))]
    session.execute(insert(JobFile).on_conflict_do_nothing(), rows)
    session.execute(delete(Erasure).where(Erasure.file_id.in_(wanted)))


def let_go(session: Session, job_ids: Collection[int]) -> list[Promise]:
    """These jobs use no file any more; what came along with them and nobody else uses is deleted.

    What is promised to go.
    """
    released = delete(JobFile).where(JobFile.job_id.in_(job_ids)).returning(JobFile.file_id)
    return delete_unused(session, set(session.scalars(released)))


def delete_of_job(session: Session, job: Job) -> list[Promise]:
    """Delete an ended job's pictures and what came along with it; what another job uses stays.

    Safe to call twice.  What is promised to go.
    """
    session.execute(
        update(Output)
        .where(Output.job_id == job.id, Output.deleted_at.is_(None))
        .values(deleted_at=func.now())
    )
    folders = [keys.outputs_folder(job.uuid), keys.fetched_folder(job.uuid)]
    return promise_at_once(session, folders) + let_go(session, [job.id])


def delete_unused(session: Session, file_ids: Collection[int]) -> list[Promise]:
    """Delete those of these files that came along with jobs and are used by none; what is promised to go."""
    if not file_ids:
        return []
    # First wait for those who are about to use one, then look, in a statement of its own, which sees them.
    locked = select(File.id).where(File.id.in_(file_ids)).order_by(File.id).with_for_update()
    session.execute(locked)
    is_used = select(JobFile.job_id).where(JobFile.file_id == File.id).exists()
    return _delete(session, File.id.in_(file_ids), File.kind == FileKind.INPUT, ~is_used)


# --- deleted -----------------------------------------------------------------------------------------


def delete_files(session: Session, file_ids: Collection[int]) -> list[Promise]:
    """Delete uploads and folders with all that lies in them; what is promised to go."""
    # First wait for those who are putting something there, then look, in a statement of its own.
    session.execute(select(File.id).where(_lies_in(file_ids)).order_by(File.id).with_for_update())
    return _delete(session, _lies_in(file_ids), File.kind != FileKind.INPUT)


def _lies_in(file_ids: Collection[int]) -> ColumnElement[bool]:
    """They themselves, and all that lies in them."""
    inner = select(File.id).where(File.id.in_(file_ids)).cte("inner_files", recursive=True)
    inner = inner.union(select(File.id).where(File.parent_id == inner.c.id))
    return File.id.in_(select(inner.c.id))


def _delete(session: Session, *which: ColumnElement[bool]) -> list[Promise]:
    gone = session.scalars(
        update(File)
        .where(File.deleted_at.is_(None), *which)
        .values(deleted_at=func.now())
        .returning(File)
        .execution_options(synchronize_session=False)
    ).all()
    return promise_at_once(session, [folder_of(file) for file in gone if file.storage_key is not None])


# --- bytes -------------------------------------------------------------------------------------------


def promise_erasure(
    session: Session, folder: str, *, after: timedelta = timedelta(0), file_id: int | None = None
) -> int:
    """The number of a promise: all that is stored below a folder goes, unless that is taken back.

    Args:
        session: the unit of work.
        folder: of storage.
        after: not before.
        file_id: the file whose bytes they are, if it has a row: when a job uses it by then, they stay.
    """
    promise = Erasure(folder=folder, file_id=file_id, due_at=func.now() + after)
    session.add(promise)
    session.flush()
    return promise.id


def promise_at_once(session: Session, folders: Sequence[str]) -> list[Promise]:
    """All that is stored below these folders goes now, or when housekeeping comes by."""
    if not folders:
        return []
    rows = session.execute(
        insert(Erasure).returning(Erasure.id, Erasure.folder), [{"folder": folder} for folder in folders]
    )
    return [Promise(row.id, row.folder) for row in rows]


def hasten(session: Session, erasure_ids: Collection[int]) -> None:
    """These are due at once."""
    session.execute(update(Erasure).where(Erasure.id.in_(erasure_ids)).values(due_at=func.now()))


def is_any_due(session: Session) -> bool:
    """Whether there is anything to erase."""
    return session.scalar(select(select(Erasure.id).where(Erasure.due_at <= func.now()).exists())) or False


def due_erasures(session: Session, limit: int) -> list[Promise]:
    """What is due to go, longest first; files that nobody has used in time are deleted."""
    due = session.scalars(
        select(Erasure).where(Erasure.due_at <= func.now()).order_by(Erasure.due_at, Erasure.id).limit(limit)
    ).all()
    unclaimed = {one.file_id for one in due if one.file_id is not None}
    delete_unused(session, unclaimed)
    used = set(session.scalars(select(File.id).where(File.id.in_(unclaimed), File.deleted_at.is_(None))))
    session.execute(delete(Erasure).where(Erasure.file_id.in_(used)))
    return [Promise(one.id, one.folder) for one in due if one.file_id not in used]


def erased(session: Session, erasure_ids: Collection[int]) -> None:
    """These promises are kept, or taken back."""
    session.execute(delete(Erasure).where(Erasure.id.in_(erasure_ids)))
