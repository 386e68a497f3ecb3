"""The OpenAPI document, made to say what holds for every door, and to say it once.

FastAPI knows an endpoint's arguments and its answer.  It does not know that a request can be
refused before it comes there, nor in whose dialect.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from api.native.schemas.words import ProblemAnswer
from api.wiro.schemas import Done, Refused

_SCHEMA = "#/components/schemas/{model}"
_JSON, _PROBLEM = "application/json", "application/problem+json"
_FRAMEWORKS = ("HTTPValidationError", "ValidationError")
"""FastAPI's own refusals, which nobody is ever sent."""

Operation = dict[str, Any]

_OF_ANY = {503: "database_unavailable, storage_unavailable"}
_OF_KEYED = {401: "not_authorized", 429: "rate_limited"}
_OF_PATHS = {404: "not_found"}
_OF_BODIES = {
    400: "invalid_json, bad_request",
    408: "body_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
}
_OF_VALUES = {422: "invalid_request"}
_HEADERS: dict[int, dict[str, Any]] = {
    429: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
}


_KEYLESS = frozenset({"/v1/File/{access_key}/{name}"})
"""Of the doors of both APIs; the address is the permission."""

_SCHEMES = {
    "API key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "A project's key, as Wiro's; of a key project the whole proof.",
    },
    "Nonce": {
        "type": "apiKey",
        "in": "header",
        "name": "x-nonce",
        "description": "Any number; for projects with signatures.",
    },
    "Signature": {
        "type": "apiKey",
        "in": "header",
        "name": "x-signature",
        "description": "Hex HMAC-SHA256 under the API key of API secret and nonce; for projects with "
        "signatures.",
    },
    "Key and secret": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer API_KEY:API_SECRET`",
    },
}
_WIROS_PROOFS: list[dict[str, list[str]]] = [{"API key": []}, {"API key": [], "Nonce": [], "Signature": []}]
_NATIVE_PROOFS = [{"Key and secret": []}, *_WIROS_PROOFS]


class DocumentedApi(FastAPI):
    """A FastAPI whose document also tells how requests are refused."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _completed(super().openapi())
        return self.openapi_schema


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    for path, operation in _operations(document):
        if _is_frameworks(operation["responses"].get("422", {})):
            del operation["responses"]["422"]
        if path.startswith(("/v1/", "/api/")) and path not in _KEYLESS:
            operation["security"] = _WIROS_PROOFS if path.startswith("/v1/") else _NATIVE_PROOFS
        if path.startswith("/v1/"):
            _complete_wiros(path, operation)
        elif path.startswith("/api/"):
            _complete_native(path, operation)
    models: tuple[type[BaseModel], ...] = (ProblemAnswer, Done, Refused)
    for model in models:
        described = model.model_json_schema(mode="serialization", ref_template=_SCHEMA)
        schemas.update(described.pop("$defs", {}))
        schemas[model.__name__] = described
    for name in _FRAMEWORKS:
        schemas.pop(name, None)
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def _complete_wiros(path: str, operation: Operation) -> None:
    """Refused in Wiro's envelope; with HTTP 200 where nothing else is said."""
    answer = operation["responses"].get("200", {}).get("content", {}).get(_JSON)
    if answer is not None and not answer.get("schema"):
        answer["schema"] = {"anyOf": [_reference(Done.__name__), _reference(Refused.__name__)]}
    content = {_JSON: {"schema": _reference(Refused.__name__)}}
    _refuse(operation, _refusals(path, operation), content)


def _complete_native(path: str, operation: Operation) -> None:
    """Refused as RFC 9457 has it."""
    content = {_PROBLEM: {"schema": _reference(ProblemAnswer.__name__)}}
    for response in operation["responses"].values():
        if _schema_of(response).endswith("/ProblemAnswer"):
            response["content"] = content
    _refuse(operation, {**_refusals(path, operation), **_OF_VALUES}, content)


def _is_frameworks(response: Mapping[str, Any]) -> bool:
    return _schema_of(response).endswith(tuple(f"/{name}" for name in _FRAMEWORKS))


def _schema_of(response: Mapping[str, Any]) -> str:
    schema: str = response.get("content", {}).get(_JSON, {}).get("schema", {}).get("$ref", "")
    return schema


def _refusals(path: str, operation: Operation) -> dict[int, str]:
    """Statuses and codes of what every such door may refuse."""
    return {
        **_OF_ANY,
        **(_OF_KEYED if operation.get("security") else {}),
        **(_OF_PATHS if "{" in path else {}),
        **(_OF_BODIES if operation.get("requestBody") else {}),
    }


def _refuse(operation: Operation, statuses: dict[int, str], content: dict[str, Any]) -> None:
    """Add those that the door does not tell of itself."""
    for status, codes in statuses.items():
        response = operation["responses"].setdefault(str(status), {"description": codes, "content": content})
        if status in _HEADERS:
            response.setdefault("headers", _HEADERS[status])


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _SCHEMA.format(model=name)}
