"""The native API's JSON: what it takes and what it answers, with real types.

Money is a decimal in a string, because a JSON number is a float; times are ISO 8601 in UTC.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from api.receivers import Events, ReceiverUrl
from catalogue import RetryTerms
from models import money
from models.allowances import IN_FLIGHT_MAX, WEIGHT_MAX, Allowance
from models.bounds import PRIORITY_MAX, SPAN_MAX_S, SPAN_MIN_S
from models.file import FileKind
from models.lifecycle import (
    AttemptState,
    Billed,
    BreakerState,
    OnUnknown,
    Outcome,
    Route,
    Status,
    StopOutcome,
)
from models.webhook import Notice

ROWS_MAX = 1000
PROVIDERS_MAX = 20
ERROR_CODES_MAX = 50
TAGS_MAX, TAG_LENGTH_MAX = 20, 50


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored")
    return text


def _taggable(word: str) -> str:
    """A word that can stand in a query, beside others, by commas."""
    if not word.isprintable() or "," in word or word != word.strip():
        raise ValueError("is printable, without commas, and without blanks around it")
    return word


def _each_once(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _amount(given: object) -> object:
    """A number in JSON is taken as it is written there; what it is not, the next check refuses."""
    if isinstance(given, str):
        return money.read_usd(given)
    if isinstance(given, int | float) and not isinstance(given, bool):
        return money.read_usd(f"{Decimal(repr(given)):f}")
    return given


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=TAG_LENGTH_MAX), AfterValidator(_taggable)]
Tags = Annotated[
    list[Tag], Field(max_length=TAGS_MAX, examples=[["spring", "posters"]]), AfterValidator(_each_once)
]
Priority = Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX, description="Higher goes first.")]
Weight = Annotated[
    Annotated[int, Field(ge=1, le=WEIGHT_MAX)] | None,
    Field(
        description="Turns it gets for each turn of another of the project's campaigns that has 1.",
        examples=[1],
    ),
]
MaxInFlight = Annotated[
    Annotated[int, Field(ge=1, le=IN_FLIGHT_MAX)] | None,
    Field(description="Jobs that may be at providers at a time.", examples=[20]),
]
Budget = Annotated[
    Decimal | None,
    BeforeValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}),
    Field(description="US dollars that it may spend in all; a string is exact.", examples=["10.00"]),
]
Span = Annotated[float, Field(ge=SPAN_MIN_S, le=SPAN_MAX_S, allow_inf_nan=False)]
# Not typed further: reading them is the catalogue's work, and it names the parameter that is wrong.
Parameters = Annotated[
    dict[str, Any],
    Field(
        description="The model's parameters, as strings or with their own types.",
        examples=[{"prompt": "A paper boat in a puddle after the rain.", "aspectRatio": "16:9", "seed": 42}],
    ),
]


class Asked(BaseModel):
    """Root of what is taken: a name nobody knows is refused, not dropped."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(BaseModel):
    """Root of what is answered."""

    model_config = ConfigDict(frozen=True)


# --- what is taken ---------------------------------------------------------------------------------


