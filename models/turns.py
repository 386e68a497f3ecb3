"""Whose turn it could be: what waits, found without reading what cannot be served.

A million jobs may wait for a provider that is down, in front of one that could go.  So
`ix_jobs_ready` keeps the jobs of one stream together, in the order of their age: one
project, campaign, priority and kind.  The streams are found by stepping through that
index, one probe each; of those that somebody can serve now, the oldest few jobs are read.

What is decided with it, and what it costs whom, say `workers.fairness` and `workers.routing`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Integer, Row, Text, bindparam, column, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.job import Job
from models.lifecycle import SUSPECT_DEATHS, OfferKey
from models.worker import DISPATCH_LOCK

SUSPECTS_OF_A_SORT = 8
"""Of one project, campaign and kind."""

MOST_STREAMS = 2000
"""Looked at in each project: one with more does not slow the others down, its later streams wait."""

DUE_AT_ONCE = 5000
"""Jobs that become due in one call; the next call goes on."""

_WAITS = """
    jobs.dispatched_at IS NULL AND jobs.outcome IS NULL AND jobs.held_at IS NULL
    AND jobs.kill_requested_at IS NULL AND jobs.is_due"""
_INNOCENT = f"{_WAITS} AND jobs.worker_deaths < {SUSPECT_DEATHS}"
_READY = f"{_INNOCENT} AND jobs.open_provider IS NULL"
OF_STREAM = f"""
    FROM jobs
    WHERE {_READY}
        AND jobs.project_id = wanted.project_id AND coalesce(jobs.campaign_id, 0) = wanted.campaign_id
        AND jobs.priority = wanted.priority AND jobs.kind = wanted.kind"""
_FACTS = """
    jobs.id, jobs.project_id, coalesce(jobs.campaign_id, 0) AS campaign_id, jobs.priority, jobs.kind,
    jobs.model_slug, jobs.wanted_providers, jobs.route, jobs.excluded, jobs.open_provider, jobs.parameters,
    jobs.claim"""


@dataclass(frozen=True, slots=True)
class Stream:
    """Waiting jobs that differ in their age alone, as far as their turn goes.

    Attributes:
        campaign_id: 0 for none.
        kind: see `models.kinds`.
        head_id: the oldest of them.
        since: when that one became due.
    """

    project_id: int
    campaign_id: int
    priority: int
    kind: str
    head_id: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is to be read of a stream: its oldest `most` jobs that come after the job `after`."""

    stream: Stream
    after: int
    most: int


_IN_ORDER = """
    set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_sort', 'off', true), set_config('jit', 'off', true)"""
_ALONE = text(f"SELECT {_IN_ORDER}, pg_advisory_xact_lock(:lock)")


def decide_alone(session: Session) -> None:
    """Wait until nobody else decides; then, until this unit of work ends, nobody else does.

    Two deciding at once would both count the same slots as free, and both spend the same
    dollars.  Waiting jobs are then `read_in_order`.
    """
    session.execute(_ALONE, {"lock": DISPATCH_LOCK})


def read_in_order(session: Session) -> None:
    """From now on in this unit of work, read waiting jobs by the indexes that keep them in order.

    Without statistics, as after a campaign of a million rows that came a second ago,
    Postgres takes the queue for short and would sort it.
    """
    session.execute(text(f"SELECT {_IN_ORDER}"))


_DUE = text(f"""
UPDATE jobs SET is_due = true
FROM (
    SELECT jobs.id FROM jobs
    WHERE jobs.outcome IS NULL AND NOT jobs.is_due AND jobs.run_at <= statement_timestamp()
    ORDER BY jobs.run_at
    LIMIT {DUE_AT_ONCE}
    -- one that is just being stopped is looked at again a second later
    FOR NO KEY UPDATE SKIP LOCKED
) AS due
WHERE jobs.id = due.id
""")  # noqa: S608 - constants


def make_due(session: Session) -> None:
    """The jobs whose `run_at` has passed wait for their turn."""
    session.execute(_DUE)


def _first(what: str, where: str, order: str) -> str:
    return f"SELECT {what} FROM jobs WHERE {_READY} {where} ORDER BY {order} LIMIT 1"  # noqa: S608


_HEAD = "coalesce(jobs.campaign_id, 0) AS campaign_id, jobs.priority, jobs.kind, jobs.id, jobs.run_at"
_ORDER = "coalesce(jobs.campaign_id, 0), jobs.priority DESC, jobs.kind, jobs.id"
_IN_PROJECT = "AND jobs.project_id = queues.project_id"
_IN_CAMPAIGN = f"{_IN_PROJECT} AND coalesce(jobs.campaign_id, 0) = streams.campaign_id"

