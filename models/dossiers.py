"""All that Wiro's task object tells of a job, read by one statement.

It is what clients ask for again and again, so it loads no records: a record's forty
columns, and those of its events and files, cost more than the rest of an answer.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from models.lifecycle import Outcome, Status
from models.queries import key_of


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the job's that is there."""

    name: str
    access_key: str
    content_type: str
    size_bytes: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Dossier:
    """A job, with the last time it came to each status, its files, and what its providers said."""

    id: int
    uuid: UUID
    socket_token: str
    project_id: int
    model_slug: str
    parameters: Mapping[str, Any]
    callback_url: str | None
    status: Status
    outcome: Outcome | None
    error_message: str | None
    cost_usd: Decimal | None
    created_at: datetime
    finished_at: datetime | None
    at: Mapping[Status, datetime]
    outputs: Sequence[StoredFile]
    log: str


# Each part is found by the key of its own table's index that begins with the job's number.
_READ = """
    SELECT
        id, uuid, socket_token, project_id, model_slug, parameters, callback_url, status, outcome,
        error_message, cost_usd, created_at, finished_at,
        -- Of a status it had twice, the last one is kept.
        (SELECT jsonb_object_agg(status, at ORDER BY seq) FROM job_events WHERE job_id = jobs.id) AS at,
        (
            SELECT jsonb_agg(jsonb_build_array(name, access_key, content_type, size_bytes, created_at)
                ORDER BY position)
            FROM outputs WHERE job_id = jobs.id AND deleted_at IS NULL
        ) AS outputs,
        (SELECT string_agg(log, E'\\n' ORDER BY number) FROM attempts WHERE job_id = jobs.id) AS log
    FROM jobs
"""
_OF_NUMBERS = text(f"{_READ} WHERE id = ANY(:ids)")
_CALLED: Mapping[type, TextClause] = {
    int: text(f"{_READ} WHERE project_id = :project_id AND id = :name"),
    # What may be a UUID may be a token all the same.
    UUID: text(f"{_READ} WHERE project_id = :project_id AND (uuid = :name OR socket_token = :text)"),
    str: text(f"{_READ} WHERE project_id = :project_id AND socket_token = :name"),
}


def called(session: Session, project_id: int, name: str) -> Dossier | None:
    """That of a project's job by any of its names: number, UUID or socket token."""
    key = key_of(name)
    row = session.execute(
        _CALLED[type(key)], {"project_id": project_id, "name": key, "text": name}
    ).one_or_none()
    return None if row is None else _read(row)


def of_jobs(session: Session, job_ids: Sequence[int]) -> list[Dossier]:
    """Those of some jobs, in their order."""
    found = kept(session, job_ids)
    return [found[job_id] for job_id in job_ids]


def kept(session: Session, job_ids: Collection[int]) -> dict[int, Dossier]:
    """Those of some jobs by their numbers; a job that is not kept any more is not among them."""
    return {row.id: _read(row) for row in session.execute(_OF_NUMBERS, {"ids": list(job_ids)})}


def _read(row: Row[Any]) -> Dossier:
    told = row._asdict()
    return Dossier(
        **told
        | {
            "status": Status(row.status),
            "outcome": None if row.outcome is None else Outcome(row.outcome),
            "at": {Status(word): datetime.fromisoformat(at) for word, at in (row.at or {}).items()},
            "outputs": [_file(*one) for one in row.outputs or ()],
            "log": row.log or "",
        }
    )


def _file(name: str, access_key: str, content_type: str, size_bytes: int, created_at: str) -> StoredFile:
    return StoredFile(name, access_key, content_type, size_bytes, datetime.fromisoformat(created_at))
