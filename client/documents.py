"""The documents of the HTTP API, as dictionaries with known keys.

They are what the server answers, unchanged: a key that is not named here is there all the same.
Money is a decimal in a string, a time is ISO 8601; `datetime.fromisoformat` reads it.
"""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypeAlias, TypedDict

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class Trouble(TypedDict):
    """Why a job has no pictures."""

    code: str
    message: str


class Output(TypedDict):
    """One stored picture.  Whoever has its `url` can read it."""

    name: str
    url: str
    content_type: str
    size_bytes: int
    sha256: str
    width_px: int
    height_px: int
    seed: int | None
    deleted_at: str | None


class Attempt(TypedDict):
    """One submission to one provider; `vendor_id` is what that provider calls it."""

    number: int
    provider: str
    state: str
    cost_usd: str | None
    cost_is_estimate: bool
    billed: str | None
    vendor_id: str | None
    request_id: str | None
    error_code: str | None
    error_message: str | None
    log: str | None
    intended_at: str
    submitted_at: str | None
    finished_at: str | None


class Queue(TypedDict):
    """A waiting job's place; `reason` is why nobody can say how long it waits."""

    position: int | None
    is_at_least: bool
    ahead: int | None
    wait_s: float | None
    reason: str | None


class Urls(TypedDict):
    """Where to go on from a job."""

    self: str
    events: str
    outputs: str
    cancel: str
    kill: str
    resolve: str
    retry: str


class Job(TypedDict):
    """One request to generate, as lists have it.

    `notice` is what has to be said beside the provider's name; `at_stake_usd` what
    a request may have cost whose answer was lost.
    """

    id: int
    uuid: str
    model: str
    status: str
    outcome: str | None
    parameters: dict[str, JsonValue]
    provider: str | None
    providers: list[str] | None
    route: str
    on_unknown: str
    excluded: dict[str, str]
    notice: str | None
    priority: int
    tags: list[str]
    start_by_at: str | None
    deadline_at: str | None
    retry: dict[str, JsonValue] | None
    retry_of: int | None
    retried_as: int | None
    campaign: str | None
    custom_id: str | None
    created_at: str
    finished_at: str | None
    held_at: str | None
    at_stake_usd: str | None
    cost_usd: str | None
    cost_is_estimate: bool
    error: Trouble | None
    stopped_how: str | None
    urls: Urls


class JobDetail(Job):
    """One job with its place in the queue, and all that was done for it."""

    queue: Queue | None
    attempts: list[Attempt]
    outputs: list[Output]


class QuotedOffer(TypedDict):
    """One way to buy a job; `why_not` says why it does not fit, `obstacle` what is in its way."""

    provider: str
    remote_id: str
    fits: bool
    why_not: str | None
    price_usd: str | None
    rank: int | None
    obstacle: str | None


class Quote(TypedDict):
    """What would become of a job now.  `goes_to` is None when all offers have an obstacle."""

    model: str
    parameters: dict[str, JsonValue]
    providers: list[str] | None
    route: str
    on_unknown: str
    priority: int
    tags: list[str]
    first_choice: str
    goes_to: str | None
    offers: list[QuotedOffer]
    obstacles: list[str]
    notice: str | None


class Event(TypedDict):
    """One status a job has had."""

    seq: int
    status: str
    at: str
    claim: int
    attempt_id: int | None
    worker_id: int | None
    reason: str | None


class Word(TypedDict, total=False):
    """What a provider says while it works: how far it is, from 0 to 1, or a line of its log."""

    progress: float
    log: str


class StopAnswer(TypedDict):
    """A job after a wish to stop it; `cancelled`: it has stopped without a picture."""

    cancelled: bool
    job: Job


class StoppedJob(TypedDict):
    """A named job after the wish to stop it; `is_heeded`: it has stopped without a picture, or will."""

    is_heeded: bool
    name: str
    id: int
    uuid: str
    status: str
    outcome: str | None
    stopped_how: str | None
    cost_usd: str | None
    cost_is_estimate: bool


class Stopped(TypedDict):
    """What became of the wish to stop jobs; `stopped` counts by what became of the money."""

    matched: int
    stopped: dict[str, int]
    stopping: int
    going_on: int
    ended_otherwise: int
    is_complete: bool
    cost_usd: str | None
    cost_is_estimate: bool
    cost_unknown: int
    jobs: list[StoppedJob]
    unknown: list[str]


class Resolved(TypedDict):
    """A held job after somebody decided about it."""

    job: Job
    at_stake_usd: str | None


class RetryAnswer(TypedDict):
    """The job that tries another one again; `is_new` is false when it was there already."""

    is_new: bool
    job: Job


class RetriedJob(TypedDict):
    """A job, as it was named, and the one that tries it again."""

    name: str
    id: int
    uuid: str
    is_new: bool


class NotRetried(TypedDict):
    """A named job that is not tried again, and why."""

    name: str
    code: str
    detail: str


class RetriedJobs(TypedDict):
    """What became of the wish to try some jobs again; with `next_cursor` there may be more."""

    retried: int
    existing: int
    skipped: dict[str, int]
    jobs: list[RetriedJob]
    not_retried: list[NotRetried]
    next_cursor: str | None


class Account(TypedDict):
    """What one provider has done for a campaign; `unknown` requests may have cost money nobody knows of."""

    provider: str
    requests: int
    pictures: int
    cost_usd: str | None
    cost_is_estimate: bool
    unknown: int