_FOUND = "queues.project_id, found.campaign_id, found.priority, found.kind, found.id, found.run_at"
_OF_EACH = f"""
CROSS JOIN LATERAL (
    -- from each stream the next one is the least that is greater, in the order of the index
    WITH RECURSIVE streams AS (
        ({_first(_HEAD, _IN_PROJECT, _ORDER)})
        UNION ALL
        SELECT following.campaign_id, following.priority, following.kind, following.id, following.run_at
        FROM streams
        CROSS JOIN LATERAL (
            ({
    _first(
        _HEAD,
        f"{_IN_CAMPAIGN} AND jobs.priority = streams.priority AND jobs.kind > streams.kind",
        "jobs.kind, jobs.id",
    )
})
            UNION ALL
            ({
    _first(
        _HEAD,
        f"{_IN_CAMPAIGN} AND jobs.priority < streams.priority",
        "jobs.priority DESC, jobs.kind, jobs.id",
    )
})
            UNION ALL
            ({
    _first(_HEAD, f"{_IN_PROJECT} AND coalesce(jobs.campaign_id, 0) > streams.campaign_id", _ORDER)
})
            LIMIT 1
        ) AS following
    )
    SELECT * FROM streams LIMIT {MOST_STREAMS}
) AS found"""  # noqa: S608 - constants
_STREAMS = text(f"""
WITH RECURSIVE queues AS (
    SELECT ({_first("jobs.project_id", "", "jobs.project_id")}) AS project_id
    UNION ALL
    SELECT ({_first("jobs.project_id", "AND jobs.project_id > queues.project_id", "jobs.project_id")})
    FROM queues
    WHERE queues.project_id IS NOT NULL
)
SELECT {_FOUND} FROM queues {_OF_EACH}
WHERE queues.project_id IS NOT NULL
""")  # noqa: S608 - constants
_STREAMS_OF = text(f"SELECT {_FOUND} FROM unnest(:project_ids) AS queues (project_id) {_OF_EACH}").bindparams(  # noqa: S608 - constants
    bindparam("project_ids", type_=ARRAY(BigInteger))
)


def streams(session: Session) -> list[Stream]:
    """All that wait for a new attempt, in the order of the index."""
    return [Stream(*row) for row in session.execute(_STREAMS)]


def streams_of(session: Session, project_ids: Collection[int]) -> list[Stream]:
    """The same of these projects."""
    read_in_order(session)
    return [Stream(*row) for row in session.execute(_STREAMS_OF, {"project_ids": list(project_ids)})]


_COLUMNS = (
    Job.id,
    Job.project_id,
    column("campaign_id", BigInteger),
    Job.priority,
    Job.kind,
    Job.model_slug,
    Job.wanted_providers,
    Job.route,
    Job.excluded,
    Job.open_provider,
    Job.parameters,
    Job.claim,
)
_JOBS = (
    text(f"""
SELECT found.*
FROM unnest(:projects, :campaigns, :priorities, :kinds, :after, :most)
    AS wanted (project_id, campaign_id, priority, kind, after, most)
CROSS JOIN LATERAL (
    SELECT {_FACTS} {OF_STREAM} AND jobs.id > wanted.after
    ORDER BY jobs.id
    LIMIT wanted.most
) AS found
""")  # noqa: S608 - constants
    .bindparams(
        *(bindparam(name, type_=ARRAY(BigInteger)) for name in ("projects", "campaigns", "after", "most")),
        bindparam("priorities", type_=ARRAY(Integer)),
        bindparam("kinds", type_=ARRAY(Text)),
    )
    .columns(*_COLUMNS)
)


def ready_jobs(session: Session, wanted: Sequence[Excerpt]) -> list[Row[Any]]:
    """The jobs of these excerpts, each stream's in the order of their age.

    (id, project_id, campaign_id, priority, kind, model_slug, wanted_providers, route, excluded,
    open_provider, parameters, claim) of each; `campaign_id` is 0 for none, `open_provider` None.
    """
    told = {
        "projects": [one.stream.project_id for one in wanted],
        "campaigns": [one.stream.campaign_id for one in wanted],
        "priorities": [one.stream.priority for one in wanted],
        "kinds": [one.stream.kind for one in wanted],
        "after": [one.after for one in wanted],
        "most": [one.most for one in wanted],
    }
    return list(session.execute(_JOBS, told))


_BEGUN = (
    text(f"""
SELECT {_FACTS}
FROM jobs
WHERE {_INNOCENT} AND jobs.open_provider = ANY (:providers)
    AND (jobs.open_provider, jobs.model_slug) IN (SELECT * FROM unnest(:sellers, :slugs))
ORDER BY jobs.open_provider, jobs.id
LIMIT :most
""")  # noqa: S608 - constants
    .bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("providers", "sellers", "slugs")))
    .columns(*_COLUMNS)
)


def begun_jobs(session: Session, offers: Collection[OfferKey], most: int) -> list[Row[Any]]:
    """What was begun at one of these offers and waits to be gone on with, oldest first; as `ready_jobs`."""
    pairs = list(offers)
    told = {
        "providers": sorted({provider for provider, _ in pairs}),
        "sellers": [provider for provider, _ in pairs],
        "slugs": [slug for _, slug in pairs],
        "most": most,
    }
    return list(session.execute(_BEGUN, told))


_SUSPECTS = text(f"""
WITH waiting AS MATERIALIZED (
    -- in the order of `ix_jobs_suspect`, where nobody else is
    SELECT {_FACTS} FROM jobs WHERE {_WAITS} AND jobs.worker_deaths >= {SUSPECT_DEATHS} ORDER BY jobs.id
)
SELECT * FROM (
    SELECT *,
        row_number() OVER (PARTITION BY project_id, campaign_id, kind, open_provider ORDER BY id) AS place
    FROM waiting
) AS suspects
WHERE place <= {SUSPECTS_OF_A_SORT}
ORDER BY id
""").columns(*_COLUMNS)  # noqa: S608 - constants


def suspects(session: Session) -> list[Row[Any]]:
    """Jobs with which workers have died, oldest first, the first few of each sort; as `ready_jobs`.

    One of them runs at a time.  As a sort is paused or shut as a whole, what cannot go now
    hides nothing that could.
    """
    return list(session.execute(_SUSPECTS))
