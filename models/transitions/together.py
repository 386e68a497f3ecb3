"""The worker's verbs for many jobs at once, and for several arrows at once: one statement each.

Each does for every entry what the verbs of `working` do one after the other, under the
same guards, or nothing at all for that entry.  Whoever is told that nothing was done asks
the single verb, which says why.

A statement is its own unit of work and is sent on a connection that commits by itself:
one round trip, and no lock outlives it, whatever becomes of the worker.  It locks its jobs
in the order of their numbers, so that the statements of two workers cannot wait for each other.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, TextClause, text
from sqlalchemy.dialects import postgresql

from models.attempts import LOG_MAX_CHARS, Assigned, Cost
from models.job import Job
from models.lifecycle import OPEN_ATTEMPTS, AttemptState, Status
from models.transitions.moving import Claim
from models.transitions.stopping import FINISHED_FIRST
from models.transitions.working import NewOutput


@dataclass(frozen=True, slots=True)
class JobInHands:
    """What a worker needs to know of the job it works on, as it was when it was accepted."""

    id: int
    uuid: UUID
    model_slug: str
    parameters: Mapping[str, Any]
    provider: str | None
    kill_requested_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobInHands":
        """From its record."""
        return cls(job.id, job.uuid, job.model_slug, job.parameters, job.provider, job.kill_requested_at)


@dataclass(frozen=True, slots=True)
class Accepting:
    """A claim that a worker has a message for.

    Attributes:
        key: of the attempt that is to be made.  By it the intent is known for this very message's, should the
            answer to its commit be lost: nothing was sent under it yet.
    """

    claim: Claim
    worker_id: int
    key: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class Saleable:
    """An offer that is on.

    Attributes:
        pictures: the inputs of its model that hold pictures.
    """

    provider: str
    model_slug: str
    remote_id: str
    pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """A job whose intent is committed."""

    job: JobInHands
    attempt: Assigned


@dataclass(frozen=True, slots=True)
class Ticketed:
    """A provider's ticket for an attempt."""

    claim: Claim
    attempt_id: int
    ticket: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sign:
    """That an attempt went on.

    Attributes:
        moment_s: when it did, by this process's monotonic clock.
        reason: what there is to say of it.
        log: what the provider has said, as far as it is not kept yet; first signs do not keep it.
    """

    claim: Claim
    attempt_id: int
    moment_s: float
    reason: str | None
    log: str | None = None


@dataclass(frozen=True, slots=True)
class Success:
    """The end of an attempt that brought pictures.

    Attributes:
        end: that the provider was done.
    """

    end: Sign
    outputs: Sequence[NewOutput]
    cost: Cost


def begin(
    connection: Connection, entries: Sequence[Accepting], offers: Sequence[Saleable]
) -> list[Begun | None]:
    """Accept, preprocess and assign a new intent at the offer that the dispatcher chose.

    None for a job that has pictures to gather, an open attempt, or an offer that is not
    among `offers`; and where the claim is not valid any more.  Safe to call again with the
    same entries, until something is sent.
    """
    told = [
        {
            "job_id": one.claim.job_id,
            "claim": one.claim.number,
            "worker_id": one.worker_id,
            "key": str(one.key),
        }
        for one in entries
    ]
    rows = connection.execute(_BEGIN, {"entries": json.dumps(told), "offers": _sold(tuple(offers))})
    # By the key: of one message that is here twice, one is told that it has begun.
    begun = {row.key: Begun(_job(row), _attempt(row)) for row in rows}
    if len(begun) < len(entries):
        # Asked after, not in the same statement: an earlier call whose connection broke may have been at work
        # still, and this one, which waited for its locks, does not see what it has committed.
        rows = connection.execute(_BEGUN_BEFORE, {"entries": json.dumps(told)})
        begun |= {row.key: Begun(_job(row), _attempt(row)) for row in rows}
    return [begun.get(one.key) for one in entries]


