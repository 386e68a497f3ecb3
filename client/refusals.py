"""What an answer means that is not the wanted one, and whether to ask again.  Pure."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from client.errors import (
    Answered,
    CannotReach,
    DarkroomError,
    InTrouble,
    NotAuthorized,
    NotDarkroom,
    NotFound,
    RateLimited,
    Refused,
)

_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.2, 2.0
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_OF_STATUS: dict[int, type[Refused]] = {
    HTTPStatus.UNAUTHORIZED: NotAuthorized,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
}
_TEMPORARY = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
# Nobody has read a byte of the request then.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NEVER_WORKS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


def unreachable(url: str, error: httpx.RequestError) -> CannotReach:
    """What it means that a request was not answered.

    Args:
        url: of the server.
        error: what went wrong on the way.
    """
    return CannotReach(
        url,
        _why(error),
        may_have_arrived=not isinstance(error, _NEVER_SENT),
        is_temporary=not isinstance(error, _NEVER_WORKS),
    )


def refusal(response: httpx.Response, now: datetime) -> DarkroomError:
    """What a status outside of 2xx means; the body has been read."""
    url = address_of(response)
    try:
        told = response.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return NotDarkroom(url, response.status_code, is_temporary=response.status_code in _TEMPORARY)
    kind: type[Answered] = _OF_STATUS.get(response.status_code, Refused)
    if response.is_server_error:
        kind = InTrouble
    return kind(url, response.status_code, told, retry_after_s(response.headers.get("retry-after"), now))


def address_of(response: httpx.Response) -> str:
    """Where it came from, without a query."""
    return str(response.request.url.copy_with(query=None, fragment=None))


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for, as seconds or as a date; None for what is neither."""
    if header is None:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def may_ask_again(trouble: DarkroomError, *, may_repeat: bool) -> bool:
    """Whether the same request may be sent once more without doing anything twice.

    Args:
        trouble: what came of it.
        may_repeat: whether the request may be acted upon twice.
    """
    match trouble:
        case RateLimited():
            return True
        case CannotReach():
            return trouble.is_temporary and (may_repeat or not trouble.may_have_arrived)
        case InTrouble():
            return may_repeat and trouble.status in _TEMPORARY
        case _:
            return False


def pause_s(tried: int, wanted_s: float | None, chance: Callable[[], float]) -> float:
    """How long to wait before the next try; as long as the server wants, when it says so.

    Args:
        tried: how often, from 1.
        wanted_s: the server's Retry-After.
        chance: from 0 to 1; many who lost a server together must not come back together.
    """
    if wanted_s is not None:
        return wanted_s
    most_s: float = min(_FIRST_PAUSE_S * 2 ** min(tried - 1, 10), _LAST_PAUSE_S)
    return most_s * (0.5 + 0.5 * chance())


def _why(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "nobody answers"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__
