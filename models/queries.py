"""Every SELECT that more than one room needs."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Result,
    Row,
    Select,
    Text,
    and_,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    table,
    text,
    true,
    tuple_,
)
from sqlalchemy.orm import Session, aliased

from models import places
from models.attempt import Attempt
from models.attempts import may_have_cost
from models.breaker import Breaker
from models.campaign import Campaign
from models.errors import NotFound
from models.event import JobEvent
from models.job import Job
from models.lifecycle import OPEN_ATTEMPTS, AttemptState, OfferKey, Outcome, Status
from models.output import Output
from models.project import Project
from models.worker import LOCK_NAMESPACE, Worker

LOCKLESS_AFTER = timedelta(seconds=1.5)
"""A worker without its lock is dead once it has also been silent this long: time to take the lock again.

Longer than a worker trusts what it last saw of a claim (`workers.fencing.FRESH_S`): it has stopped
buying before anybody takes its jobs.
"""

SILENT_AFTER = timedelta(seconds=15)
"""A worker that holds its lock but has not renewed its row for this long is frozen or cut off."""

RESTART_GRACE = timedelta(seconds=4)
"""After Postgres has started or recovered every lock is gone; workers get this long to take theirs again."""

BIGINT_DIGITS = 18
"""Numbers of so many digits always fit PostgreSQL's bigint; a longer one is no number of ours."""

LATELY = timedelta(hours=1)
"""How far back an offer's latency is measured; providers have good and bad hours."""

LATENCY_SAMPLE = 1000
"""Finished attempts looked at, of all offers together: enough for medians, and read in milliseconds."""

UNCOUNTED_CODES = ("rate_limited", "unavailable", "account_error", "bad_credentials", "insufficient_balance")
"""Errors that use up no attempt: told to wait, nobody there, or our account is not in order."""

KILL_OVERDUE_AFTER = timedelta(seconds=2)
"""A worker learns of a kill within a second; when the job has not stopped by now, it is told again."""


# --- projects ------------------------------------------------------------------------------------


def project_by_key(session: Session, api_key: str) -> Project | None:
    """The project that carries this API key."""
    return session.scalars(select(Project).where(Project.api_key == api_key)).one_or_none()


def project(session: Session, project_id: int) -> Project:
    """The project of this number."""
    return session.scalars(select(Project).where(Project.id == project_id)).one()


def projects(session: Session) -> Sequence[Project]:
    """All projects, oldest first."""
    return session.scalars(select(Project).order_by(Project.id)).all()


# --- jobs ------------------------------------------------------------------------------------------


def job(session: Session, job_id: int) -> Job:
    """One job by its number.

    Raises:
        NotFound: there is none.
    """
    found = session.get(Job, job_id)
    if found is None:
        raise NotFound(f"no job {job_id}")
    return found


def find_job(session: Session, project_id: int, name: str) -> Job | None:
    """A project's job by any of its names: number, UUID, or socket token."""
    return session.scalars(select(Job).where(Job.project_id == project_id, _is_named(name))).one_or_none()


def jobs_of_tokens(session: Session, socket_tokens: Collection[str]) -> dict[str, int]:
    """The jobs of any project that have these tokens, which nobody can guess."""
    rows = session.execute(select(Job.socket_token, Job.id).where(Job.socket_token.in_(socket_tokens)))
    return {row.socket_token: row.id for row in rows}


def job_by_key(session: Session, project_id: int, idempotency_key: str) -> Job | None:
    """A project's job by the name of the request that queued it."""
    return session.scalars(
        select(Job).where(Job.project_id == project_id, Job.idempotency_key == idempotency_key)
    ).one_or_none()


def jobs_called(session: Session, project_id: int, names: Collection[str]) -> dict[str, int]:
    """The numbers of a project's jobs by any of their names; those that are nobody's are not among them."""
    keys = {name: key_of(name) for name in names}
    rows = session.execute(
        select(Job.id, Job.uuid, Job.socket_token).where(
            Job.project_id == project_id,
            or_(
                Job.id.in_([key for key in keys.values() if isinstance(key, int)]),
                Job.uuid.in_([key for key in keys.values() if isinstance(key, UUID)]),
                Job.socket_token.in_([key for key in keys.values() if isinstance(key, str)]),
            ),
        )
    )
    found: dict[int | UUID | str, int] = {}
    for row in rows:
        found |= dict.fromkeys((row.id, row.uuid, row.socket_token), row.id)
    return {name: found[key] for name, key in keys.items() if key in found}


