"""How requests are refused, in the dialect of the door they came in by.

ApiError
├── Problem       the native API: RFC 9457, application/problem+json with a stable `code`
├── WiroRefusal   Wiro's API: {"result": false, "errors": [{"code", "message"}]}, mostly with HTTP 200
└── RateLimited   both: the project has made its requests of this minute

Whatever else goes wrong (no such path, a body that is no JSON, Postgres away) is
said by `install`'s handlers in the dialect of the path.  No answer holds a secret or
quotes what a header said.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from models.errors import FileGone
from shapes import wiro as wiro_shapes
from storage import StorageError

WIRO_PREFIX = "/v1/"

_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    408: "body_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    503: "busy",
}

_SENTENCES = {
    "extra_forbidden": "unknown; it is no field here",
    "missing": "required",
    "model_attributes_type": "takes an object",
    "uuid_parsing": "takes a UUID",
}
"""What pydantic says in words of Python."""

logger = logging.getLogger("darkroom.api")


class ApiError(Exception):
    """Root of the refusals this package raises."""


class Problem(ApiError):
    """A refusal of the native API.

    Attributes:
        status: HTTP's number.
        code: stable word for programs.
        detail: a sentence for people.
        members: further members of the problem's JSON.
    """

    def __init__(self, status: int, code: str, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.members = members


class WiroRefusal(ApiError):
    """A refusal of Wiro's API.

    Attributes:
        errors: (code, message) of each entry, Wiro's own sentences first.
        status: HTTP's number; Wiro says 200 to everything but authorization and unknown paths.
    """

    def __init__(self, *errors: tuple[int, str], status: int = 200) -> None:
        super().__init__("; ".join(message for _, message in errors))
        self.errors = errors
        self.status = status


class RateLimited(ApiError):
    """The project has made all the requests that it may make in a minute.

    Attributes:
        per_minute: how many these are.
        wait_s: until it may make another one, in whole seconds.
    """

    def __init__(self, per_minute: int, wait_s: int) -> None:
        super().__init__(
            f"This project may make {per_minute} requests a minute: try again in {wait_s} s. "
            "Cancel and kill are never refused for that."
        )
        self.per_minute = per_minute
        self.wait_s = wait_s


class LenientResponse(JSONResponse):
    """JSON of text that callers sent: half a surrogate pair in it becomes a question mark."""

    def render(self, content: object) -> bytes:
        """The body."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as RFC 9457 writes it."""
    content = {
        "type": f"urn:darkroom:problem:{problem.code}",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        **problem.members,
    }
    return LenientResponse(content, problem.status, headers, media_type="application/problem+json")


def wiro_response(refusal: WiroRefusal, headers: Mapping[str, str] | None = None) -> Response:
    """The refusal as Wiro writes it."""
    return LenientResponse(wiro_shapes.refused(refusal.errors), refusal.status, headers)


def faulty_field(location: Sequence[int | str], error: Mapping[str, Any]) -> dict[str, str]:
    """One of pydantic's errors as parameter, kind and message; not what was sent, it may be a secret."""
    parameter = ".".join(str(part) for part in location) or "body"
    message = _SENTENCES.get(error["type"], error["msg"].removeprefix("Value error, "))
    return {"parameter": parameter, "kind": error["type"], "message": f"{parameter}: {message}"}


def install(app: FastAPI) -> None:
    """Give the app an answer to everything that can go wrong."""
    app.add_exception_handler(Problem, _tell_problem)
    app.add_exception_handler(WiroRefusal, _tell_wiro)
    app.add_exception_handler(RateLimited, _tell_rate_limited)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    for away in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(away, _tell_database_away)
    app.add_exception_handler(StorageError, _tell_storage_away)
    app.add_exception_handler(FileGone, _tell_file_gone)
    app.add_exception_handler(Exception, _tell_unexpected)


async def _tell_problem(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Problem)  # noqa: S101 - Starlette's handlers are typed for any exception
    headers = {"WWW-Authenticate": "Bearer"} if exc.status == 401 else None
    return problem_response(exc, headers)


