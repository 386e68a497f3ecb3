"""How many jobs go before one that waits: in its own lane, and in the fair turn of all.

Counted no further than needed: of a million that wait, a few thousand entries of an index are read.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Integer, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.job import Job
from models.lane import Lane
from models.obstacles import Obstacles
from models.scopes import campaign_scope, project_scope
from models.turns import OF_STREAM, Stream, read_in_order, streams

MOST_COUNTED = 10_000
"""Jobs counted in a job's own lane, and again in all others together."""


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


@dataclass(slots=True)
class _Others:
    """What waits in some other lane.

    Attributes:
        has_more: it was not counted to its end.
    """

    jobs: int = 0
    has_more: bool = False

    def up_to(self, share: int) -> tuple[int, bool]:
        """How many go before somebody who leaves them such a share, and whether that may be too few."""
        return min(self.jobs, share), self.has_more and share > self.jobs


_WANTED = (
    "unnest(:projects, :campaigns, :priorities, :kinds) AS wanted (project_id, campaign_id, priority, kind)"
)
_ARRAYS: tuple[BindParameter[Any], ...] = (
    *(bindparam(name, type_=ARRAY(BigInteger)) for name in ("projects", "campaigns")),
    bindparam("priorities", type_=ARRAY(Integer)),
    bindparam("kinds", type_=ARRAY(Text)),
)
_BEFORE = text(f"""
SELECT count(*) FROM (
    SELECT 1 FROM {_WANTED} CROSS JOIN LATERAL (
        SELECT 1 {OF_STREAM} AND jobs.id < :job_id LIMIT :most
    ) AS before
    LIMIT :most
) AS counted
""").bindparams(*_ARRAYS)  # noqa: S608 - constants
_EACH = text(f"""
SELECT (SELECT count(*) FROM (SELECT 1 {OF_STREAM} LIMIT :most) AS counted)
FROM unnest(:projects, :campaigns, :priorities, :kinds)
    WITH ORDINALITY AS wanted (project_id, campaign_id, priority, kind, number)
ORDER BY wanted.number
""").bindparams(*_ARRAYS)  # noqa: S608 - constants


def waiting_with(session: Session, job: Job) -> list[Stream]:
    """All that wait for a new attempt, the job's own stream among them however many there are."""
    read_in_order(session)
    own = Stream(job.project_id, job.campaign_id or 0, job.priority, job.kind, job.id, job.run_at)
    found = streams(session)
    is_there = any(_lane(one) == _lane(own) and one.kind == own.kind for one in found)
    return found if is_there else [*found, own]


def position(session: Session, job: Job, waiting: Collection[Stream], obstacles: Obstacles) -> Position:
    """Where a job stands that waits for a new attempt and is due.

    Not counted is what cannot go now, but for what stands still for the same reason as the
    job itself.  What ages meanwhile, and what is in nobody's turn, is not looked at.

    Args:
        session: the unit of work.
        job: which.
        waiting: all that wait, and its own stream: see `waiting_with`.
        obstacles: what keeps some of them from going.
    """
    lane = (job.project_id, job.campaign_id or 0, job.priority)
    own = [one for one in waiting if _lane(one) == lane and (one.kind == job.kind or obstacles.is_sold(one))]
    others = [one for one in waiting if _lane(one) != lane and obstacles.may_go(one)]
    before = session.execute(_BEFORE, _told(own) | {"job_id": job.id, "most": MOST_COUNTED + 1}).scalar_one()
    is_at_least, before = before > MOST_COUNTED, min(before, MOST_COUNTED)
    lanes = _counted(session, others)
    in_project, of_project = _within_the_project(job, before, lanes, obstacles)
    turns = before + in_project
    elsewhere, of_others = _in_other_projects(job, turns, lanes, obstacles)
    return Position(before, turns + elsewhere, is_at_least or of_project or of_others)


def lane_of(session: Session, job: Job) -> Lane | None:
    """What the job's lane remembers; None when nobody in it has ever been served."""
    return session.get(Lane, f"{job.project_id}/{job.campaign_id or 0}/{job.priority}")


_Key = tuple[int, int, int]


def _lane(stream: Stream) -> _Key:
    return stream.project_id, stream.campaign_id, stream.priority


def _told(streams: Sequence[Stream]) -> dict[str, object]:
    return {
        "projects": [one.project_id for one in streams],
        "campaigns": [one.campaign_id for one in streams],
        "priorities": [one.priority for one in streams],
        "kinds": [one.kind for one in streams],
    }


def _counted(session: Session, streams: Sequence[Stream]) -> dict[_Key, _Others]:
    """What waits in each lane of these streams, each counted as far as its part of what is counted goes."""
    lanes: defaultdict[_Key, _Others] = defaultdict(_Others)
    most = MOST_COUNTED // max(1, len(streams)) + 1
    counts = session.execute(_EACH, _told(streams) | {"most": most}).scalars()
    for stream, count in zip(streams, counts, strict=True):
        lane = lanes[_lane(stream)]
        lane.jobs += count
        lane.has_more |= count == most
    return dict(lanes)


def _within_the_project(
    job: Job, before: int, lanes: dict[_Key, _Others], obstacles: Obstacles
) -> tuple[int, bool]:
    """A higher priority goes first altogether; equals take turns by their weights."""
    ahead, is_at_least = 0, False
    own_weight = obstacles.weight(campaign_scope(job.campaign_id or 0))
    for (project_id, campaign_id, priority), lane in lanes.items():
        if project_id != job.project_id or priority < job.priority:
            continue
        share = before * obstacles.weight(campaign_scope(campaign_id)) // own_weight
        jobs, may_be_more = (lane.jobs, lane.has_more) if priority > job.priority else lane.up_to(share)
        ahead, is_at_least = ahead + jobs, is_at_least or may_be_more
    return ahead, is_at_least


def _in_other_projects(
    job: Job, turns: int, lanes: dict[_Key, _Others], obstacles: Obstacles
) -> tuple[int, bool]:
    """They take turns by their weights with the job's own, which has so many before it."""
    projects: defaultdict[int, _Others] = defaultdict(_Others)
    for (project_id, _, _), lane in lanes.items():
        if project_id != job.project_id:
            projects[project_id].jobs += lane.jobs
            projects[project_id].has_more |= lane.has_more
    ahead, is_at_least = 0, False
    own_weight = obstacles.weight(project_scope(job.project_id))
    for project_id, one in projects.items():
        jobs, may_be_more = one.up_to(turns * obstacles.weight(project_scope(project_id)) // own_weight)
        ahead, is_at_least = ahead + jobs, is_at_least or may_be_more
    return ahead, is_at_least