def start(connection: Connection, entries: Sequence[Ticketed]) -> list[bool]:
    """Record the ticket, and that the provider has the request; whether both were done."""
    told = [
        {
            "job_id": one.claim.job_id,
            "claim": one.claim.number,
            "attempt_id": one.attempt_id,
            "ticket": dict(one.ticket),
        }
        for one in entries
    ]
    return _which(connection, _START, entries, told)


def output(connection: Connection, entries: Sequence[Sign]) -> list[bool]:
    """The provider's first sign of progress; whether it was noted."""
    return _which(connection, _OUTPUT, entries, [_told(one) for one in entries])


def start_postprocess(connection: Connection, entries: Sequence[Sign]) -> list[bool]:
    """The provider was done and the pictures are being copied; whether that was noted."""
    return _which(connection, _START_POSTPROCESS, entries, [_told(one) for one in entries])


def succeed(connection: Connection, entries: Sequence[Success]) -> list[bool]:
    """The jobs have their pictures, and whatever was not noted before of how; whether it was done."""
    told = [
        {
            **_told(one.end),
            "cost_usd": None if one.cost.usd is None else str(one.cost.usd),
            "cost_is_estimate": one.cost.is_estimate,
            "outputs": [_kept(position, stored) for position, stored in enumerate(one.outputs)],
        }
        for one in entries
    ]
    return _which(connection, _SUCCEED, [one.end for one in entries], told)


@lru_cache(maxsize=8)
def _sold(offers: tuple[Saleable, ...]) -> str:
    """The same few all day long."""
    return json.dumps([asdict(offer) for offer in offers])


def _kept(position: int, stored: NewOutput) -> dict[str, Any]:
    # By hand: `asdict` copies deeply, and this is done for every picture.
    return {
        "position": position,
        "name": stored.name,
        "access_key": stored.access_key,
        "storage_key": stored.storage_key,
        "content_type": stored.content_type,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "width_px": stored.width_px,
        "height_px": stored.height_px,
        "seed": stored.seed,
    }


def _told(sign: Sign) -> dict[str, Any]:
    """With its age: Postgres knows the time, and this process how long ago it was."""
    return {
        "job_id": sign.claim.job_id,
        "claim": sign.claim.number,
        "attempt_id": sign.attempt_id,
        "age_s": max(0.0, time.monotonic() - sign.moment_s),
        "reason": sign.reason,
        "log": sign.log,
    }


def _which(
    connection: Connection,
    statement: TextClause,
    entries: Sequence[Ticketed | Sign],
    told: Sequence[Mapping[str, Any]],
) -> list[bool]:
    """Whether each entry's job took the arrows."""
    rows = connection.execute(statement, {"entries": json.dumps(told)})
    # By the claim too: a ghost's entry may be beside that of whoever has its job now.
    moved = {Claim(row.id, row.claim) for row in rows}
    return [one.claim in moved for one in entries]


def _job(row: Row[Any]) -> JobInHands:
    return JobInHands(row.id, row.uuid, row.model_slug, row.parameters, row.provider, row.kill_requested_at)


def _attempt(row: Row[Any]) -> Assigned:
    return Assigned(
        id=row.attempt_id,
        uuid=row.key,
        number=row.number,
        provider=row.provider,
        remote_id=row.remote_id,
        state=AttemptState.INTENT,
        ticket=None,
        intended_at=row.intended_at,
        submitted_at=None,
        is_taken_over=False,
    )


# --- the statements ----------------------------------------------------------------------------------
#
# The guards stand in `locked`: a row that somebody else has changed meanwhile is looked at again there
# once its lock is free.  Rows that come of one statement are a microsecond apart, so that a job's story
# is in the order of its times.

_OPEN = ", ".join(repr(state.value) for state in sorted(OPEN_ATTEMPTS))
_FINISHED_FIRST = str(
    FINISHED_FIRST["stopped_how"].compile(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"literal_binds": True},
    )
)

