"""What is told of jobs."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    Field,
)

from api.native.schemas.words import Answer
from catalogue import RetryTerms
from models.lifecycle import (
    AttemptState,
    Billed,
    OnUnknown,
    Outcome,
    Route,
    Status,
    StopOutcome,
)


class JobError(Answer):
    """Why a job failed."""

    code: str
    message: str


class JobUrls(Answer):
    """Where to go on from a job."""

    self: str
    events: str
    outputs: str
    cancel: str
    kill: str
    resolve: str
    retry: str


class JobAnswer(Answer):
    """One job."""

    id: int
    uuid: UUID
    model: str
    status: Status
    outcome: Annotated[Outcome | None, Field(description="How it ended; null while it lives.")]
    parameters: Annotated[
        dict[str, Any],
        Field(description="As read.  A picture that was sent along is shown by its address here."),
    ]
    provider: Annotated[
        str | None, Field(description="The one chosen, or asked for; of a held job the one that may have it.")
    ]
    providers: Annotated[
        list[str] | None, Field(description="No others than these, best first; null for any.")
    ]
    route: Annotated[Route, Field(description="By what the providers are ranked.")]
    on_unknown: Annotated[
        OnUnknown, Field(description="What becomes of it when the answer to a paid request is lost.")
    ]
    excluded: Annotated[
        dict[str, str],
        Field(
            description="Providers that cannot make this picture, and why.",
            examples=[{"vtrix": "it takes no more than 8 pictures"}],
        ),
    ]
    notice: Annotated[
        str | None,
        Field(
            description="What has to be known about this provider; of a single job also why nobody takes it "
            "just now, when all who may are paused, asked for quiet, or are left alone by their breakers."
        ),
    ]
    priority: int
    tags: Annotated[list[str], Field(description="Its caller's words for it.")]
    start_by_at: Annotated[
        datetime | None, Field(description="It expires unless it was sent to a provider by then.")
    ]
    deadline_at: Annotated[datetime | None, Field(description="It expires unless it has ended by then.")]
    retry: Annotated[
        RetryTerms | None, Field(description="Its own policy about another attempt, over its model's.")
    ]
    retry_of: Annotated[int | None, Field(description="The job that this one tries again.")]
    retried_as: Annotated[int | None, Field(description="The job that tries this one again.")]
    campaign: UUID | None
    custom_id: str | None
    created_at: datetime
    finished_at: datetime | None
    held_at: Annotated[
        datetime | None,
        Field(description="Since when it waits for somebody to resolve it: an answer was lost."),
    ]
    at_stake_usd: Annotated[
        str | None,
        Field(description="Of a held job: what buying again may cost for nothing; null when unknown."),
    ]
    cost_usd: Annotated[str | None, Field(description="Null when unknown.", examples=["0.04"])]
    cost_is_estimate: Annotated[
        bool, Field(description="The provider did not say: it is the catalogue's price.")
    ]
    error: JobError | None
    stopped_how: Annotated[
        StopOutcome | None,
        Field(
            description="What became of the money of a stopped job.  `provider_cannot_cancel`: it was given "
            "up here, runs on there, and may be billed."
        ),
    ]
    urls: JobUrls


class QuotedOffer(Answer):
    """One way to buy what was asked about."""

    provider: str
    remote_id: Annotated[str, Field(description="What the provider calls the model.")]
    fits: Annotated[bool, Field(description="It is on, it is wanted, and it can be told all of it.")]
    why_not: Annotated[
        str | None,
        Field(description="Why it does not fit.", examples=["vtrix takes no more than 8 pictures"]),
    ]
    price_usd: Annotated[
        str | None,
        Field(
            description="Of the whole job: the catalogue's price, else the operator's, else what its dearest "
            "pictures cost of late; null when nobody knows.",
            examples=["0.04"],
        ),
    ]
    rank: Annotated[int | None, Field(description="1 is tried first; null where it does not fit.")]
    obstacle: Annotated[
        str | None,
        Field(
            description="What keeps new jobs from it just now; null when nothing is known of that.",
            examples=["wiro is paused"],
        ),
    ]


class QuoteAnswer(Answer):
    """What would become of a job if it were queued now.  Nothing was stored, and nothing is promised."""

    model: str
    parameters: Annotated[
        dict[str, Any], Field(description="As read, with what was left out.  Pictures were not stored.")
    ]
    providers: Annotated[
        list[str] | None, Field(description="No others than these, best first; null for any.")
    ]
    route: Annotated[Route, Field(description="By what the providers are ranked.")]
    on_unknown: OnUnknown
    priority: int
    tags: list[str]
    first_choice: Annotated[str, Field(description="Who is tried first, by the route.")]
    goes_to: Annotated[
        str | None, Field(description="The first without an obstacle; null when all of them have one.")
    ]
    offers: Annotated[
        list[QuotedOffer], Field(description="Those that fit, first choice first; then the others.")
    ]
    obstacles: Annotated[
        list[str], Field(description="What would keep it waiting wherever it is to go, in sentences.")
    ]
    notice: Annotated[str | None, Field(description="What has to be known about the first choice.")]


class AttemptAnswer(Answer):
    """One submission of a job to one provider."""

    number: int
    provider: str
    state: Annotated[
        AttemptState,
        Field(
            description="`cancelled`: nobody waits for it any more; whether its provider stopped it, the "
            "job's `stopped_how` says."
        ),
    ]
    cost_usd: str | None
    cost_is_estimate: bool
    billed: Annotated[
        Billed | None, Field(description="Whether it cost money; null while it is open, or never told.")
    ]
    vendor_id: Annotated[
        str | None,
        Field(
            description="What the provider calls this request, in its own list and on its bill; null while "
            "that is not known.",
            examples=["534574"],
        ),
    ]
    request_id: Annotated[str | None, Field(description="The provider's own, for its support.")]
    error_code: str | None
    error_message: str | None
    log: Annotated[
        str | None,
        Field(description="What the provider said while it worked, its last lines; kept when it ends."),
    ]
    intended_at: datetime
    submitted_at: datetime | None
    finished_at: datetime | None


class OutputAnswer(Answer):
    """One stored picture.  Whoever has its URL can read it."""

    name: str
    url: str
    content_type: str
    size_bytes: int
    sha256: str
    width_px: int
    height_px: int
    seed: int | None
    deleted_at: Annotated[
        datetime | None,
        Field(description="Since then there is only this record: the project keeps pictures for a time."),
    ]


class OutputList(Answer):
    """A job's pictures, in order; none before it has ended."""

    outputs: list[OutputAnswer]


