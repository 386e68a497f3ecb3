"""The documents of the HTTP API, as far as the command line reads them.

They are passed on as they came wherever somebody asks for JSON; a field that
is not named here is carried along.
"""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from pydantic import JsonValue

Parameters = Mapping[str, JsonValue]


class Trouble(TypedDict):
    """Why a job has no pictures."""

    code: str
    message: str


class Output(TypedDict):
    """One picture; `path` is where this command saved it."""

    name: str
    url: str
    content_type: str
    size_bytes: int
    sha256: str
    width_px: int
    height_px: int
    seed: int | None
    deleted_at: str | None
    path: NotRequired[str]


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


class Queue(TypedDict):
    """A waiting job's place; `reason` is why nobody can say how long it waits."""

    position: int | None
    is_at_least: bool
    ahead: int | None
    wait_s: float | None
    reason: str | None


class Job(TypedDict):
    """One request to generate; attempts, outputs and its place come only with a single job.

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
    queue: NotRequired[Queue | None]
    attempts: NotRequired[list[Attempt]]
    outputs: NotRequired[list[Output]]


class Event(TypedDict):
    """One status a job has had."""

    seq: int
    status: str
    at: str
    claim: int
    attempt_id: int | None
    worker_id: int | None
    reason: str | None


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
    """A tenant, as its operator sees it; without its secret."""

    id: int
    name: str
    auth: str
    api_key: str
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


class Input(TypedDict):
    """One parameter of a model."""

    name: str
    required: bool
    default: str | None
    default_is_sample: NotRequired[bool]
    allowed: str
    help: str


class Model(TypedDict):
    """One generative model; inputs come only with a single one."""

    slug: str
    title: str
    description: str
    offers: list[Offer]
    inputs: NotRequired[list[Input]]


class Breaker(TypedDict):
    """Whether an offer is used."""

    state: str
    failures: int
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
    models: list[str]
    offers: list[Sold]
    limit: Limit
    notice: str | None


class Row(TypedDict):
    """One job of a campaign, as it is sent."""

    custom_id: str
    model: str
    parameters: dict[str, JsonValue]
    priority: NotRequired[int]
    providers: NotRequired[list[str]]
    route: NotRequired[str]
    on_unknown: NotRequired[str]
    deadline_s: NotRequired[float]
    start_within_s: NotRequired[float]
    retry: NotRequired[Mapping[str, JsonValue]]


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


class Added(TypedDict):
    """What became of some rows."""

    added: int
    existing: int
    problems: list[RowProblem]
