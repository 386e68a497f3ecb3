"""The provider that is always there: it draws a picture from the prompt and the seed, and fails on demand.

It keeps nothing: the ticket carries all it needs, so that any process can
check and fetch what another submitted.  Since nothing is kept, cancelling
only answers; a cancelled ticket that is checked again goes on as if it were not.

The caller's `sandbox.NAME` parameters, which arrive in `request.extra`, make demands:

    latency       seconds until the picture is ready, or a range such as 1-3
    fail          the first N attempts fail half way, unbilled; or `always`
    rate_limit    the first N attempts are turned away as too many
    unavailable   the first N attempts find nobody there
    moderate      true: refused by moderation
    hang          true: never finishes
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Annotated, Literal, TypeVar, assert_never

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictInt,
    StrictStr,
    ValidationError,
)

from providers import painting
from providers.base import (
    CancelOutcome,
    Done,
    Failed,
    GenerationRequest,
    LostAnswer,
    Pace,
    Progress,
    RemoteOutput,
    Running,
    Ticket,
    at_any_time,
)
from providers.errors import (
    Billed,
    ContentRefused,
    GenerationFailed,
    InvalidParameters,
    MalformedResponse,
    RateLimited,
    Unavailable,
    Unsupported,
)

logger = logging.getLogger(__name__)

_FREE = Decimal(0)
_RATE_LIMITED_FOR_S = 1.0
_LONGEST_POLL_S = 2.0  # as often as Wiro recommends for the first seconds
_SHORTEST_POLL_S = 0.02
_ALWAYS = 2**31 - 1
"""More attempts than any job has."""


class Provider:
    """Draws instead of generating; free, and without a key.

    Args:
        latency_s: shortest and longest time a picture takes; each request's own follows from its key.
        pace: waits for the turn of each question.
        now: the clock, unix seconds.
    """

    name = "sandbox"
    on_lost_answer = LostAnswer.SEND_AGAIN
    computes_here = True  # a picture takes a tenth of a second of CPU
    max_in_flight: int | None = None

    def __init__(
        self,
        *,
        latency_s: tuple[float, float],
        pace: Pace = at_any_time,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._latency_s = latency_s
        self._pace = pace
        self._now = now

    def submit(self, request: GenerationRequest) -> Ticket:
        """The ticket of an accepted request; its id follows from the request's key.

        Raises:
            InvalidParameters: a parameter or a demand is missing, unknown or not what it takes.
            RateLimited: as demanded.
            Unavailable: as demanded.
        """
        parameters = _read(_Parameters, request.parameters, "parameter")
        demands = _read(_Demands, request.extra, "demand")
        _turn_away(demands, request.attempt)
        request.may_send()
        order = _order(request, parameters, demands, demands.latency or self._latency_s, self._now())
        logger.info("Accepted a request.", extra={"event": "sandbox_accepted", "ticket": order.id})
        return order.model_dump(mode="json")

    def find(self, key: str) -> Ticket | None:
        """Nothing is kept, so nothing is found: the same request is simply sent again.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("the sandbox keeps no requests; send it again under the same key")

    def adopt(self, remote_id: str) -> Ticket:
        """Nothing is kept, so there is nothing to adopt.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("the sandbox keeps no requests that could be found there")

    def check(self, ticket: Ticket) -> Progress:
        """How far the request is, by the clock alone."""
        order = _read_ticket(ticket)
        self._pace()
        if order.ending is _Ending.NEVER:
            return Running(progress=None, log="Hanging, as demanded.", poll_after_s=_LONGEST_POLL_S)
        if self._now() < order.ready_at:
            return _running(order, self._now())
        return _ended(order)

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """Whether the wish to stop came before the end."""
        order = _read_ticket(ticket)
        self._pace()
        has_ended = order.ending is not _Ending.NEVER and self._now() >= order.ready_at
        return CancelOutcome.FINISHED_FIRST if has_ended else CancelOutcome.CANCELLED

    def fetch(self, ticket: Ticket, output: RemoteOutput) -> bytes:
        """The encoded picture, drawn now; always the same bytes for the same prompt, seed and size."""
        wanted = _read_ticket(ticket).parameters
        seed = wanted.seed if output.seed is None else output.seed
        return painting.draw(wanted.prompt, seed, wanted.width, wanted.height, wanted.output_format)


def _split_range(value: object) -> object:
    """`2`, `"2.5"` or `"1-3"` as its two ends."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    low, _, high = str(value).partition("-")
    return low, high or low