class NewJobBody(Asked):
    """One job to queue."""

    model: Annotated[str, Field(description="Slug or title.", examples=["black-forest-labs/flux-pro-1-1"])]
    parameters: Parameters = {}
    provider: Annotated[str | None, Field(description="Only this provider; null lets Darkroom choose.")] = (
        None
    )
    providers: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            max_length=PROVIDERS_MAX,
            description="No others than these, best first; instead of `provider`.",
            examples=[["wiro", "runware"]],
        ),
    ] = None
    route: Annotated[
        Annotated[Route, Strict(strict=False)] | None,
        Field(description="By what the providers are ranked; null is this installation's DARKROOM_ROUTE."),
    ] = None
    on_unknown: Annotated[
        Annotated[OnUnknown, Strict(strict=False)] | None,
        Field(
            description="What becomes of the job when the answer to a paid request is lost: it is held until "
            "somebody decides, fails, or is bought again, maybe for the second time; null is this "
            "installation's DARKROOM_ON_UNKNOWN."
        ),
    ] = None
    priority: Priority = 0
    deadline_s: Annotated[
        Span | None, Field(description="It expires unless it has ended so many seconds after it was queued.")
    ] = None
    start_within_s: Annotated[
        Span | None,
        Field(description="It expires unless it was sent to a provider so many seconds after it was queued."),
    ] = None
    retry: Annotated[
        RetryTerms | None,
        Field(description="Its own policy about another attempt, over its model's.", examples=[None]),
    ] = None
    tags: Annotated[Tags, Field(description="Words of yours, to find it by.")] = []
    webhook_url: Annotated[
        ReceiverUrl | None,
        Field(
            description="Told when this job ends or is held, beside the project's webhooks; signed with the "
            "secret at /api/project/webhook-secret.",
            examples=[None],
        ),
    ] = None
    webhook_events: Events = None

    @field_validator("start_within_s")
    @classmethod
    def _begins_before_it_must_end(cls, start_within_s: float | None, told: ValidationInfo) -> float | None:
        deadline_s = told.data.get("deadline_s")  # absent when it is itself wrong
        if start_within_s is not None and deadline_s is not None and start_within_s > deadline_s:
            raise ValueError("is longer than deadline_s")
        return start_within_s

    @field_validator("providers")
    @classmethod
    def _name_each_once(cls, providers: list[str] | None, told: ValidationInfo) -> list[str] | None:
        if providers is None:
            return None
        if told.data.get("provider") is not None:
            raise ValueError("give provider or providers, not both")
        if len(set(providers)) < len(providers):
            raise ValueError("takes each provider once")
        return providers

    @field_validator("webhook_events")
    @classmethod
    def _tell_somebody(cls, events: list[Notice] | None, told: ValidationInfo) -> list[Notice] | None:
        if events is not None and "webhook_url" in told.data and told.data["webhook_url"] is None:
            raise ValueError("goes with webhook_url")
        return events

    @property
    def wanted_providers(self) -> tuple[str, ...] | None:
        """No others than these, best first; None for any."""
        if self.provider is not None:
            return (self.provider,)
        return None if self.providers is None else tuple(self.providers)


class Unsuccessful(StrEnum):
    """How a job has ended that may be tried again."""

    FAILED = Outcome.FAILED
    EXPIRED = Outcome.EXPIRED
    CANCELLED = Outcome.CANCELLED
    KILLED = Outcome.KILLED


class JobFilterBody(Asked):
    """Which of the project's jobs are meant: those to which everything that is said applies."""

    all: Annotated[bool, Field(description="Every job; needed where nothing else is said.")] = False
    campaign: Annotated[Annotated[UUID, Strict(strict=False)] | None, Field(description="Its id.")] = None
    model: Annotated[Name | None, Field(description="Its slug.")] = None
    provider: Annotated[
        Name | None, Field(description="With it now, with a request there, or wanting nobody else.")
    ] = None
    priority: Annotated[int | None, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX)] = None
    held: Annotated[bool | None, Field(description="Only those that wait for somebody.")] = None
    tags: Annotated[Tags | None, Field(min_length=1, description="Bearing all of these.")] = None
    created_after: Annotated[
        Annotated[AwareDatetime, Strict(strict=False)] | None, Field(description="Then or later.")
    ] = None
    created_before: Annotated[
        Annotated[AwareDatetime, Strict(strict=False)] | None, Field(description="Earlier than that.")
    ] = None

    @model_validator(mode="after")
    def _mean_somebody(self) -> Self:
        """A filter that was left empty by accident must not mean everybody."""
        is_empty = not self.model_dump(exclude={"all"}, exclude_none=True)
        if is_empty and not self.all:
            raise ValueError("says nothing: `all: true` means every job of the project")
        if self.all and not is_empty:
            raise ValueError("give `all` or what the jobs have in common, not both")
        return self


class LivingFilterBody(JobFilterBody):
    """Which of the project's jobs are meant, of those that have not ended."""

    statuses: Annotated[
        list[Annotated[Status, Strict(strict=False)]] | None,
        Field(min_length=1, examples=[["task_queue"]]),
    ] = None


JobNames = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=64)] | int],
    Field(min_length=1, max_length=ROWS_MAX, description="Numbers, UUIDs or tokens.", examples=[[41, 42]]),
]