def key_of(name: str) -> int | UUID | str:
    """What a name is: a number, a UUID or a socket token."""
    if name.isdecimal() and len(name) <= BIGINT_DIGITS:
        return int(name)
    try:
        return UUID(name)
    except ValueError:
        return name


def _is_named(name: str) -> ColumnElement[bool]:
    if name.isdecimal() and len(name) <= BIGINT_DIGITS:
        return Job.id == int(name)
    try:
        return or_(Job.uuid == UUID(name), Job.socket_token == name)
    except ValueError:
        return Job.socket_token == name


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which of a project's jobs are meant; None means any.

    Attributes:
        before_id: keyset cursor: only jobs with a smaller id.
        provider: with it now, with an open attempt there, or wanting nobody else.
        created_after: then or later.
        created_before: earlier than that.
        tags: bearing all of these.
    """

    statuses: tuple[Status, ...] | None = None
    outcomes: tuple[Outcome, ...] | None = None
    campaign_id: int | None = None
    before_id: int | None = None
    is_held: bool | None = None
    model_slug: str | None = None
    provider: str | None = None
    priority: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    error_codes: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


def list_jobs(session: Session, project_id: int, wanted: JobFilter, limit: int) -> Sequence[Job]:
    """A project's jobs, newest first, at most `limit`."""
    query = select(Job).where(meant(project_id, wanted)).order_by(Job.id.desc()).limit(limit)
    return session.scalars(query).all()


def meant(project_id: int, wanted: JobFilter) -> ColumnElement[bool]:
    """SQL: a job of this project is one of the wanted."""
    conditions = [Job.project_id == project_id]
    if wanted.statuses is not None:
        conditions.append(Job.status.in_(wanted.statuses))
    if wanted.outcomes is not None:
        conditions.append(Job.outcome.in_(wanted.outcomes))
    if wanted.campaign_id is not None:
        conditions.append(Job.campaign_id == wanted.campaign_id)
    if wanted.before_id is not None:
        conditions.append(Job.id < wanted.before_id)
    if wanted.is_held is not None:
        conditions.append(Job.held_at.is_not(None) if wanted.is_held else Job.held_at.is_(None))
    return and_(*conditions, *_terms_of(wanted))


def _terms_of(wanted: JobFilter) -> Iterator[ColumnElement[bool]]:
    """What a filter says of how a job was asked for."""
    if wanted.model_slug is not None:
        yield Job.model_slug == wanted.model_slug
    if wanted.provider is not None:
        yield or_(
            Job.provider == wanted.provider,
            Job.open_provider == wanted.provider,
            Job.wanted_providers == [wanted.provider],
        )
    if wanted.priority is not None:
        yield Job.priority == wanted.priority
    if wanted.created_after is not None:
        yield Job.created_at >= wanted.created_after
    if wanted.created_before is not None:
        yield Job.created_at < wanted.created_before
    if wanted.error_codes is not None:
        yield Job.error_code.in_(wanted.error_codes)
    if wanted.tags is not None:
        yield Job.tags.contains(wanted.tags)


def has_jobs_for(session: Session, project_id: int, model_slug: str) -> bool:
    """Whether a project has asked for this model, spelt so, at any time."""
    found = select(Job.id).where(Job.project_id == project_id, Job.model_slug == model_slug).limit(1)
    return session.scalars(found).first() is not None


def trail(session: Session, job_id: int) -> Sequence[JobEvent]:
    """Every status the job has had, in order."""
    return session.scalars(select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.seq)).all()


def attempts(session: Session, job_id: int) -> Sequence[Attempt]:
    """The job's submissions, in order."""
    return session.scalars(select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.number)).all()


def counted_attempts(session: Session, job_id: int) -> int:
    """Submissions that brought nothing and used up an attempt."""
    return session.execute(
        select(func.count()).where(
            Attempt.job_id == job_id,
            Attempt.state.in_([AttemptState.FAILED, AttemptState.WRITTEN_OFF]),
            func.coalesce(Attempt.error_code, "").not_in(UNCOUNTED_CODES),
        )
    ).scalar_one()