def _going_up(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("goes down")
    return value


def _read_always(value: object) -> object:
    return _ALWAYS if value == "always" else value


_Side = Annotated[StrictInt, Field(ge=64, le=4096, description="a whole number of pixels, 64 to 4096")]
_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
_Latency = Annotated[
    tuple[_Seconds, _Seconds],
    BeforeValidator(_split_range),
    AfterValidator(_going_up),
]
_Attempts = Annotated[int, Field(ge=0, le=_ALWAYS, description="how many attempts, a whole number")]
_AttemptsOrAlways = Annotated[
    int,
    BeforeValidator(_read_always),
    Field(ge=0, le=_ALWAYS, description="how many attempts, a whole number, or always"),
]
_Switch = Annotated[bool, Field(description="true or false")]


class _Parameters(BaseModel):
    """What is drawn.  Parameters it does not know are ignored: the sandbox stands in for every model."""

    model_config = ConfigDict(frozen=True)

    prompt: StrictStr = Field(description="text")
    seed: StrictInt = Field(ge=-(2**64), le=2**64, description="a whole number of up to 64 bits")
    width: _Side
    height: _Side
    output_format: Literal["png", "jpeg", "webp"] = Field(description="png, jpeg or webp")
    count: StrictInt = Field(1, ge=1, le=16, description="how many pictures, 1 to 16")


class _Demands(BaseModel):
    """How the request shall go.  A misspelt demand is refused: ignored, it would prove nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency: _Latency | None = Field(
        None, description="seconds up to a day, or a range that goes up, such as 1-3"
    )
    fail: _AttemptsOrAlways = 0
    rate_limit: _Attempts = 0
    unavailable: _Attempts = 0
    moderate: _Switch = False
    hang: _Switch = False


class _Ending(StrEnum):
    """How a request ends; settled when it is taken."""

    PICTURES = "pictures"
    FAILURE = "failure"
    REFUSAL = "refusal"
    NEVER = "never"


class _Order(BaseModel):
    """What a ticket says.  Times are unix seconds."""

    model_config = ConfigDict(frozen=True)

    id: str
    submitted_at: float
    ready_at: float
    ending: _Ending
    parameters: _Parameters


_Read = TypeVar("_Read", _Parameters, _Demands)


def _read(kind: type[_Read], given: Mapping[str, JsonValue], noun: str) -> _Read:
    """What the caller gave, or `InvalidParameters` with the name, what was sent and what is allowed."""
    try:
        return kind.model_validate(dict(given))
    except ValidationError as exc:
        name = str(exc.errors()[0]["loc"][0])
        raise InvalidParameters(_complaint(kind, given, noun, name)) from exc


def _complaint(kind: type[BaseModel], given: Mapping[str, JsonValue], noun: str, name: str) -> str:
    if name not in kind.model_fields:
        return f"sandbox knows no {noun} {name!r}; it knows {', '.join(kind.model_fields)}"
    sent = f"not {given[name]!r}" if name in given else "and it was not sent"
    return f"sandbox's {noun} {name!r} takes {kind.model_fields[name].description}, {sent}"


def _turn_away(demands: _Demands, attempt: int) -> None:
    """Raise what was demanded to happen before this attempt is taken."""
    if attempt <= demands.rate_limit:
        raise RateLimited("too many requests, as demanded", retry_after_s=_RATE_LIMITED_FOR_S)
    if attempt <= demands.unavailable:
        raise Unavailable("nobody is there, as demanded")


def _order(
    request: GenerationRequest,
    parameters: _Parameters,
    demands: _Demands,
    latency_s: tuple[float, float],
    now: float,
) -> _Order:
    """The order that a request comes to."""
    ending = _ending(demands, request.attempt)
    takes_s = Random(request.key).uniform(*latency_s)
    if ending is _Ending.FAILURE:
        takes_s /= 2
    return _Order(
        id=f"sandbox-{hashlib.sha256(request.key.encode()).hexdigest()[:24]}",
        submitted_at=now,
        ready_at=now + takes_s,
        ending=ending,
        parameters=parameters,
    )


def _ending(demands: _Demands, attempt: int) -> _Ending:
    if demands.hang:
        return _Ending.NEVER
    if attempt <= demands.fail:
        return _Ending.FAILURE
    return _Ending.REFUSAL if demands.moderate else _Ending.PICTURES


def _read_ticket(ticket: Ticket) -> _Order:
    try:
        return _Order.model_validate(dict(ticket))
    except ValidationError as exc:
        raise MalformedResponse("this ticket is not the sandbox's") from exc


def _running(order: _Order, now: float) -> Running:
    """How far an order is that has not ended."""
    left_s = order.ready_at - now
    progress = min(1.0, max(0.0, (now - order.submitted_at) / (order.ready_at - order.submitted_at)))
    if order.ending is _Ending.FAILURE:
        progress /= 2
    return Running(
        progress=progress,
        log=f"Drawing: {progress:.0%}.",
        poll_after_s=max(_SHORTEST_POLL_S, min(_LONGEST_POLL_S, left_s)),
    )


def _ended(order: _Order) -> Done | Failed:
    match order.ending:
        case _Ending.PICTURES:
            return Done(outputs=_outputs(order.parameters), cost_usd=_FREE)
        case _Ending.FAILURE:
            error = GenerationFailed("failed half way, as demanded", billed=Billed.NO, request_id=order.id)
            return Failed(error=error, cost_usd=_FREE)
        case _Ending.REFUSAL:
            return Failed(error=ContentRefused("refused, as demanded", request_id=order.id), cost_usd=_FREE)
        case _Ending.NEVER:
            raise AssertionError("an order that never ends has not ended")
        case _:
            assert_never(order.ending)


def _outputs(parameters: _Parameters) -> tuple[RemoteOutput, ...]:
    """One output per picture, each with the next seed."""
    return tuple(
        RemoteOutput(
            locator=str(index),
            content_type=f"image/{parameters.output_format}",
            seed=parameters.seed + index,
        )
        for index in range(parameters.count)
    )
