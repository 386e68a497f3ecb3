"""The producer: jobs begin."""

import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, literal, null, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from models import kinds
from models.event import JobEvent
from models.job import Job
from models.lifecycle import (
    OnUnknown,
    Route,
    Status,
)

TOKEN_LENGTH = 30  # as Wiro's socketaccesstoken and accesskey


def new_token() -> str:
    """An unguessable name: 30 letters and digits, 178 bits."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(TOKEN_LENGTH))


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a producer asks for.

    Attributes:
        parameters: validated.
        wanted_providers: no others, best first; one pins the job to it.  None for any.
        route: by what the offers are ranked; where providers are wanted, `ORDER` is theirs.
        on_unknown: what to do when the answer to a paid request is lost and nobody can be asked.
        excluded: the providers that cannot express this job, each with a sentence why.
        start_within: it expires unless an attempt was begun by then.
        deadline: it expires unless it has ended by then.
        retry: its own retry policy, over its model's.
    """

    project_id: int
    model_slug: str
    parameters: Mapping[str, Any]
    priority: int = 0
    wanted_providers: tuple[str, ...] | None = None
    route: Route = Route.ORDER
    on_unknown: OnUnknown = OnUnknown.HOLD
    excluded: Mapping[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    campaign_id: int | None = None
    custom_id: str | None = None
    start_within: timedelta | None = None
    deadline: timedelta | None = None
    retry: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """A committed job's names; `is_new` is False for a campaign row that was there already."""

    id: int
    uuid: UUID
    socket_token: str
    is_new: bool


def enqueue(session: Session, jobs: Sequence[NewJob]) -> list[EnqueuedJob]:
    """The names of `jobs`, in order; a row with the (campaign, custom_id) of an earlier one is that job."""
    if not jobs:
        return []
    rows = [
        {
            "project_id": job.project_id,
            "campaign_id": job.campaign_id,
            "custom_id": job.custom_id,
            "model_slug": job.model_slug,
            "parameters": dict(job.parameters),
            "priority": job.priority,
            "wanted_providers": None if job.wanted_providers is None else list(job.wanted_providers),
            "route": job.route,
            "on_unknown": job.on_unknown,
            "excluded": dict(job.excluded),
            "callback_url": job.callback_url,
            "socket_token": new_token(),
            "kind": kinds.word_of(job.model_slug, job.wanted_providers, job.excluded),
            "start_by_at": _after(job.start_within),
            "deadline_at": _after(job.deadline),
            "retry": None if job.retry is None else dict(job.retry),
        }
        for job in jobs
    ]
    added = session.execute(
        upsert(Job)
        .values(rows)
        .on_conflict_do_nothing(
            index_elements=["campaign_id", "custom_id"],
            index_where=Job.campaign_id.is_not(None) & Job.retry_of.is_(None),
        )
        .returning(Job.id, Job.uuid, Job.socket_token)
    ).all()
    if added:
        session.execute(
            insert(JobEvent).from_select(
                ["job_id", "seq", "status", "claim"],
                select(Job.id, literal(1), literal(Status.QUEUE.value), literal(0)).where(
                    Job.id.in_([row.id for row in added])
                ),
            )
        )
    new = {row.socket_token: EnqueuedJob(row.id, row.uuid, row.socket_token, is_new=True) for row in added}
    old = _already_there(session, jobs) if len(added) < len(jobs) else {}
    return [
        new.get(row["socket_token"]) or old[job.campaign_id, job.custom_id]
        for row, job in zip(rows, jobs, strict=True)
    ]


def _after(span: timedelta | None) -> ColumnElement[Any]:
    """That long from now, by the clock of Postgres, as `created_at`; NULL for no span."""
    return null() if span is None else func.now() + span


def _already_there(
    session: Session, jobs: Sequence[NewJob]
) -> dict[tuple[int | None, str | None], EnqueuedJob]:
    """The jobs with these names, by name."""
    names = [(job.campaign_id, job.custom_id) for job in jobs if job.campaign_id is not None]
    found = session.execute(
        select(Job.campaign_id, Job.custom_id, Job.id, Job.uuid, Job.socket_token).where(
            tuple_(Job.campaign_id, Job.custom_id).in_(names),
            Job.retry_of.is_(None),  # a retry has the name of the row that it tries again
        )
    )
    return {
        (row.campaign_id, row.custom_id): EnqueuedJob(row.id, row.uuid, row.socket_token, is_new=False)
        for row in found
    }
