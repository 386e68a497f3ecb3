"""How Wiro's doors are shown on the API's page, where FastAPI cannot see it: their bodies are read by us."""

from collections.abc import Mapping
from typing import Any


def json_body(example: Mapping[str, object]) -> dict[str, Any]:
    """A body that is a JSON object, with what may be in it."""
    return {
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}, "example": example}}}
    }


def form_body(properties: Mapping[str, object]) -> dict[str, Any]:
    """A form with files, and what may be in it."""
    schema = {"type": "object", "properties": dict(properties)}
    return {"requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}
