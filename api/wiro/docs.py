"""How Wiro's doors are shown on the API's page, since we read their bodies and write their answers."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from api.wiro.schemas import Refused

Responses = dict[int | str, dict[str, Any]]


REFUSALS: Responses = {
    401: {"model": Refused, "description": "No key, an unknown one, or a wrong signature"},
    413: {"model": Refused, "description": "The body is too long"},
    429: {"model": Refused, "description": "The project has made all its requests of this minute"},
    503: {"model": Refused, "description": "The database or the storage is away"},
}
"""What every door may say; all else that is wrong is said with 200."""


_KINDS = ("application/json", "multipart/form-data", "application/x-www-form-urlencoded")


def answers(model: type[BaseModel]) -> Responses:
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