async def _tell_wiro(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, WiroRefusal)  # noqa: S101 - as above
    return wiro_response(exc)


async def _tell_rate_limited(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RateLimited)  # noqa: S101 - as above
    problem = Problem(429, "rate_limited", str(exc), requests_per_minute=exc.per_minute)
    return _tell(request, problem, {"Retry-After": str(exc.wait_s)})


async def _tell_http(request: Request, exc: Exception) -> Response:
    """What the framework refuses: unknown paths and methods, unreadable and endless bodies."""
    assert isinstance(exc, HTTPException)  # noqa: S101 - as above
    if _is_wiros(request) and exc.status_code in {404, 405}:
        # Wiro's whole API is POST; a wrong method is a wrong address there.
        return wiro_response(WiroRefusal((0, wiro_shapes.UNKNOWN_PATH), status=404))
    code = _CODES.get(exc.status_code, "bad_request")
    return _tell(request, Problem(exc.status_code, code, _advice(exc)), exc.headers)


def _advice(exc: HTTPException) -> str:
    """The framework's sentence, or ours where its own repeats the status alone."""
    if exc.status_code == 404:
        return "There is no such path; /docs has all of them."
    if exc.status_code == 405:
        return f"This path takes {(exc.headers or {}).get('Allow', 'another method')}."
    return exc.detail


async def _tell_invalid(request: Request, exc: Exception) -> Response:
    """A native request that is not what its schema says."""
    assert isinstance(exc, RequestValidationError)  # noqa: S101 - as above
    errors = exc.errors()
    if any(error["type"] == "json_invalid" for error in errors):
        return _tell(request, _not_json(errors[0]))
    if _is_body_unread(errors) and not _is_json(request):
        detail = "Send the body as JSON, with the header Content-Type: application/json."
        return _tell(request, Problem(415, "unsupported_media_type", detail))
    problems = [faulty_field(error["loc"][1:], error) for error in errors]  # without "body" or "query"
    detail = "; ".join(problem["message"] for problem in problems)
    return _tell(request, Problem(422, "invalid_request", detail, problems=problems))


def _not_json(error: Mapping[str, Any]) -> Problem:
    where = error["loc"][1] + 1
    return Problem(
        400, "invalid_json", f"The body is not JSON: {error['ctx']['error']}, at character {where}."
    )


async def _tell_database_away(request: Request, exc: Exception) -> Response:
    logger.error("Postgres is away.", extra={"event": "postgres_away", "error": type(exc).__name__})
    detail = "The database cannot be reached; try again."
    return _tell(request, Problem(503, "database_unavailable", detail), {"Retry-After": "1"})


async def _tell_storage_away(request: Request, exc: Exception) -> Response:
    logger.error("Storage is away.", extra={"event": "storage_away", "error": str(exc)})
    return _tell(request, Problem(503, "storage_unavailable", "The pictures cannot be stored; try again."))


async def _tell_file_gone(request: Request, exc: Exception) -> Response:
    if _is_wiros(request):
        return wiro_response(WiroRefusal((1, f"{exc}.")))
    return problem_response(Problem(409, "file_deleted", f"{exc}."))


async def _tell_unexpected(request: Request, _exc: Exception) -> Response:
    """Our fault; the server logs the traceback when Starlette raises it again."""
    return _tell(request, Problem(500, "internal_error", "Darkroom failed to answer; its log says why."))


def _tell(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem in the dialect of the path."""
    if _is_wiros(request):
        return wiro_response(WiroRefusal((0, problem.detail), status=problem.status), headers)
    return problem_response(problem, headers)


def _is_wiros(request: Request) -> bool:
    return f"{request.url.path}/".startswith(WIRO_PREFIX)


def _is_json(request: Request) -> bool:
    essence = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return essence == "application/json" or essence.endswith("+json")


def _is_body_unread(errors: Sequence[Mapping[str, object]]) -> bool:
    """Whether the body as a whole was refused, not something in it."""
    return any(error["loc"] == ("body",) for error in errors)
