"""The native API's JSON: what it takes and what it answers, with real types.

Money is a decimal in a string, because a JSON number is a float; times are ISO 8601 in UTC.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from models.lifecycle import AttemptState, Outcome, Status, StopOutcome

ROWS_MAX = 1000
PRIORITY_MAX = 100


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored")
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]
Priority = Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX, description="Higher goes first.")]
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
    priority: Priority = 0


class CampaignRow(NewJobBody):
    """One job of a campaign."""

    custom_id: Annotated[Name, Field(description="Yours; sent again it is the same job.", examples=["row-1"])]


class NewCampaignBody(Asked):
    """A campaign to open, or to find again by its name."""

    name: Annotated[Name, Field(examples=["Eight prompts"])]


class CampaignRowsBody(Asked):
    """Jobs to add to a campaign.  Rows are read one by one, so that a bad one does not hold up the others."""

    rows: Annotated[
        list[Any],
        Field(max_length=ROWS_MAX),
        WithJsonSchema({"type": "array", "maxItems": ROWS_MAX, "items": CampaignRow.model_json_schema()}),
    ]


# --- jobs ------------------------------------------------------------------------------------------


class JobError(Answer):
    """Why a job failed."""

    code: str
    message: str


class JobUrls(Answer):
    """Where to go on from a job."""

    self: str
    events: str
    cancel: str
    kill: str


class JobAnswer(Answer):
    """One job."""

    id: int
    uuid: UUID
    model: str
    status: Status
    outcome: Annotated[Outcome | None, Field(description="How it ended; null while it lives.")]
    parameters: dict[str, Any]
    provider: Annotated[str | None, Field(description="The one chosen, or asked for.")]
    notice: Annotated[str | None, Field(description="What has to be known about this provider.")]
    priority: int
    campaign: UUID | None
    custom_id: str | None
    created_at: datetime
    finished_at: datetime | None
    cost_usd: Annotated[str | None, Field(description="Null when unknown.", examples=["0.04"])]
    error: JobError | None
    stopped_how: Annotated[
        StopOutcome | None, Field(description="What became of the money of a stopped job.")
    ]
    urls: JobUrls


class AttemptAnswer(Answer):
    """One submission of a job to one provider."""

    number: int
    provider: str
    state: AttemptState
    cost_usd: str | None
    error_code: str | None
    error_message: str | None
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


class JobDetail(JobAnswer):
    """One job with all that was done for it."""

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


class StopAnswer(Answer):
    """A job after a wish to stop it; `cancelled` is whether it has stopped without a picture."""

    cancelled: bool
    job: JobAnswer


# --- campaigns -------------------------------------------------------------------------------------


class CampaignAnswer(Answer):
    """One campaign; `counts` has living jobs by status and ended ones by outcome."""

    id: UUID
    name: str
    total: int
    counts: dict[str, int]
    created_at: datetime


class CampaignList(Answer):
    """All campaigns, newest first."""

    campaigns: list[CampaignAnswer]


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
    price_usd: Annotated[str, Field(description="Of one picture.", examples=["0.04"])]
    notice: str | None


class OptionAnswer(Answer):
    """One choice."""

    value: str
    label: str


class InputAnswer(Answer):
    """One parameter of a model; `default` is what leaving it out means, and for a required one a sample."""

    name: str
    label: str
    help: str
    type: str
    holds: str
    required: bool
    default: str | None
    allowed: str
    options: list[OptionAnswer]
    minimum: int | None
    maximum: int | None
    length_max: int | None


class ModelAnswer(Answer):
    """One generative model and who sells it."""

    slug: str
    title: str
    description: str
    cover: str
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


class ProviderAnswer(Answer):
    """One provider."""

    name: str
    is_on: bool
    serves_everything: Annotated[bool, Field(description="It serves every model, because no key is set.")]
    models: Annotated[list[str], Field(description="What it sells.")]
    notice: str | None


class ProviderList(Answer):
    """All providers."""

    providers: list[ProviderAnswer]


class ProblemAnswer(BaseModel):
    """What every refusal looks like: RFC 9457, `application/problem+json`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: Annotated[str, Field(description="A stable word for programs.", examples=["job_not_found"])]
    detail: Annotated[str, Field(description="A sentence for people.")]


def plain_usd(amount: Decimal | None) -> str | None:
    """An amount without needless zeros and never in exponents; None when unknown."""
    return None if amount is None else f"{amount.normalize():f}"
