"""How many jobs go before one that waits: in its own lane, and in the fair turn of all.

Counted no further than needed: of a million that wait, a few thousand entries of an index are read.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.job import Job
from models.lane import Lane
from models.turns import READY

MOST_COUNTED = 10_000
"""Jobs counted in a job's own lane, and again in all others together."""

_IN_LANE = """
    jobs.project_id = :project_id AND coalesce(jobs.campaign_id, 0) = :campaign_id
    AND jobs.priority = :priority"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a waiting job stands.

    Attributes:
        in_lane: jobs before it in its own lane: its project, its campaign or none, its priority.
        ahead: jobs that go before it in all, as turns are given now.
        is_at_least: there may be more of them, which were not counted.
    """

    in_lane: int
    ahead: int
    is_at_least: bool


_BEFORE = text(f"""
WITH RECURSIVE kinds AS (
    SELECT (SELECT jobs.kind FROM jobs WHERE {READY} AND {_IN_LANE} ORDER BY jobs.kind LIMIT 1) AS kind
    UNION ALL
    SELECT (
        SELECT jobs.kind FROM jobs WHERE {READY} AND {_IN_LANE} AND jobs.kind > kinds.kind
        ORDER BY jobs.kind LIMIT 1
    )
    FROM kinds WHERE kinds.kind IS NOT NULL
)
SELECT count(*) FROM (
    SELECT 1 FROM kinds CROSS JOIN LATERAL (
        SELECT 1 FROM jobs
        WHERE {READY} AND {_IN_LANE} AND jobs.kind = kinds.kind AND jobs.id < :job_id
        LIMIT {MOST_COUNTED + 1}
    ) AS before
    WHERE kinds.kind IS NOT NULL
    LIMIT {MOST_COUNTED + 1}
) AS counted
""")  # noqa: S608 - constants

_FIRST = f"""
    SELECT jobs.project_id, coalesce(jobs.campaign_id, 0) AS campaign_id, jobs.priority FROM jobs
    WHERE {READY}"""  # noqa: S608
_LANES = text(f"""
WITH RECURSIVE found AS (
    ({_FIRST} ORDER BY jobs.project_id, coalesce(jobs.campaign_id, 0), jobs.priority DESC LIMIT 1)
    UNION ALL
    SELECT following.* FROM found CROSS JOIN LATERAL (
        ({_FIRST} AND jobs.project_id = found.project_id
            AND coalesce(jobs.campaign_id, 0) = found.campaign_id AND jobs.priority < found.priority
            ORDER BY jobs.priority DESC LIMIT 1)
        UNION ALL
        ({_FIRST} AND (jobs.project_id, coalesce(jobs.campaign_id, 0)) > (found.project_id, found.campaign_id)
            ORDER BY jobs.project_id, coalesce(jobs.campaign_id, 0), jobs.priority DESC LIMIT 1)
        LIMIT 1
    ) AS following
), lanes AS (
    SELECT found.*, projects.weight AS project_weight, coalesce(campaigns.weight, 1) AS weight
    FROM found
    JOIN projects ON projects.id = found.project_id
    LEFT JOIN campaigns ON campaigns.id = found.campaign_id
    WHERE projects.paused_at IS NULL AND campaigns.paused_at IS NULL AND campaigns.stop_as IS NULL
    LIMIT {MOST_COUNTED // 10}
)
SELECT lanes.*, (
    SELECT count(*) FROM (
        SELECT 1 FROM jobs
        WHERE {READY} AND jobs.project_id = lanes.project_id
            AND coalesce(jobs.campaign_id, 0) = lanes.campaign_id AND jobs.priority = lanes.priority
        LIMIT least(:needed, {MOST_COUNTED} / (SELECT count(*) FROM lanes) + 1)
    ) AS counted
) AS jobs, {MOST_COUNTED} / (SELECT count(*) FROM lanes) + 1 AS most
FROM lanes
""")  # noqa: S608 - constants


def position(session: Session, job: Job) -> Position:
    """Where a job stands that waits for a new attempt and is due.

    By turns alone: what is in nobody's turn, what ages meanwhile, and who can be served
    now is not looked at.
    """
    mine = {
        "project_id": job.project_id,
        "campaign_id": job.campaign_id or 0,
        "priority": job.priority,
        "job_id": job.id,
    }
    session.execute(
        text("SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)")
    )
    before = session.execute(_BEFORE, mine).scalar_one()
    is_at_least = before > MOST_COUNTED
    before = min(before, MOST_COUNTED)
    rows = session.execute(_LANES, {"needed": MOST_COUNTED}).all()
    own = next((row for row in rows if row[:3] == (job.project_id, job.campaign_id or 0, job.priority)), None)
    if own is None:  # it went meanwhile
        return Position(before, before, is_at_least)
    turns = before
    for row in rows:
        if row.project_id != own.project_id or row is own or row.priority < own.priority:
            continue
        # A higher priority goes first altogether; equals take turns by their weights.
        share = row.jobs if row.priority > own.priority else before * row.weight // own.weight
        is_at_least |= row.jobs >= row.most and share >= row.most
        turns += min(row.jobs, share)
    ahead, others = turns, {row.project_id: row.project_weight for row in rows}
    for project_id, weight in others.items():
        if project_id != own.project_id:
            waiting = sum(row.jobs for row in rows if row.project_id == project_id)
            ahead += min(waiting, turns * weight // own.project_weight)
    return Position(before, ahead, is_at_least)


def lane_of(session: Session, job: Job) -> Lane | None:
    """What the job's lane remembers; None when nobody in it has ever been served."""
    return session.get(Lane, f"{job.project_id}/{job.campaign_id or 0}/{job.priority}")
