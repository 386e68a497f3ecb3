"""What the native API takes."""

from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    Field,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from api.native.schemas.words import (
    ERROR_CODES_MAX,
    PROVIDERS_MAX,
    ROWS_MAX,
    Asked,
    Budget,
    MaxInFlight,
    Name,
    Parameters,
    Priority,
    Span,
    Tags,
    Weight,
)
from api.receivers import Events, ReceiverUrl
from catalogue import RetryTerms
from models.allowances import Allowance
from models.bounds import PRIORITY_MAX
from models.lifecycle import (
    OnUnknown,
    Outcome,
    Route,
    Status,
)
from models.webhook import Notice


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
