"""What is answered to who stops jobs, decides about them or tries them again."""

from typing import Annotated
from uuid import UUID

from pydantic import (
    Field,
)

from api.native.schemas.jobs import JobAnswer
from api.native.schemas.words import Answer
from models.lifecycle import (
    Outcome,
    Status,
    StopOutcome,
)


class StopAnswer(Answer):
    """A job after a wish to stop it; `cancelled` is whether it has stopped without a picture."""

    cancelled: bool
    job: JobAnswer


class StoppedJob(Answer):
    """One of the jobs that were named; `is_heeded`: it has stopped without a picture, or will."""

    is_heeded: bool
    name: Annotated[str, Field(description="As you called it.")]
    id: int
    uuid: UUID
    status: Status
    outcome: Outcome | None
    stopped_how: StopOutcome | None
    cost_usd: Annotated[
        str | None, Field(description="What its requests have cost; null when nobody knows, or not yet.")
    ]
    cost_is_estimate: bool


class StopManyAnswer(Answer):
    """What became of a wish to stop many; sent again it goes on where it was."""

    matched: Annotated[int, Field(description="Living jobs that were meant; of those named, all you have.")]
    stopped: Annotated[
        dict[StopOutcome, int],
        Field(
            description="How many have stopped how. `finished_first`: the picture was there and is kept.",
            examples=[{"never_started": 99_960, "provider_cancelled": 38, "finished_first": 2}],
        ),
    ]
    stopping: Annotated[
        int, Field(description="Asked to stop, and not at an end yet: it is certain that they will be.")
    ]
    going_on: Annotated[int, Field(description="Running, and not to be cancelled: kill stops them.")]
    ended_otherwise: Annotated[int, Field(description="Had ended before, or meanwhile by themselves.")]
    is_complete: Annotated[
        bool,
        Field(
            description="Whether every job that was meant has been ended or asked. When there were too many "
            "for one answer, send it again; a campaign is gone on with without being asked."
        ),
    ]
    cost_usd: Annotated[
        str | None, Field(description="What all of them have cost, as far as known; null when nothing is.")
    ]
    cost_is_estimate: bool
    cost_unknown: Annotated[int, Field(description="Jobs of which nobody knows, or not yet, what they cost.")]
    jobs: Annotated[list[StoppedJob], Field(description="Of those named, in the order of their names.")] = []
    unknown: Annotated[list[str], Field(description="Names that no job of this project has.")] = []


class ResolveAnswer(Answer):
    """A held job after somebody decided about it."""

    job: JobAnswer
    at_stake_usd: Annotated[
        str | None,
        Field(
            description="What the lost request may have cost, as the catalogue prices it; null if unknown."
        ),
    ]


class RetriedJob(Answer):
    """A job, as it was named, and the one that tries it again; `is_new` is false when that was there."""

    name: str
    id: int
    uuid: UUID
    is_new: bool


class RetriedAnswer(Answer):
    """The job that tries another one again; `is_new` is false when it was there already."""

    is_new: bool
    job: JobAnswer


class NotRetried(Answer):
    """A named job that is not tried again, and why."""

    name: str
    code: Annotated[str, Field(description="The word that a single retry is refused with.")]
    detail: str


class RetriedJobs(Answer):
    """What became of the wish to try some jobs again."""

    retried: Annotated[int, Field(description="New jobs.")]
    existing: Annotated[int, Field(description="Named jobs that were tried again before.")]
    skipped: Annotated[
        dict[str, int],
        Field(description="How many were not tried again, by reason.", examples=[{"may_have_cost": 2}]),
    ]
    jobs: Annotated[list[RetriedJob], Field(description="Of the named ones; of a filter only the numbers.")]
    not_retried: Annotated[list[NotRetried], Field(description="Of the named ones.")]
    next_cursor: Annotated[
        str | None, Field(description="There may be more: ask again with it.  Null when all were looked at.")
    ]