class OrderedJob(JobAnswer):
    """A job as its caller is told of it first."""

    outputs: Annotated[
        list[OutputAnswer], Field(description="Once it has ended: see `Prefer`, or `urls.outputs`.")
    ]


class QueueAnswer(Answer):
    """A waiting job's place in the queue.

    `position` counts its own lane: the jobs of its project, of its campaign or of none, and of its priority.
    `ahead` are those that go before it in all, as projects and lanes take turns now.

    Neither counts what cannot go now, unless the job itself stands still for the same reason: what is paused,
    is being stopped or has no budget left, and what all who may make it are closed to.
    """

    position: Annotated[int | None, Field(description="1 goes next in its lane; null while it is in none.")]
    is_at_least: Annotated[bool, Field(description="There may be more before it: only so many were counted.")]
    ahead: int | None
    wait_s: Annotated[
        float | None,
        Field(
            description="Estimated seconds until it is handed out; null when nobody can know: see `reason`."
        ),
    ]
    reason: Annotated[str | None, Field(description="Why there is no estimate.")]


class JobDetail(JobAnswer):
    """One job with all that was done for it."""

    queue: Annotated[QueueAnswer | None, Field(description="Its place; null unless it waits for its turn.")]
    attempts: list[AttemptAnswer]
    outputs: list[OutputAnswer]


class JobPage(Answer):
    """Some jobs, newest first; `next_cursor` asks for the ones before, null when there are none."""

    jobs: list[JobAnswer]
    next_cursor: str | None


class EventAnswer(Answer):
    """One arrow a job has taken."""

    seq: int
    status: Status
    at: datetime
    claim: int
    attempt_id: int | None
    worker_id: int | None
    reason: str | None


class EventList(Answer):
    """A job's way so far."""

    events: list[EventAnswer]