def outputs(session: Session, job_id: int) -> Sequence[Output]:
    """The job's files, in order."""
    return session.scalars(select(Output).where(Output.job_id == job_id).order_by(Output.position)).all()


def output_by_access_key(session: Session, access_key: str) -> Output | None:
    """The file whose unguessable key this is."""
    return session.scalars(select(Output).where(Output.access_key == access_key)).one_or_none()


# --- campaigns -------------------------------------------------------------------------------------


def campaign(session: Session, project_id: int, uuid: UUID) -> Campaign | None:
    """A project's campaign."""
    return session.scalars(
        select(Campaign).where(Campaign.project_id == project_id, Campaign.uuid == uuid)
    ).one_or_none()


def campaign_counts(session: Session, campaign_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """How many rows of each campaign are where: living ones by status, ended ones by outcome.

    A row that was tried again is where its newest job is.  A campaign without jobs is not among them.
    """
    place = _place()
    rows = session.execute(
        select(Campaign.id, place, func.count())
        .join(Job, Job.campaign_id == Campaign.id)
        .where(Campaign.id.in_(campaign_ids), ~was_retried())
        .group_by(Campaign.id, place)
    )
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for campaign_id, where, count in rows:
        counts[campaign_id][where] = count
    return counts


def retried_by_campaign(session: Session, campaign_ids: Collection[int]) -> dict[int, int]:
    """How many jobs of each campaign try another one again; one without such a job is not among them."""
    rows = session.execute(
        select(Job.campaign_id, func.count())
        .where(Job.campaign_id.in_(campaign_ids), Job.retry_of.is_not(None))
        .group_by(Job.campaign_id)
    )
    return {campaign_id: count for campaign_id, count in rows if campaign_id is not None}


def was_retried() -> ColumnElement[bool]:
    """SQL: another job tries a job's row again."""
    newer = aliased(Job)
    return (
        select(newer.id)
        # Both: the second alone would do, but then Postgres does not see that uq_jobs_retry_of serves.
        .where(newer.retry_of.is_not(None), newer.retry_of == Job.id)
        .correlate(Job)
        .exists()
    )


def _place() -> ColumnElement[str]:
    """Outcome or status; as text, because a word of the one is none of the other."""
    return func.coalesce(cast(Job.outcome, Text), cast(Job.status, Text))


def campaigns(session: Session, project_id: int, name: str | None = None) -> Sequence[Campaign]:
    """A project's campaigns, newest first; with a name, the one of that name."""
    query = select(Campaign).where(Campaign.project_id == project_id).order_by(Campaign.id.desc())
    return session.scalars(query if name is None else query.where(Campaign.name == name)).all()


def campaign_by_name(session: Session, project_id: int, name: str) -> Campaign:
    """A project's campaign that is known to be there.

    Raises:
        sqlalchemy.exc.NoResultFound: it is not.
    """
    return session.scalars(
        select(Campaign).where(Campaign.project_id == project_id, Campaign.name == name)
    ).one()


def campaigns_to_stop(session: Session) -> Sequence[Campaign]:
    """Campaigns whose jobs are to stop, of all projects, the longest wished first."""
    return session.scalars(
        select(Campaign).where(Campaign.stop_as.is_not(None)).order_by(Campaign.stopped_at)
    ).all()


def campaign_uuids(session: Session, campaign_ids: Collection[int]) -> dict[int, UUID]:
    """The UUIDs of campaigns, by their numbers."""
    if not campaign_ids:
        return {}
    rows = session.execute(select(Campaign.id, Campaign.uuid).where(Campaign.id.in_(campaign_ids)))
    return {row.id: row.uuid for row in rows}


# --- dispatch --------------------------------------------------------------------------------------


def _is_open_attempt_of_job() -> ColumnElement[bool]:
    """At most one row of a job."""
    return (Attempt.job_id == Job.id) & Attempt.state.in_(OPEN_ATTEMPTS)


def breakers(session: Session) -> Sequence[Breaker]:
    """The breakers of all offers that ever gave trouble."""
    return session.scalars(select(Breaker).order_by(Breaker.provider, Breaker.model_slug)).all()


def latencies(session: Session) -> dict[OfferKey, float]:
    """Seconds from intent to picture, by offer: the median of what was finished lately.

    An offer that has finished nothing lately is not among them.
    """
    lately = (
        select(Attempt.job_id, Attempt.provider, Attempt.intended_at, Attempt.finished_at)
        .where(
            Attempt.state == AttemptState.DONE,
            Attempt.finished_at > func.statement_timestamp() - LATELY,
        )
        .order_by(Attempt.finished_at.desc())
        .limit(LATENCY_SAMPLE)
        .subquery()
    )
    took_s = func.extract("epoch", lately.c.finished_at - lately.c.intended_at)
    rows = session.execute(
        select(lately.c.provider, Job.model_slug, func.percentile_cont(0.5).within_group(took_s))
        .join(Job, Job.id == lately.c.job_id)
        .group_by(lately.c.provider, Job.model_slug)
    )
    return {(provider, slug): float(seconds) for provider, slug, seconds in rows}


def failures_by_offer(session: Session, job_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """How often each job has failed where, for those that have."""
    rows = session.execute(
        select(Attempt.job_id, Attempt.provider, func.count())
        .where(
            Attempt.job_id.in_(job_ids),
            Attempt.state.in_([AttemptState.FAILED, AttemptState.WRITTEN_OFF]),
        )
        .group_by(Attempt.job_id, Attempt.provider)
    )
    failures: dict[int, dict[str, int]] = defaultdict(dict)
    for job_id, provider, count in rows:
        failures[job_id][provider] = count
    return dict(failures)


# --- held jobs -------------------------------------------------------------------------------------


def held_jobs(session: Session, limit: int, project_id: int | None = None) -> list[tuple[Job, Attempt]]:
    """Jobs that wait for a person, each with the attempt whose answer was lost, longest held first."""
    query = (
        select(Job, Attempt)
        .join(Attempt, _is_open_attempt_of_job())
        .where(Job.held_at.is_not(None))
        .order_by(Job.held_at, Job.id)
        .limit(limit)
    )
    if project_id is not None:
        query = query.where(Job.project_id == project_id)
    return [(row.Job, row.Attempt) for row in session.execute(query)]


def held_count(session: Session, project_id: int | None = None) -> int:
    """How many jobs wait for a person."""
    query = select(func.count()).where(Job.held_at.is_not(None))
    if project_id is not None:
        query = query.where(Job.project_id == project_id)
    return session.execute(query).scalar_one()


def held_by_offer(session: Session, project_id: int | None = None) -> dict[OfferKey, int]:
    """How many jobs wait for a person, by the offer whose answer was lost."""
    query = (
        select(Attempt.provider, Job.model_slug, func.count())
        .select_from(Job)
        .join(Attempt, _is_open_attempt_of_job())
        .where(Job.held_at.is_not(None))
        .group_by(Attempt.provider, Job.model_slug)
    )
    if project_id is not None:
        query = query.where(Job.project_id == project_id)
    return {(provider, slug): count for provider, slug, count in session.execute(query)}


# --- workers ---------------------------------------------------------------------------------------


def _holds_its_lock() -> ColumnElement[bool]:
    # pg_locks shows every database of the server, and worker ids begin at 1 in each.
    names = ("locktype", "database", "classid", "objid", "granted")
    locks = table("pg_locks", *(column(name) for name in names))
    databases = table("pg_database", column("oid"), column("datname"))
    ours = select(databases.c.oid).where(databases.c.datname == func.current_database()).scalar_subquery()
    return (
        select(text("1"))
        .select_from(locks)
        .where(
            locks.c.locktype == "advisory",
            locks.c.database == ours,
            cast(locks.c.classid, BigInteger) == LOCK_NAMESPACE,
            cast(locks.c.objid, BigInteger) == Worker.id,
            locks.c.granted,
        )
        .exists()
    )


def live_workers(session: Session) -> Sequence[Worker]:
    """Workers that hold their lock and have been seen lately."""
    return session.scalars(
        select(Worker)
        .where(
            Worker.ended_at.is_(None),
            Worker.seen_at > func.clock_timestamp() - SILENT_AFTER,
            _holds_its_lock(),
        )
        .order_by(Worker.id)
    ).all()


def capacity(session: Session) -> Counter[str]:
    """Jobs that the live workers of each queue can run at a time."""
    slots: Counter[str] = Counter()
    for worker in live_workers(session):
        slots.update(dict.fromkeys(worker.queues, worker.concurrency))
    return slots


def dead_workers(session: Session) -> list[Row[Any]]:
    """(id, name, why) of workers that have not ended in order and give no sign of life.

    `why` is "killed" when the lock is gone, "silent" when only the row is stale.
    """
    now = func.clock_timestamp()
    locked = _holds_its_lock()
    killed = ~locked & (Worker.seen_at < now - LOCKLESS_AFTER)
    silent = Worker.seen_at < now - SILENT_AFTER
    rows: Result[Any] = session.execute(
        select(Worker.id, Worker.name, locked.label("is_locked"))
        .where(
            Worker.ended_at.is_(None),
            or_(killed, silent),
            _oldest_session() < now - RESTART_GRACE,
        )
        .order_by(Worker.id)
    )
    return list(rows)


def _oldest_session() -> ColumnElement[datetime]:
    """When the oldest of our sessions began.

    After a start of Postgres none is old, nor after it recovered from the crash of
    one backend, of which `pg_postmaster_start_time()` knows nothing.
    """
    names = ("datname", "usename", "backend_start")
    sessions = table("pg_stat_activity", *(column(name) for name in names))
    return (
        select(func.min(sessions.c.backend_start))
        .where(
            sessions.c.datname == func.current_database(),
            sessions.c.usename == func.current_user(),  # of others' sessions one may not see the start
        )
        .scalar_subquery()
    )


def ended_workers() -> Select[int]:
    """The ids of all workers that have ended, for a subquery."""
    return select(Worker.id).where(Worker.ended_at.is_not(None))


def is_held(session: Session, job_id: int, claim: int) -> bool:
    """Whether this claim on the job is still good."""
    mine = select(Job.id).where(Job.id == job_id, Job.claim == claim, Job.outcome.is_(None))
    return session.execute(mine).first() is not None


def jobs_in_hands(session: Session, worker_id: int) -> list[Row[Any]]:
    """(id, claim, is_wanted_dead) of the jobs that this worker runs."""
    rows: Result[Any] = session.execute(
        select(Job.id, Job.claim, Job.kill_requested_at.is_not(None).label("is_wanted_dead")).where(
            places.IN_HANDS, Job.worker_id == worker_id
        )
    )
    return list(rows)


def unheld_kills(session: Session, limit: int, after: Row[Any] | None = None) -> list[Row[Any]]:
    """Jobs that are to stop and that no worker runs, oldest wish first; those `after` one of them, if given.

    (id, claim, kill_requested_at, attempt_id, attempt_uuid, provider, ticket, was_fetched,
    may_have_cost, waited) of each.  `was_fetched`: somebody has begun to fetch the picture already;
    `may_have_cost`: an earlier attempt may.
    """
    place = tuple_(Job.kill_requested_at, Job.id)
    later = true() if after is None else place > tuple_(literal(after.kill_requested_at), literal(after.id))
    waited = func.clock_timestamp() - Job.kill_requested_at
    rows: Result[Any] = session.execute(
        select(
            Job.id,
            Job.claim,
            Job.kill_requested_at,
            Attempt.id.label("attempt_id"),
            Attempt.uuid.label("attempt_uuid"),
            Attempt.provider,
            Attempt.ticket,
            _was_fetched().label("was_fetched"),
            may_have_cost().label("may_have_cost"),
            waited.label("waited"),
        )
        .outerjoin(Attempt, _is_open_attempt_of_job())
        .where(places.STOPPING, Job.status == Status.QUEUE, later)
        .order_by(Job.kill_requested_at, Job.id)
        .limit(limit)
    )
    return list(rows)


def _was_fetched() -> ColumnElement[bool]:
    return (
        select(JobEvent.seq)
        .where(
            JobEvent.job_id == Job.id,
            JobEvent.attempt_id == Attempt.id,
            JobEvent.status == Status.POSTPROCESS_START,
        )
        .correlate(Job, Attempt)
        .exists()
    )


def overdue_kills(session: Session) -> Sequence[UUID]:
    """Jobs that a worker still holds although they were to stop two seconds ago."""
    return session.scalars(
        select(Job.uuid).where(
            places.STOPPING,
            Job.worker_id.is_not(None),
            Job.kill_requested_at < func.clock_timestamp() - KILL_OVERDUE_AFTER,
        )
    ).all()
