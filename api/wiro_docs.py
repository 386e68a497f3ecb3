"""How Wiro's doors are shown on the API's page, since we read their bodies and write their answers."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Responses = dict[int | str, dict[str, Any]]


class Shown(BaseModel):
    """Part of an answer; further fields may come with it."""

    model_config = ConfigDict(extra="allow")


class WiroError(Shown):
    """One thing that is wrong, in Wiro's code and sentence."""

    code: int
    message: str


class Refused(Shown):
    """What was asked for is not done."""

    result: Literal[False]
    errors: list[WiroError]


class Done(Shown):
    """What was asked for is done."""

    result: Literal[True]
    errors: list[WiroError]


class Started(Done):
    """A task that has been queued."""

    taskid: str
    socketaccesstoken: str


class StillRuns(Refused):
    """A task that goes on, although nobody waits for it any longer."""

    taskid: str
    socketaccesstoken: str


class Tasks(Done):
    """Tasks, each with all of Wiro's fields; numbers and times are strings, "0" is never."""

    tasklist: list[dict[str, Any]]


class CountedTasks(Tasks):
    """The same, and how many there are on all pages."""

    total: str


class Tools(Done):
    """Models, each with all of Wiro's fields."""

    tool: list[dict[str, Any]]


class CountedTools(Tools):
    """The same, and how many there are on all pages, as a number."""

    total: int


class Explored(Done):
    """Categories, each with its models."""

    explore: list[dict[str, Any]]


class Files(Done):
    """Files and folders, each with all of Wiro's fields."""

    list: list[dict[str, Any]]


REFUSALS: Responses = {
    401: {"model": Refused, "description": "No key, an unknown one, or a wrong signature"},
    413: {"model": Refused, "description": "The body is too long"},
    429: {"model": Refused, "description": "The project has made all its requests of this minute"},
    503: {"model": Refused, "description": "The database or the storage is away"},
}
"""What every door may say; all else that is wrong is said with 200."""


_KINDS = ("application/json", "multipart/form-data", "application/x-www-form-urlencoded")


def answers(model: type[Done]) -> Responses:
    """A door's answer: done as this model has it, or refused."""
    return {200: {"model": model | Refused, "description": "Done, or refused with `result` false"}}


def any_body(example: Mapping[str, object]) -> dict[str, Any]:
    """A body of named values, as JSON or as either kind of form, with what may be in it."""
    shown = {"schema": {"type": "object"}, "example": example}
    return {"requestBody": {"content": dict.fromkeys(_KINDS, shown)}}


def form_body(properties: Mapping[str, object]) -> dict[str, Any]:
    """A form with files, and what may be in it."""
    schema = {"type": "object", "properties": dict(properties)}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}
