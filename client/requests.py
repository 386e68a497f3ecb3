"""One request to a Darkroom, as a value: nothing here sends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID

from client.documents import Campaign, Job

_Value = TypeVar("_Value")

JobName = Job | int | str | UUID
"""A job: its document, its number, its UUID or its token."""

CampaignName = Campaign | str | UUID
"""A campaign: its document or its id."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent.

    Attributes:
        method: of HTTP.
        path: below the server's address.
        params: of the query.
        json: the body, unless `content` is.
        content: the body as bytes.
        headers: beside those that every request has; none of them is a secret.
        may_repeat: whether asking twice is as good as once, so that a lost answer may be asked for again.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    may_repeat: bool = True


def get(path: str, **params: str | None) -> Request:
    """Look; what is None is left out of the query."""
    return Request("GET", path, params=given(params))


def post(path: str, json: Mapping[str, object] | None = None) -> Request:
    """A wish that may be said twice."""
    return Request("POST", path, json=json)


def post_once(path: str, json: Mapping[str, object]) -> Request:
    """A wish that is another one when it is said twice."""
    return Request("POST", path, json=json, may_repeat=False)


def job_path(job: JobName, rest: str = "") -> str:
    """Where this job is."""
    return f"/api/jobs/{quote(name_of_job(job), safe='')}{rest}"


def name_of_job(job: JobName) -> str:
    """What the server calls it."""
    return str(job["id"]) if isinstance(job, dict) else str(job)


def campaign_path(campaign: CampaignName, rest: str = "") -> str:
    """Where this campaign is."""
    return f"/api/campaigns/{quote(name_of_campaign(campaign), safe='')}{rest}"


def name_of_campaign(campaign: CampaignName) -> str:
    """What the server calls it."""
    return campaign["id"] if isinstance(campaign, dict) else str(campaign)


def given(values: Mapping[str, _Value | None]) -> dict[str, _Value]:
    """What was said; None was not."""
    return {name: value for name, value in values.items() if value is not None}
