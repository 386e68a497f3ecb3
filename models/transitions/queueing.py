"""The producer: jobs begin."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, TextClause, any_, literal, select, text
from sqlalchemy.orm import Session

from models import files, kinds
from models.job import Job
from models.lifecycle import (
    OnUnknown,
    Route,
)
from models.names import new_tokens, new_uuids

JOBS_AT_ONCE = 5_000
"""Jobs of one statement: its parameter is one document, of which Postgres takes 255 MB."""


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
        webhook_url: told in Standard Webhooks' words, signed with the project's secret.
        webhook_events: which of them; None for all.
        tags: the caller's words for it; None for none.
        idempotency_key: the caller's name for the request, for a job of no campaign: the project has one job
            of each.
        request_sha256: hex, of that request; goes with the key.
        file_ids: the files that it uses: while it does, they stay.
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
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    idempotency_key: str | None = None
    request_sha256: str | None = None
    file_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """A committed job's names; `is_new` is False for what was there already: a row, or a request."""

    id: int
    uuid: UUID
    socket_token: str
    is_new: bool


def enqueue(session: Session, jobs: Sequence[NewJob]) -> list[EnqueuedJob]:
    """The names of `jobs`, in order; a row with the (campaign, custom_id) of an earlier one is that job.

    Raises:
        FileGone: a file that one of them uses was deleted meanwhile.
    """
    uuids, tokens = new_uuids(len(jobs)), new_tokens(len(jobs))
    ids: dict[str, int] = {}
    for first in range(0, len(jobs), JOBS_AT_ONCE):
        few = slice(first, first + JOBS_AT_ONCE)
        ids |= _add(session, jobs[few], uuids[few], tokens[few])
    _use_files(session, jobs, tokens, ids)
    missing = [job for job, token in zip(jobs, tokens, strict=True) if token not in ids]
    there = _already_there(session, missing)
    return [
        EnqueuedJob(ids[token], uuid, token, is_new=True)
        if token in ids
        else there[job.campaign_id, job.custom_id]
        for job, uuid, token in zip(jobs, uuids, tokens, strict=True)
    ]


def enqueue_once(session: Session, job: NewJob) -> EnqueuedJob:
    """The names of a job with an `idempotency_key`; asked for under it before, it is the job of then.

    Of several who ask at once one makes the job, and the others wait for it.

    Raises:
        FileGone: a file that it uses was deleted meanwhile.
    """
    [uuid], [token] = new_uuids(1), new_tokens(1)
    added = _add(session, [job], [uuid], [token], _ADD_ONCE)
    _use_files(session, [job], [token], added)
    if token in added:
        return EnqueuedJob(added[token], uuid, token, is_new=True)
    # A statement of its own sees what was committed while the one before waited.
    row = session.execute(
        select(Job.id, Job.uuid, Job.socket_token).where(
            Job.project_id == job.project_id, Job.idempotency_key == job.idempotency_key
        )
    ).one()
    return EnqueuedJob(row.id, row.uuid, row.socket_token, is_new=False)


def _use_files(
    session: Session, jobs: Sequence[NewJob], tokens: Sequence[str], ids: Mapping[str, int]
) -> None:
    """Of those that were not there yet."""
    named = zip(jobs, tokens, strict=True)
    files.use(session, {ids[token]: job.file_ids for job, token in named if job.file_ids and token in ids})


_TERMS = (
    "project_id",
    "campaign_id",
    "model_slug",
    "priority",
    "wanted_providers",
    "route",
    "on_unknown",
    "excluded",
    "callback_url",
    "webhook_url",
    "webhook_events",
    "start_within",
    "deadline",
    "retry",
    "tags",
    "idempotency_key",
    "request_sha256",
)
"""What neighbours mostly have in common: it is sent once for a run of equals."""

_terms_of = attrgetter(*_TERMS)

