"""Stopping many jobs, however many: what waits is ended batch by batch, what is begun is asked to stop.

Each batch is a unit of work of its own: whoever comes in between finds jobs that
have ended, or not yet.
"""

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func, not_, select, true
from sqlalchemy.orm import Session

from api.dependencies import Services
from api.stopping import LOOK_EVERY_S
from models import allowances, attempts, places, transitions
from models.job import Job
from models.lifecycle import Status, StopOutcome
from models.transitions.stopping import UNASKED

WORK_S = 10.0
"""A request goes on so long, then answers how far it came: 300,000 jobs that wait."""

NOT_WITH_A_WORKER: ColumnElement[bool] = Job.status == Status.QUEUE
"""SQL: of the begun jobs, what a cancel stops: no worker holds it, though a provider may have it."""

ALL_BEGUN: ColumnElement[bool] = true()
"""SQL: what a kill stops."""

IN_HANDS_OR_BEGUN: ColumnElement[bool] = not_(places.PUBLISHED) | attempts.are_open()
"""SQL: what nobody has taken from the queue is ended, not asked."""

logger = logging.getLogger("darkroom.api")


@dataclass(slots=True)
class Progress:
    """How far a wish to stop many has come.

    Attributes:
        ended: jobs that were ended here, by what became of them.
        doubtful: those of them that may have cost something.
        asked: jobs that were asked to stop; once it is complete, also those that were earlier.
        is_complete: nobody who was meant is left.
    """

    ended: Counter[StopOutcome] = field(default_factory=Counter)
    doubtful: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    is_complete: bool = False


@contextmanager
def halted(services: Services, project_id: int) -> Iterator[None]:
    """Meanwhile nothing new of the project is sent: what is just being stopped must not be begun."""
    with services.database.transaction() as session:
        until = allowances.halt_project(session, project_id, timedelta(seconds=WORK_S))
    try:
        yield
    finally:
        with services.database.transaction() as session:
            allowances.go_on(session, project_id, until)
        services.bell.ring()


def stop(services: Services, jobs: ColumnElement[bool], begun: ColumnElement[bool]) -> Progress:
    """End what waits of these jobs, and ask those to stop that are `begun` so; for as long as `WORK_S`.

    Those that are begun come first: each second of theirs may cost something, and there
    are never many.  Safe to call again: it goes on where it was.
    """
    progress = Progress()
    deadline = time.monotonic() + WORK_S
    while not progress.is_complete and time.monotonic() < deadline:
        has_asked = _ask_some(services, jobs & begun & IN_HANDS_OR_BEGUN, progress)
        if _end_some(services, jobs, progress) or has_asked:
            continue
        with services.database.transaction() as session:
            progress.is_complete = not _is_anybody_left(session, jobs, begun)
        if not progress.is_complete:  # somebody is moving the rest just now
            time.sleep(LOOK_EVERY_S)
    if progress.is_complete:
        progress.asked = _all_asked(services, jobs, progress.asked)
    logger.info(
        "Stopped jobs.",
        extra={
            "event": "jobs_stopped",
            "ended": progress.ended.total(),
            "asked": len(progress.asked),
            "is_complete": progress.is_complete,
        },
    )
    return progress


def _end_some(services: Services, jobs: ColumnElement[bool], progress: Progress) -> bool:
    with services.database.transaction() as session:
        ended = transitions.cancel_waiting(session, jobs)
    progress.ended.update(row.stopped_how for row in ended)
    progress.doubtful += [row.id for row in ended if row.stopped_how is not StopOutcome.NEVER_STARTED]
    _revoke(services, ended, terminate=False)
    return bool(ended)


def _ask_some(services: Services, jobs: ColumnElement[bool], progress: Progress) -> bool:
    with services.database.transaction() as session:
        asked = transitions.request_kills(session, jobs)
    progress.asked += [row.id for row in asked]
    _revoke(services, asked, terminate=True)
    return bool(asked)


def _all_asked(services: Services, jobs: ColumnElement[bool], asked: Sequence[int]) -> list[int]:
    """Also those that were asked by an earlier wish and have not ended."""
    with services.database.transaction() as session:
        stopping = session.scalars(select(Job.id).where(places.STOPPING, jobs)).all()
    return list(dict.fromkeys([*asked, *stopping]))


def _revoke(services: Services, jobs: Sequence[Row[Any]], *, terminate: bool) -> None:
    """Of what was never published nobody has heard."""
    if published := [job.uuid for job in jobs if job.was_published]:
        services.bell.revoke(published, terminate=terminate)


def _is_anybody_left(session: Session, jobs: ColumnElement[bool], begun: ColumnElement[bool]) -> bool:
    waits = jobs & NOT_WITH_A_WORKER & ~attempts.are_open()
    unasked = jobs & begun & UNASKED  # also one whose worker is still preparing it: it is about to buy
    return places.is_anybody(session, places.NEVER_BEGUN, waits) or places.is_anybody(
        session, [places.IN_FLIGHT], unasked
    )


def wait(services: Services, job_ids: Collection[int], wait_s: float) -> None:
    """Until the jobs have ended, or for as long as that; where too many wait already, not at all."""
    if not job_ids or not services.waiters.acquire(blocking=False):
        return
    try:
        deadline = time.monotonic() + wait_s
        while _are_alive(services, job_ids) and time.monotonic() + LOOK_EVERY_S < deadline:
            time.sleep(LOOK_EVERY_S)
    finally:
        services.waiters.release()


def _are_alive(services: Services, job_ids: Collection[int]) -> bool:
    with services.database.transaction() as session:
        return bool(
            session.scalar(select(select(Job.id).where(Job.id.in_(job_ids), Job.outcome.is_(None)).exists()))
        )


def going_on(session: Session, jobs: ColumnElement[bool]) -> int:
    """How many of these jobs run, and nobody has asked them to stop."""
    runs = Job.status != Status.QUEUE
    return session.execute(
        select(func.count()).where(places.IN_FLIGHT, jobs, runs, Job.kill_requested_at.is_(None))
    ).scalar_one()