_BEGIN = text(f"""
    WITH entry AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:entries AS json))
            AS entry (job_id bigint, claim integer, worker_id bigint, key uuid)
    ), offer AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:offers AS json))
            AS offer (provider text, model_slug text, remote_id text, pictures text[])
    ), locked AS MATERIALIZED (
        SELECT jobs.id, entry.worker_id, entry.key, offer.remote_id
        FROM entry
        JOIN jobs ON jobs.id = entry.job_id
        JOIN offer ON offer.provider = jobs.provider AND offer.model_slug = jobs.model_slug
        WHERE jobs.claim = entry.claim AND jobs.status = 'task_queue'
            AND EXISTS (SELECT FROM workers WHERE workers.id = entry.worker_id AND workers.ended_at IS NULL)
            AND NOT EXISTS (
                SELECT FROM attempts WHERE attempts.job_id = jobs.id AND attempts.state IN ({_OPEN}))
            AND NOT EXISTS (
                SELECT FROM unnest(offer.pictures) AS input (name)
                WHERE CASE jsonb_typeof(jobs.parameters -> input.name)
                    WHEN 'array' THEN jsonb_array_length(jobs.parameters -> input.name) > 0 ELSE false END)
        ORDER BY jobs.id
        FOR NO KEY UPDATE OF jobs
    ), moved AS (
        UPDATE jobs SET status = '{Status.ASSIGN}', last_seq = jobs.last_seq + 4, worker_id = locked.worker_id
        FROM locked WHERE jobs.id = locked.id
        RETURNING jobs.id, jobs.uuid, jobs.claim, jobs.model_slug, jobs.parameters, jobs.provider,
            jobs.kill_requested_at, jobs.worker_id, jobs.last_seq, jobs.reserved_usd, locked.remote_id,
            locked.key, clock_timestamp() AS now_at
    ), made AS (
        INSERT INTO attempts (uuid, job_id, number, provider, remote_id, reserved_usd)
        SELECT moved.key, moved.id,
            1 + coalesce((SELECT max(number) FROM attempts WHERE attempts.job_id = moved.id), 0),
            moved.provider, moved.remote_id, moved.reserved_usd
        FROM moved
        RETURNING id, job_id, number, intended_at
    ), told AS (
        INSERT INTO job_events (job_id, seq, status, at, claim, worker_id, attempt_id, reason)
        SELECT moved.id, moved.last_seq - step.before_last, step.status,
            moved.now_at - step.before_last * interval '1 microsecond', moved.claim, moved.worker_id,
            CASE step.before_last WHEN 0 THEN made.id END,
            CASE step.before_last WHEN 0 THEN 'attempt ' || made.number || ' at ' || moved.provider END
        FROM moved JOIN made ON made.job_id = moved.id, (VALUES
            (3, '{Status.ACCEPT}'), (2, '{Status.PREPROCESS_START}'), (1, '{Status.PREPROCESS_END}'),
            (0, '{Status.ASSIGN}')) AS step (before_last, status)
    )
    SELECT moved.id, moved.uuid, moved.model_slug, moved.parameters, moved.provider, moved.kill_requested_at,
        moved.remote_id, moved.key, made.id AS attempt_id, made.number, made.intended_at
    FROM moved JOIN made ON made.job_id = moved.id
""")  # noqa: S608 - words of ours

# Those of an earlier call, of which nobody heard that it was committed.
_BEGUN_BEFORE = text(f"""
    WITH entry AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:entries AS json))
            AS entry (job_id bigint, claim integer, key uuid)
    )
    SELECT jobs.id, jobs.uuid, jobs.model_slug, jobs.parameters, jobs.provider, jobs.kill_requested_at,
        attempts.remote_id, attempts.uuid AS key, attempts.id AS attempt_id, attempts.number,
        attempts.intended_at
    FROM entry
    JOIN attempts ON attempts.uuid = entry.key AND attempts.state = 'intent'
    JOIN jobs ON jobs.id = attempts.job_id
    WHERE jobs.claim = entry.claim AND jobs.status = '{Status.ASSIGN}'
""")  # noqa: S608 - words of ours