# The jobs and their first events, by one statement with one parameter: the document is read in C, and its
# order is that of the numbers, since a nested loop is all that can be made of it.
_INSERT = """
    WITH added AS (
        INSERT INTO jobs (
            uuid, socket_token, custom_id, parameters, kind, project_id, campaign_id, model_slug, priority,
            wanted_providers, route, on_unknown, excluded, callback_url, retry, start_by_at, deadline_at,
            webhook_url, webhook_events, tags, idempotency_key, request_sha256
        )
        SELECT
            (job->>0)::uuid, job->>1, job->>2, job->3, kind, project_id, campaign_id, model_slug, priority,
            wanted_providers, route, on_unknown, excluded, callback_url, retry, now() + start_within,
            now() + deadline, webhook_url, webhook_events, tags, idempotency_key, request_sha256
        FROM jsonb_to_recordset(CAST(:runs AS jsonb)) AS run (
            jobs jsonb, kind text, project_id bigint, campaign_id bigint, model_slug text, priority smallint,
            wanted_providers text[], route text, on_unknown text, excluded jsonb, callback_url text,
            webhook_url text, webhook_events text[], retry jsonb, start_within interval, deadline interval,
            tags text[], idempotency_key text, request_sha256 text
        ), jsonb_array_elements(run.jobs) AS job
        ON CONFLICT {names} DO NOTHING
        RETURNING id, socket_token, status, claim
    ), told AS (
        INSERT INTO job_events (job_id, seq, status, claim) SELECT id, 1, status, claim FROM added
    )
    SELECT socket_token, id FROM added
"""
# Two statements: one that names no index would look into every unique one before each row of a million.
_ADD = text(
    _INSERT.format(names="(campaign_id, custom_id, coalesce(retry_of, 0)) WHERE campaign_id IS NOT NULL")
)
_ADD_ONCE = text(_INSERT.format(names="(project_id, idempotency_key) WHERE idempotency_key IS NOT NULL"))


def _add(
    session: Session,
    jobs: Sequence[NewJob],
    uuids: Sequence[UUID],
    tokens: Sequence[str],
    statement: TextClause = _ADD,
) -> dict[str, int]:
    """The numbers of those that were not there yet, by their tokens."""
    named = zip(jobs, uuids, tokens, strict=True)
    runs = [_run(list(run)) for _, run in groupby(named, key=lambda one: _terms_of(one[0]))]
    added = session.execute(statement, {"runs": json.dumps(runs, default=_plain)})
    return {row.socket_token: row.id for row in added}


def _run(named: Sequence[tuple[NewJob, UUID, str]]) -> dict[str, Any]:
    """Jobs of equal terms, as the statement reads them."""
    first = named[0][0]
    return {
        **dict(zip(_TERMS, _terms_of(first), strict=True)),
        "kind": kinds.word_of(first.model_slug, first.wanted_providers, first.excluded),
        "jobs": [(uuid.hex, token, job.custom_id, job.parameters) for job, uuid, token in named],
    }


def _plain(value: object) -> object:
    match value:
        case timedelta():
            return f"{value // timedelta(microseconds=1)} us"
        case Mapping():
            return dict(value)
        case _:
            raise TypeError(f"{type(value).__name__} cannot be stored with a job")


def _already_there(
    session: Session, jobs: Iterable[NewJob]
) -> dict[tuple[int | None, str | None], EnqueuedJob]:
    """The jobs with these names, by name."""
    names = defaultdict(list)
    for job in jobs:
        names[job.campaign_id].append(job.custom_id)
    return {
        (campaign_id, row.custom_id): EnqueuedJob(row.id, row.uuid, row.socket_token, is_new=False)
        for campaign_id, custom_ids in names.items()
        for row in session.execute(
            select(Job.custom_id, Job.id, Job.uuid, Job.socket_token).where(
                Job.campaign_id == campaign_id,
                # One parameter, however many they are.
                Job.custom_id == any_(literal(custom_ids, ARRAY(Text))),
                Job.retry_of.is_(None),  # one that tries a row again bears its name, and is not that row
            )
        )
    }