class StopBody(Asked):
    """Whom to stop: by name, or by what they have in common."""

    ids: JobNames | None = None
    filter: LivingFilterBody | None = None

    @model_validator(mode="after")
    def _mean_somebody(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give ids or filter")
        return self


class EndedFilterBody(JobFilterBody):
    """Which of the project's jobs are meant, of those that ended without a picture."""

    outcomes: Annotated[
        list[Annotated[Unsuccessful, Strict(strict=False)]] | None,
        Field(
            min_length=1,
            description="Failed and expired ones, unless others are named: who cancelled a job wanted that.",
            examples=[["failed"]],
        ),
    ] = None
    error_codes: Annotated[
        list[Name] | None, Field(min_length=1, max_length=ERROR_CODES_MAX, examples=[["generation_failed"]])
    ] = None


class RetryBody(Asked):
    """How a job is to be tried again."""

    even_if_paid: Annotated[
        bool, Field(description="Also where money may have gone into it already: it may be paid for twice.")
    ] = False


class RetryCampaignBody(RetryBody):
    """How what failed of a campaign is to be tried again."""

    dry_run: Annotated[
        bool, Field(description="Try nothing: `retried` says how many it would be, as far as is known.")
    ] = False
    cursor: Annotated[
        str | None, Field(description="`next_cursor` of the answer before: go on from there.")
    ] = None


class RetryJobsBody(RetryCampaignBody):
    """Which jobs are to be tried again: those that are named, or those to which a filter applies."""

    ids: JobNames | None = None
    filter: EndedFilterBody | None = None

    @model_validator(mode="after")
    def _mean_one_or_the_other(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give ids or filter")
        if self.ids is not None and (self.dry_run or self.cursor is not None):
            raise ValueError("dry_run and cursor go with filter")
        return self


class CampaignRow(NewJobBody):
    """One job of a campaign."""

    custom_id: Annotated[Name, Field(description="Yours; sent again it is the same job.", examples=["row-1"])]


class CampaignTerms(Asked):
    """What a campaign may use; what is left out stays as it is, null lifts it."""

    weight: Weight = None
    max_in_flight: MaxInFlight = None
    budget_usd: Budget = None

    @property
    def allowance(self) -> Allowance:
        """What was said, and nothing else; a weight that is lifted is 1."""
        said: Allowance = {}
        if "weight" in self.model_fields_set:
            said["weight"] = self.weight or 1
        if "max_in_flight" in self.model_fields_set:
            said["max_in_flight"] = self.max_in_flight
        if "budget_usd" in self.model_fields_set:
            said["budget_usd"] = self.budget_usd
        return said


class NewCampaignBody(CampaignTerms):
    """A campaign to open, or to find again by its name; of one that is there, what is said must be so."""

    name: Annotated[Name, Field(examples=["Eight prompts"])]


class CampaignRowsBody(Asked):
    """Jobs to add to a campaign.  Rows are read one by one, so that a bad one does not hold up the others."""

    rows: Annotated[
        list[Any],
        Field(max_length=ROWS_MAX),
        WithJsonSchema({"type": "array", "maxItems": ROWS_MAX, "items": CampaignRow.model_json_schema()}),
    ]


class How(StrEnum):
    """What somebody decides about a held job."""

    RESEND = "resend"
    FAIL = "fail"
    FOUND = "found"


class ResolveBody(Asked):
    """What to do with a job whose answer was lost."""

    how: Annotated[
        Annotated[How, Strict(strict=False)],
        Field(
            description="`resend`: buy again, and maybe pay twice.  `fail`: give it up.  `found`: go on with "
            "the request that was found at the provider."
        ),
    ]
    remote_id: Annotated[
        Name | None,
        Field(description="With `found`: the provider's own id of the request.", validate_default=True),
    ] = None

    @field_validator("remote_id")
    @classmethod
    def _goes_with_found(cls, remote_id: str | None, told: ValidationInfo) -> str | None:
        how = told.data.get("how")  # absent when it is itself wrong
        if how is How.FOUND and not (remote_id or "").strip():
            raise ValueError("found needs the provider's own id of the request")
        if how in {How.RESEND, How.FAIL} and remote_id is not None:
            raise ValueError("goes with found alone")
        return remote_id


# --- jobs ------------------------------------------------------------------------------------------


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


class FileAnswer(Answer):
    """One file or folder of the project.  Whoever has a file's URL can read it."""

    id: UUID
    kind: FileKind
    name: str
    folder: Annotated[UUID | None, Field(description="Where it lies; null at the top.")]
    content_type: Annotated[str, Field(description="By its content and its name; empty of a folder.")]
    size_bytes: int
    sha256: Annotated[str | None, Field(description="Hex, of its bytes; null of a folder.")]
    url: Annotated[str | None, Field(description="Null of a folder.")]
    reference: Annotated[
        str | None, Field(description="What it is called among a job's parameters; null of a folder.")
    ]
    created_at: datetime


class FilePage(Answer):
    """Some files, newest first; `next_cursor` asks for the ones before, null when there are none."""

    files: list[FileAnswer]
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


# --- campaigns -------------------------------------------------------------------------------------


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


# --- models and providers ----------------------------------------------------------------------------


class OfferAnswer(Answer):
    """One way to buy a model."""

    provider: str
    is_on: bool
    price_usd: Annotated[str | None, Field(description="Of one unit; null when unknown.", examples=["0.04"])]
    price_per: Annotated[str | None, Field(description="The unit: a picture, or a started megapixel.")]
    notice: str | None


class OptionAnswer(Answer):
    """One choice."""

    value: str
    label: str


class InputAnswer(Answer):
    """One parameter of a model.

    `default` is what leaving it out means, unless the parameter is required or the default is a sample.
    """

    name: str
    label: str
    help: str
    type: str
    holds: str
    required: bool
    default: str | None
    default_is_sample: Annotated[bool, Field(description="Leaving it out does not mean the default.")]
    allowed: str
    options: list[OptionAnswer]
    minimum: int | float | None
    maximum: int | float | None
    step: Annotated[int | None, Field(description="It takes multiples of this.")]
    length_max: int | None
    count_max: Annotated[int | None, Field(description="Most pictures; null for what is no picture.")]


class ModelAnswer(Answer):
    """One generative model and who sells it."""

    slug: str
    title: str
    description: str
    cover: str | None
    categories: list[str]
    tags: list[str]
    offers: list[OfferAnswer]


class ModelDetail(ModelAnswer):
    """One generative model with its parameters."""

    inputs: list[InputAnswer]
    inspires: list[dict[str, str]]
    source: Annotated[str, Field(description="Where these facts are from.")]


class ModelList(Answer):
    """All models."""

    models: list[ModelAnswer]


class BreakerAnswer(Answer):
    """Whether an offer is used: after trouble it is left alone for a while, then one job tries it."""

    state: BreakerState
    failures: Annotated[int, Field(description="In a row.")]
    opened_at: datetime | None
    retry_at: Annotated[datetime | None, Field(description="When open: not before.")]
    reason: Annotated[str | None, Field(description="The latest trouble.")]


class LimitAnswer(Answer):
    """How many jobs a provider, or one of its offers, may have, and has."""

    in_flight: Annotated[int, Field(description="Jobs of all projects that are there, or about to be.")]
    max_in_flight: Annotated[
        int | None, Field(description="The operator's limit, or what the provider documents; null for any.")
    ]
    documented_in_flight: Annotated[
        int | None, Field(description="What the provider documents; null when it does not say.")
    ]
    window: Annotated[
        int | None,
        Field(
            description="So many for now, since it has refused more; widens with time.  Null when it has not."
        ),
    ]
    refusals: Annotated[int, Field(description="For want of room, in a row.")]
    quiet_until: Annotated[
        datetime | None, Field(description="It asked for a pause: nothing new is sent before.")
    ]
    per_second: Annotated[
        float | None, Field(description="Requests in a second, of a whole provider; null for any number.")
    ]
    price_usd: Annotated[
        str | None, Field(description="The operator's price of one job, where the catalogue knows none.")
    ]
    paused_at: Annotated[
        datetime | None, Field(description="The operator sends nothing new there since then.")
    ]


class SoldAnswer(Answer):
    """One model that a provider sells, and how it has gone lately."""

    model: str
    remote_id: Annotated[str, Field(description="What the provider calls the model.")]
    price_usd: Annotated[str | None, Field(description="Of one unit; null when unknown.", examples=["0.04"])]
    price_per: Annotated[str | None, Field(description="The unit: a picture, or a started megapixel.")]
    highest_cost_usd: Annotated[
        str | None,
        Field(
            description="What the dearest of its last pictures cost, by which budgets go where nobody told a "
            "price; null when that is unknown."
        ),
    ]
    breaker: BreakerAnswer
    latency_s: Annotated[float | None, Field(description="Seconds to a picture, lately; null when unknown.")]
    held: Annotated[int, Field(description="The project's jobs whose answer was lost there.")]
    limit: Annotated[LimitAnswer, Field(description="Of this model there; the provider's own holds too.")]


class ProviderAnswer(Answer):
    """One provider."""

    name: str
    is_on: bool
    serves_everything: Annotated[bool, Field(description="It serves every model, because no key is set.")]
    models: Annotated[list[str], Field(description="What it sells.")]
    offers: list[SoldAnswer]
    limit: Annotated[LimitAnswer, Field(description="Of all its models together.")]
    notice: str | None


class ProviderList(Answer):
    """All providers."""

    providers: list[ProviderAnswer]


class RetryAnswer(Answer):
    """What the next job tries again at a provider."""

    provider: str
    models: Annotated[list[str], Field(description="Those whose breaker was open; empty when none was.")]


class ProblemAnswer(BaseModel):
    """What every refusal looks like: RFC 9457, `application/problem+json`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: Annotated[str, Field(description="A stable word for programs.", examples=["job_not_found"])]
    detail: Annotated[str, Field(description="A sentence for people.")]


plain_usd = money.plain_usd