_START = text(f"""
    WITH entry AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:entries AS json))
            AS entry (job_id bigint, claim integer, attempt_id bigint, ticket jsonb)
    ), locked AS MATERIALIZED (
        SELECT jobs.id, entry.attempt_id, entry.ticket
        FROM entry JOIN jobs ON jobs.id = entry.job_id
        WHERE jobs.claim = entry.claim AND jobs.status = '{Status.ASSIGN}'
        ORDER BY jobs.id
        FOR NO KEY UPDATE OF jobs
    ), given AS (
        UPDATE attempts SET state = 'submitted', ticket = locked.ticket, submitted_at = clock_timestamp(),
            finished_at = NULL, billed = NULL
        FROM locked
        WHERE attempts.id = locked.attempt_id AND attempts.job_id = locked.id
            AND attempts.state IN ('intent', 'unknown')
        RETURNING attempts.id, attempts.job_id
    ), moved AS (
        UPDATE jobs SET status = '{Status.START}', last_seq = jobs.last_seq + 1
        FROM given WHERE jobs.id = given.job_id
        RETURNING jobs.id, jobs.last_seq, jobs.claim, jobs.worker_id, given.id AS attempt_id
    ), told AS (
        INSERT INTO job_events (job_id, seq, status, claim, worker_id, attempt_id)
        SELECT id, last_seq, '{Status.START}', claim, worker_id, attempt_id FROM moved
    )
    SELECT id, claim FROM moved
""")  # noqa: S608 - words of ours


_LONGER = f"right(concat_ws(chr(10), attempts.log, moved.log), {LOG_MAX_CHARS})"


def _signs(sources: Sequence[Status], steps: Sequence[Status]) -> TextClause:
    """The statement that takes jobs from any of the sources by these steps, at the moment of a sign."""
    last = len(steps) - 1
    rows = ", ".join(f"({last - place}, '{status}')" for place, status in enumerate(steps))
    return text(f"""
        WITH entry AS MATERIALIZED (
            SELECT * FROM json_to_recordset(CAST(:entries AS json))
                AS entry (job_id bigint, claim integer, attempt_id bigint, age_s float8, reason text,
                    log text)
        ), locked AS MATERIALIZED (
            SELECT jobs.id, entry.attempt_id, entry.age_s, entry.reason, entry.log
            FROM entry JOIN jobs ON jobs.id = entry.job_id
            WHERE jobs.claim = entry.claim AND jobs.status IN ({_quoted(sources)})
            ORDER BY jobs.id
            FOR NO KEY UPDATE OF jobs
        ), moved AS (
            UPDATE jobs SET status = '{steps[-1]}', last_seq = jobs.last_seq + {len(steps)}
            FROM locked WHERE jobs.id = locked.id
            RETURNING jobs.id, jobs.last_seq, jobs.claim, jobs.worker_id, locked.attempt_id, locked.reason,
                locked.log, clock_timestamp() - locked.age_s * interval '1 second' AS sign_at
        ), told AS (
            INSERT INTO job_events (job_id, seq, status, at, claim, worker_id, attempt_id, reason)
            SELECT moved.id, moved.last_seq - step.before_last, step.status,
                moved.sign_at - step.before_last * interval '1 microsecond',
                moved.claim, moved.worker_id, moved.attempt_id,
                CASE step.before_last WHEN {last} THEN moved.reason END
            FROM moved, (VALUES {rows}) AS step (before_last, status)
        ), said AS (
            UPDATE attempts SET log = {_LONGER} FROM moved
            WHERE attempts.id = moved.attempt_id AND moved.log IS NOT NULL
        )
        SELECT id, claim FROM moved
    """)  # noqa: S608 - words of ours


