"""Which jobs were tried again, as a whole and by hand, and which may be.

A retry is a job of its own, linked to the one before it (`retry_of`): a chain, of
which the newest decides how the request has ended.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from models import queries
from models.attempt import Attempt
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import UNSUCCESSFUL, Billed, Outcome, Status
from models.queries import JobFilter

_Newer = aliased(Job, name="newer")


@dataclass(frozen=True, slots=True)
class Old:
    """A job that somebody wants to be tried again.

    Attributes:
        may_have_cost: an attempt of it was billed, or nobody knows.
        is_stopping: all jobs of its campaign are to end, and a new one would.
        retried_as: the job that already tries it again; None if there is none.
    """

    id: int
    status: Status
    outcome: Outcome | None
    held_at: datetime | None
    model_slug: str
    parameters: dict[str, Any]
    wanted_providers: list[str] | None
    may_have_cost: bool
    is_stopping: bool
    retried_as: int | None


def named(session: Session, project_id: int, job_ids: Collection[int]) -> list[Old]:
    """Those of these jobs that are the project's."""
    return _olds(session, _old().where(Job.project_id == project_id, Job.id.in_(job_ids)))


def left(session: Session, project_id: int, wanted: JobFilter, limit: int) -> list[Old]:
    """A project's jobs that ended without success and were not tried again, newest first, at most `limit`."""
    query = _old().where(_are_left(project_id, wanted), _Newer.id.is_(None))
    return _olds(session, query.order_by(Job.id.desc()).limit(limit))


@dataclass(frozen=True, slots=True)
class Left:
    """How many jobs ended without success and were not tried again; `may_have_cost` of them, money."""

    jobs: int
    may_have_cost: int


def count_left(session: Session, project_id: int, wanted: JobFilter) -> Left:
    """How many of a project's jobs `left` has."""
    row = session.execute(
        select(func.count(), func.count().filter(_may_have_cost())).where(
            _are_left(project_id, wanted), ~queries.was_retried()
        )
    ).one()
    return Left(*row)


def _old() -> Select[Any]:
    return (
        select(
            Job.id,
            Job.status,
            Job.outcome,
            Job.held_at,
            Job.model_slug,
            Job.parameters,
            Job.wanted_providers,
            _may_have_cost(),
            Campaign.stop_as.is_not(None),
            _Newer.id,
        )
        .outerjoin(Campaign, Campaign.id == Job.campaign_id)
        .outerjoin(_Newer, _Newer.retry_of == Job.id)
    )


def _olds(session: Session, query: Select[Any]) -> list[Old]:
    return [Old(*row) for row in session.execute(query)]


def _are_left(project_id: int, wanted: JobFilter) -> ColumnElement[bool]:
    return queries.meant(project_id, wanted) & Job.outcome.in_(UNSUCCESSFUL)


def _may_have_cost() -> ColumnElement[bool]:
    """SQL: money may have gone into a job's row; an attempt of which nothing was noted may have cost some."""
    return (
        select(Attempt.id)
        .where(Attempt.job_id == Job.id, Attempt.billed.is_distinct_from(Billed.NO))
        .correlate(Job)
        .exists()
    )
