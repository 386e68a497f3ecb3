"""What a project need not keep any longer: its ended jobs, their events, their pictures.

What is done with files is done in between, by whoever calls.  An output says first that its file is deleted,
then the file goes, and last comes the mark of how far its project is done, or the row goes: whoever is
killed in between leaves no address that leads to nothing, and what it left is found and done again.

Living and held jobs are never touched.  What was spent stays spent: only changes of attempts are settled.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Delete, delete, func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from models import files
from models.attempt import Attempt
from models.event import JobEvent
from models.file import Erasure, File, JobFile
from models.job import Job
from models.lane import Lane
from models.output import Output
from models.project import Project
from models.worker import Worker

LANE_IDLE = timedelta(days=1)
"""A lane that was not served for so long begins anew anyway: idleness earns it nothing."""

WORKER_ENDED = timedelta(days=7)
"""So long the row of a worker is kept after its end, and as long as there is a job of its time."""


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job whose time to be kept is over."""

    id: int
    uuid: UUID
    finished_at: datetime


def projects_that_forget(session: Session) -> Sequence[Project]:
    """Those that keep something for a time only."""
    some = (Project.keep_jobs_days, Project.keep_events_days, Project.keep_outputs_days)
    query = select(Project).where(or_(*(days.is_not(None) for days in some))).order_by(Project.id)
    return session.scalars(query).all()


def ended_jobs(
    session: Session, project_id: int, days: int, *, after: datetime | None, limit: int
) -> list[EndedJob]:
    """Jobs of a project that ended more than `days` ago and later than `after`, longest ago first.

    More than `limit` only where several ended in one moment.  Nothing can be late for it: a job's end
    is committed seconds after the moment that it bears, and a day is the least.
    """
    query = (
        select(Job.id, Job.uuid, Job.finished_at)
        .where(
            Job.project_id == project_id,
            Job.outcome.is_not(None),
            Job.finished_at < func.now() - timedelta(days=days),
        )
        .order_by(Job.finished_at)
        .fetch(limit, with_ties=True)
    )
    if after is not None:
        query = query.where(Job.finished_at > after)
    rows = session.execute(query)
    return [EndedJob(row.id, row.uuid, row.finished_at) for row in rows]


# --- pictures ----------------------------------------------------------------------------------------


def mark_outputs_deleted(session: Session, job_ids: Collection[int]) -> Sequence[str]:
    """Where the files of these jobs are; from the commit on nobody is told that they can be read."""
    session.execute(
        update(Output)
        .where(Output.job_id.in_(job_ids), Output.deleted_at.is_(None))
        .values(deleted_at=func.now())
    )
    # Also those that were marked by somebody who was killed before the files were gone.
    return session.scalars(select(Output.storage_key).where(Output.job_id.in_(job_ids))).all()


def outputs_are_deleted(session: Session, project_id: int, to: datetime) -> None:
    """The files of all jobs of the project that ended until then are gone."""
    session.execute(update(Project).where(Project.id == project_id).values(outputs_deleted_to=to))


# --- events ------------------------------------------------------------------------------------------


def delete_events(session: Session, project_id: int, jobs: Sequence[EndedJob]) -> None:
    """The trails of these jobs go, the jobs stay; they are the next of their project by their end."""
    with_door_open(session, delete(JobEvent).where(JobEvent.job_id.in_([job.id for job in jobs])))
    session.execute(
        update(Project).where(Project.id == project_id).values(events_deleted_to=jobs[-1].finished_at)
    )


def with_door_open(session: Session, statement: Delete) -> None:
    """Delete from the ledger, which refuses it to everybody else."""
    door = text("SELECT set_config('darkroom.housekeeping', :is_open, true)")  # for this transaction
    session.execute(door, {"is_open": "on"})
    session.execute(statement)
    session.execute(door, {"is_open": "off"})


# --- jobs --------------------------------------------------------------------------------------------


def delete_jobs(session: Session, job_ids: Collection[int]) -> int:
    """How many of these jobs are gone with all that hung on them; one that tries such a job again stays.

    Pictures that came along with them, and with no other job, are promised to go.
    """
    # Nobody is waited for: who has locked a row is asking about that job, and it goes next time.
    unlocked = select(Job.id).where(Job.id.in_(job_ids), Job.outcome.is_not(None))
    ids = session.scalars(unlocked.with_for_update(skip_locked=True)).all()
    with_door_open(session, delete(JobEvent).where(JobEvent.job_id.in_(ids)))
    files.let_go(session, ids)
    for record in (Output, Attempt):
        session.execute(delete(record).where(record.job_id.in_(ids)))
    session.execute(delete(Job).where(Job.id.in_(ids)))
    return len(ids)


def delete_file_rows(session: Session, project_id: int, days: int, limit: int) -> int:
    """How many files are forgotten of those that the project deleted more than `days` ago."""
    inner = aliased(File)
    is_in_the_way = or_(
        select(JobFile.job_id).where(JobFile.file_id == File.id).exists(),
        select(Erasure.id).where(Erasure.file_id == File.id).exists(),
        select(inner.id).where(inner.parent_id == File.id).exists(),  # its turn comes first
    )
    old = (
        select(File.id)
        .where(
            File.project_id == project_id,
            File.deleted_at < func.now() - timedelta(days=days),
            ~is_in_the_way,
        )
        .order_by(File.deleted_at)
        .limit(limit)
        .with_for_update(of=File, skip_locked=True)
    )
    ids = session.scalars(old).all()
    session.execute(delete(File).where(File.id.in_(ids)))
    return len(ids)


# --- what nobody asks about any more -------------------------------------------------------------------


def delete_idle_lanes(session: Session) -> int:
    """How many lanes had not been served for a day."""
    # Skipping what is locked: the dispatcher locks several, in an order of its own.
    idle = (
        select(Lane.key)
        .where(Lane.served_at < func.now() - LANE_IDLE)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return len(session.scalars(delete(Lane).where(Lane.key.in_(idle)).returning(Lane.key)).all())


def delete_old_workers(session: Session) -> int:
    """How many workers had ended a week ago, in whose time no job has ended that is still kept."""
    in_its_time = (
        select(Job.id)
        .where(
            # Project by project, so that the index of the finished serves.
            Job.project_id == Project.id,
            Job.outcome.is_not(None),
            Job.finished_at.between(Worker.started_at, Worker.ended_at + timedelta(days=1)),
        )
        .correlate(Project, Worker)
        .exists()
    )
    of_no_project = ~select(Project.id).where(in_its_time).correlate(Worker).exists()
    is_old = Worker.ended_at < func.now() - WORKER_ENDED
    return len(session.scalars(delete(Worker).where(is_old, of_no_project).returning(Worker.id)).all())