def _quoted(words: Sequence[Status]) -> str:
    return ", ".join(f"'{word}'" for word in words)


_OUTPUT = _signs([Status.START], [Status.OUTPUT])
_START_POSTPROCESS = _signs([Status.START, Status.OUTPUT], [Status.END, Status.POSTPROCESS_START])

_SUCCEED = text(f"""
    WITH entry AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:entries AS json))
            AS entry (job_id bigint, claim integer, attempt_id bigint, age_s float8, reason text,
                log text, cost_usd numeric, cost_is_estimate boolean, outputs json)
    ), locked AS MATERIALIZED (
        SELECT jobs.id, CASE jobs.status WHEN '{Status.POSTPROCESS_START}' THEN 1 ELSE 3 END AS steps,
            entry.attempt_id, entry.age_s, entry.reason, entry.log, entry.cost_usd, entry.cost_is_estimate,
            entry.outputs
        FROM entry JOIN jobs ON jobs.id = entry.job_id
        WHERE jobs.claim = entry.claim
            AND jobs.status IN ({_quoted([Status.START, Status.OUTPUT, Status.POSTPROCESS_START])})
        ORDER BY jobs.id
        FOR NO KEY UPDATE OF jobs
    ), moved AS (
        UPDATE jobs SET status = '{Status.POSTPROCESS_END}', last_seq = jobs.last_seq + locked.steps,
            outcome = 'succeeded', finished_at = clock_timestamp(), cost_usd = locked.cost_usd,
            cost_is_estimate = locked.cost_is_estimate, stopped_how = {_FINISHED_FIRST}
        FROM locked WHERE jobs.id = locked.id
        RETURNING jobs.id AS job_id, jobs.last_seq, jobs.claim, jobs.worker_id, jobs.finished_at,
            jobs.cost_usd, jobs.cost_is_estimate, locked.steps, locked.attempt_id, locked.age_s,
            locked.reason, locked.outputs,
            -- else it was kept with the beginning of the copying
            CASE locked.steps WHEN 3 THEN locked.log END AS log
    ), closed AS (
        UPDATE attempts SET state = 'done', billed = 'yes', finished_at = moved.finished_at,
            cost_usd = moved.cost_usd, cost_is_estimate = moved.cost_is_estimate,
            log = CASE WHEN moved.log IS NULL THEN attempts.log ELSE {_LONGER} END
        FROM moved WHERE attempts.id = moved.attempt_id AND attempts.state IN ({_OPEN})
    ), kept AS (
        INSERT INTO outputs (job_id, attempt_id, position, name, access_key, storage_key, content_type,
            size_bytes, sha256, width_px, height_px, seed)
        SELECT moved.job_id, moved.attempt_id, stored.*
        FROM moved, json_to_recordset(moved.outputs) AS stored (position integer, name text, access_key text,
            storage_key text, content_type text, size_bytes bigint, sha256 text, width_px integer,
            height_px integer, seed bigint)
    ), told AS (
        INSERT INTO job_events (job_id, seq, status, at, claim, worker_id, attempt_id, reason)
        SELECT moved.job_id, moved.last_seq - step.before_last, step.status,
            -- the end and the beginning of the copying were when the provider was done
            CASE step.before_last WHEN 0 THEN moved.finished_at
                ELSE moved.finished_at - moved.age_s * interval '1 second' END
                - step.before_last * interval '1 microsecond',
            moved.claim, moved.worker_id, moved.attempt_id,
            CASE step.before_last WHEN 2 THEN moved.reason END
        FROM moved JOIN (VALUES
            (2, '{Status.END}'), (1, '{Status.POSTPROCESS_START}'), (0, '{Status.POSTPROCESS_END}')
        ) AS step (before_last, status) ON step.before_last < moved.steps
    )
    SELECT job_id AS id, claim FROM moved
""")  # noqa: S608 - words of ours