class Standing(TypedDict):
    """What a project or a campaign may use and what it uses; `notice` says why nothing new is sent."""

    weight: int
    max_in_flight: int | None
    in_flight: int
    waiting: int
    budget_usd: str | None
    spent_usd: str
    reserved_usd: str
    left_usd: str | None
    paused_at: str | None
    notice: str | None


class Project(Standing):
    """The caller's own project: what its operator lets it use, and what it uses."""

    name: str
    requests_per_minute: int | None
    keep_jobs_days: int | None
    keep_events_days: int | None
    keep_outputs_days: int | None
    created_at: str


class Campaign(Standing):
    """Many jobs under one name; `counts` has living jobs by status, ended ones by outcome.

    `held` ones are counted in `task_queue` too.  `stop_as`: it is being stopped.
    """

    id: str
    name: str
    created_at: str
    total: int
    counts: dict[str, int]
    stop_as: str | None
    held: int
    retried: int
    pictures: int
    cost_usd: str | None
    cost_is_estimate: bool
    by_provider: list[Account]


class Offer(TypedDict):
    """One way to buy a model."""

    provider: str
    is_on: bool
    price_usd: str | None
    price_per: NotRequired[str | None]
    notice: str | None


class Option(TypedDict):
    """One choice of a parameter."""

    value: str
    label: str


class Input(TypedDict):
    """One parameter of a model; `allowed` says in words what it takes.

    `default` is what leaving it out means, unless it is required or the default is a sample.
    """

    name: str
    label: str
    help: str
    type: str
    holds: str
    required: bool
    default: str | None
    default_is_sample: NotRequired[bool]
    allowed: str
    options: list[Option]
    minimum: float | None
    maximum: float | None
    step: int | None
    length_max: int | None
    count_max: int | None


class Model(TypedDict):
    """One generative model and who sells it, as lists have it."""

    slug: str
    title: str
    description: str
    cover: str | None
    categories: list[str]
    tags: list[str]
    offers: list[Offer]


class ModelDetail(Model):
    """One generative model with its parameters."""

    inputs: list[Input]
    inspires: list[dict[str, str]]
    source: str


class Breaker(TypedDict):
    """Whether an offer is used."""

    state: str
    failures: int
    opened_at: str | None
    retry_at: str | None
    reason: str | None


class Retried(TypedDict):
    """The models that the next job tries again at a provider."""

    provider: str
    models: list[str]


class Limit(TypedDict):
    """How many jobs a provider or an offer may have, and has; `window` is what it lets in for now."""

    in_flight: int
    max_in_flight: int | None
    documented_in_flight: int | None
    window: int | None
    refusals: int
    quiet_until: str | None
    per_second: float | None
    price_usd: str | None
    paused_at: str | None


class Sold(TypedDict):
    """One model that a provider sells, and how it has gone lately."""

    model: str
    remote_id: str
    price_usd: str | None
    price_per: NotRequired[str | None]
    highest_cost_usd: str | None
    breaker: Breaker
    latency_s: float | None
    held: int
    limit: Limit


class Provider(TypedDict):
    """One provider."""

    name: str
    is_on: bool
    serves_everything: bool
    models: list[str]
    offers: list[Sold]
    limit: Limit
    notice: str | None


class Terms(TypedDict, total=False):
    """How a job is to be made: what is left out, or None, is as the server has it.

    `provider`, or `providers` with the best first: no others than these.  `route` ranks them
    (`order`, `price`, `latency`).  `on_unknown`: what becomes of the job when the answer to a paid
    request is lost (`hold`, `fail`, `resend`).  `priority`: higher goes first.  `deadline_s`,
    `start_within_s`: it expires unless it has ended, or was sent to a provider, by then.  `retry`:
    its own policy about another attempt.  `tags`: words of yours, to find it by.  `webhook_url`: told when
    it ends or is held, of `webhook_events` alone where they are named.
    """

    provider: str | None
    providers: Sequence[str] | None
    route: str | None
    on_unknown: str | None
    priority: int | None
    deadline_s: float | None
    start_within_s: float | None
    retry: Mapping[str, JsonValue] | None
    tags: Sequence[str] | None
    webhook_url: str | None
    webhook_events: Sequence[str] | None


class Row(Terms):
    """One job of a campaign: sent again under its `custom_id`, it is the same job."""

    custom_id: str
    model: str
    parameters: Mapping[str, object]


class File(TypedDict):
    """A file or folder of the project.  Whoever has a file's `url` can read it.

    Jobs call it by its `reference`.  Of a folder, `url`, `reference` and `sha256` are None.
    """

    id: str
    kind: str
    name: str
    folder: str | None
    content_type: str
    size_bytes: int
    sha256: str | None
    url: str | None
    reference: str | None
    created_at: str


class Problem(TypedDict):
    """One parameter that does not fit."""

    parameter: str
    kind: str
    message: str


class RowProblem(TypedDict):
    """Why one row became no job; `index` counts from 0 within the rows that were sent."""

    index: int
    custom_id: str | None
    problems: list[Problem]


class AddedJob(TypedDict):
    """A row's job; `is_new` is false when it was there already."""

    custom_id: str
    id: int
    uuid: str
    is_new: bool


class Added(TypedDict):
    """What became of some rows."""

    added: int
    existing: int
    jobs: list[AddedJob]
    problems: list[RowProblem]
