"""What is looked after each minute: what projects need not keep any longer, and the bytes of deleted files.

A little at a time: each batch is a short unit of work, each call ends after two seconds, and the rest
waits a minute.  Safe to kill at any point and to run again: see `models.retention`.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from secrets import SystemRandom

from models import deliveries, files, keys, retention
from models.project import Project
from models.retention import EndedJob
from models.session import Database
from models.worker import TIDY_LOCK
from storage import Storage, StorageError

TIDY_FOR_S = 2.0
"""The control queue has other work each second; this is enough for millions of jobs a day."""

JOBS_AT_ONCE = 500
"""Five thousand events: some tens of milliseconds."""

FILES_AT_ONCE = 100
"""Some tens of milliseconds on a disk, a few seconds at a storage far away."""

DELIVERIES_AT_ONCE = 5_000
"""Of what was settled long ago; of a call, so seven millions a day: a tenth of a second."""

ALONE_FOR_S = 60.0
"""A storage that is slow makes a call last longer than `TIDY_FOR_S`; who takes so long is frozen."""

Duty = Callable[[], int]
"""Does a little, and says of how many jobs; none when there is nothing left."""

logger = logging.getLogger("darkroom.housekeeping")


def tidy(database: Database, storage: Storage, tidy_for_s: float = TIDY_FOR_S) -> int:
    """Delete for a while; of how many jobs something was deleted.

    One at a time: two would wait for each other's rows, and delete each file twice.
    """
    with database.alone(TIDY_LOCK, at_most_s=ALONE_FOR_S) as is_ours:
        if not is_ours:
            return 0
        _forget_the_idle(database)
        return _take_turns(_duties(database, storage), time.monotonic() + tidy_for_s)


def _forget_the_idle(database: Database) -> None:
    with database.transaction() as session:
        lanes = retention.delete_idle_lanes(session)
    with database.transaction() as session:
        workers = retention.delete_old_workers(session)
    with database.transaction() as session:
        told = deliveries.delete_settled(session, DELIVERIES_AT_ONCE)
    if lanes or workers or told:
        logger.info(
            "Forgot lanes, workers and deliveries.",
            extra={"event": "idle_forgotten", "lanes": lanes, "workers": workers, "deliveries": told},
        )


def _take_turns(duties: Sequence[Duty], leave_at: float) -> int:
    """Round after round, so that one project's million jobs hold up nobody's; which is first is chance."""
    done = 0
    left = SystemRandom().sample(duties, len(duties))
    while left:
        for duty in list(left):
            of_jobs = _done(duty)
            done += of_jobs
            if not of_jobs:
                left.remove(duty)
            if time.monotonic() > leave_at:
                return done
    return done


def _done(duty: Duty) -> int:
    try:
        return duty()
    except StorageError as exc:
        # Its marks stay where they are, and the next call tries again.
        logger.warning("Could not delete a file.", extra={"event": "tidy_failed", "error": str(exc)})
        return 0


def _duties(database: Database, storage: Storage) -> list[Duty]:
    with database.transaction() as session:
        projects = retention.projects_that_forget(session)
        is_any_due = files.is_any_due(session)
    erasing = [partial(erase, database, storage)] if is_any_due else []
    return [*erasing, *(duty for project in projects for duty in _duties_of(database, storage, project))]


def _duties_of(database: Database, storage: Storage, project: Project) -> Iterator[Duty]:
    if project.keep_jobs_days is not None:
        yield partial(delete_jobs, database, storage, project.id, project.keep_jobs_days)
    if project.keep_outputs_days is not None:
        yield partial(delete_outputs, database, storage, project.id, project.keep_outputs_days)
    if project.keep_events_days is not None:
        yield partial(delete_events, database, project.id, project.keep_events_days)


def erase(database: Database, storage: Storage) -> int:
    """The bytes of some files that are deleted, or that nobody recorded; of how many."""
    with database.transaction() as session:
        due = files.due_erasures(session, FILES_AT_ONCE)
    for promise in due:
        storage.delete_below(promise.folder)
    with database.transaction() as session:
        files.erased(session, [promise.id for promise in due])
    return len(due)


def delete_jobs(database: Database, storage: Storage, project_id: int, days: int) -> int:
    """Some of the project's longest ended jobs, and what it deleted in their time; how many of both."""
    with database.transaction() as session:
        jobs = retention.ended_jobs(session, project_id, days, after=None, limit=JOBS_AT_ONCE)
    _delete_files(database, storage, jobs)
    with database.transaction() as session:
        gone = retention.delete_jobs(session, [job.id for job in jobs])
    with database.transaction() as session:
        forgotten = retention.delete_file_rows(session, project_id, days, JOBS_AT_ONCE)
    return _told("jobs", project_id, gone) + _told("files", project_id, forgotten)


def delete_outputs(database: Database, storage: Storage, project_id: int, days: int) -> int:
    """The files of the next of the project's ended jobs; of how many jobs."""
    with database.transaction() as session:
        done_to = session.get_one(Project, project_id).outputs_deleted_to
        jobs = retention.ended_jobs(session, project_id, days, after=done_to, limit=JOBS_AT_ONCE)
    if jobs:
        _delete_files(database, storage, jobs)
        with database.transaction() as session:
            retention.outputs_are_deleted(session, project_id, jobs[-1].finished_at)
    return _told("outputs", project_id, len(jobs))


def delete_events(database: Database, project_id: int, days: int) -> int:
    """The trails of the next of the project's ended jobs; of how many jobs."""
    with database.transaction() as session:
        done_to = session.get_one(Project, project_id).events_deleted_to
        jobs = retention.ended_jobs(session, project_id, days, after=done_to, limit=JOBS_AT_ONCE)
        if jobs:
            retention.delete_events(session, project_id, jobs)
    return _told("events", project_id, len(jobs))


def _delete_files(database: Database, storage: Storage, jobs: Sequence[EndedJob]) -> None:
    """Every file of these jobs, also those that a killed worker stored and never recorded.

    Not what callers sent along, which other jobs may use: it is promised to go when the jobs' rows do.
    """
    with database.transaction() as session:
        stored = retention.mark_outputs_deleted(session, [job.id for job in jobs])
    for key in stored:
        storage.delete(key)
    for job in jobs:
        storage.delete_below(keys.outputs_folder(job.uuid))
        storage.delete_below(keys.fetched_folder(job.uuid))


def _told(what: str, project_id: int, of_jobs: int) -> int:
    if of_jobs:
        extra = {"event": "tidied", "what": what, "project_id": project_id, "of_jobs": of_jobs}
        logger.info("Deleted what need not be kept.", extra=extra)
    return of_jobs
