"""What is told of campaigns and projects."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import (
    Field,
)

from api.native.schemas.words import Answer
from models.lifecycle import (
    Outcome,
)


class AccountAnswer(Answer):
    """What one provider has done for a campaign."""

    provider: str
    requests: Annotated[int, Field(description="Submissions, whatever became of them.")]
    pictures: int
    cost_usd: Annotated[str | None, Field(description="As far as known; null when nothing is.")]
    cost_is_estimate: Annotated[bool, Field(description="The catalogue's price is in it somewhere.")]
    unknown: Annotated[
        int, Field(description="Ended submissions that may have cost money, nobody knows how much.")
    ]


class AllowanceAnswer(Answer):
    """What a project or a campaign may use, and what it uses."""

    weight: Annotated[int, Field(description="Turns it gets for each turn of another that has 1.")]
    max_in_flight: Annotated[int | None, Field(description="Jobs at a time; null for any number.")]
    in_flight: Annotated[
        int, Field(description="Jobs on their way to a worker, in its hands, or begun at a provider.")
    ]
    waiting: Annotated[int, Field(description="Jobs that wait for their turn and were not begun.")]
    budget_usd: Annotated[
        str | None, Field(description="What it may spend in all; null for any sum.", examples=["10"])
    ]
    spent_usd: Annotated[
        str,
        Field(
            description="What its ended attempts cost; where nobody knows, what was reserved for them.",
            examples=["3.96"],
        ),
    ]
    reserved_usd: Annotated[
        str, Field(description="Kept back for what is in flight, until it is known what that costs.")
    ]
    left_usd: Annotated[
        str | None,
        Field(
            description="The budget less what is spent and reserved; below 0 when something cost more than "
            "its price.  Null without a budget."
        ),
    ]
    paused_at: Annotated[
        datetime | None, Field(description="Since when nothing new of it is sent; null when it goes on.")
    ]
    notice: Annotated[
        str | None,
        Field(
            description="Why nothing new is sent, in a sentence; null when it goes on.",
            examples=["Its budget of $10 is spent: raise it, or nothing new is sent."],
        ),
    ]


class CampaignAnswer(AllowanceAnswer):
    """One campaign; `counts` has living jobs by status and ended ones by outcome."""

    id: UUID
    name: str
    total: int
    counts: dict[str, int]
    stop_as: Annotated[
        Outcome | None,
        Field(description="It is being stopped: what waits (`cancelled`), or all of it (`killed`)."),
    ]
    held: Annotated[
        int, Field(description="Of those in `task_queue`: they wait for somebody to resolve them.")
    ]
    retried: Annotated[
        int,
        Field(description="Jobs that try a row again.  Each row is counted once: its newest job decides."),
    ]
    pictures: int
    cost_usd: Annotated[str | None, Field(description="As far as known; null when nothing is.")]
    cost_is_estimate: bool
    by_provider: list[AccountAnswer]
    created_at: datetime


class CampaignList(Answer):
    """All campaigns, newest first."""

    campaigns: list[CampaignAnswer]


class ProjectAnswer(AllowanceAnswer):
    """The caller's own project: what its operator lets it use, and what it uses."""

    name: str
    requests_per_minute: Annotated[
        int | None,
        Field(
            description="Requests that all its callers together may make; null for any number.  Beyond it "
            "is 429 with `Retry-After`; to cancel and to kill is never refused."
        ),
    ]
    keep_jobs_days: Annotated[
        int | None, Field(description="Days after its end for which a job is kept; null for ever.")
    ]
    keep_events_days: Annotated[int | None, Field(description="The same of its events.")]
    keep_outputs_days: Annotated[int | None, Field(description="The same of its pictures.")]
    created_at: datetime


class AddedJob(Answer):
    """A row's job; `is_new` is false when it was there already."""

    custom_id: str
    id: int
    uuid: UUID
    is_new: bool


class RowProblem(Answer):
    """One thing that is wrong with a row."""

    parameter: str
    kind: str
    message: str


class BadRow(Answer):
    """A row that was not queued; `index` counts from 0 in what was sent."""

    index: int
    custom_id: str | None
    problems: list[RowProblem]


class AddedRows(Answer):
    """What became of the rows."""

    added: int
    existing: int
    jobs: list[AddedJob]
    problems: list[BadRow]
