"""Vtrix's dialect: a wrapper around the parameters, three shapes of error, costs as texts.

Sources: seed 003; the official command line client VtrixAI/vtrix-cli.  Little is documented: what is
decided here is listed in docs/simulate.md.
"""

import base64
import binascii
import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from simulator import prices
from simulator.answers import Document, Refused, answer, root_of
from simulator.book import Entry, State, Wanted
from simulator.desk import Desk
from simulator.faults import Strike
from simulator.options import KEY_PREFIX

VENDOR = "vtrix"
_MODEL = "flux_pro_11"
_BASE = "/vtrix/model/v1/generation"
_WORDS = ((0.8, "finalizing"), (0.4, "in_progress"), (0.15, "processing"), (0.0, "pending"))
"""Both documented lists of words, and one that stands in neither."""
_UNHEARD_OF = "dreaming"


def routes(desk: Desk) -> list[BaseRoute]:
    """What is served below the root."""
    vtrix = _Vtrix(desk)
    return [
        Route(_BASE, vtrix.submit, methods=["POST"]),
        Route(f"{_BASE}/task/{{task}}", vtrix.task, methods=["GET"]),
        Route("/vtrix/outputs/{task}/{name}", vtrix.picture, methods=["GET"]),
    ]


def _base64(value: str) -> str:
    try:
        base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
    except binascii.Error as exc:
        raise ValueError("is not base64") from exc
    return value


_Side = Annotated[StrictInt, Field(ge=256, le=1440, multiple_of=32)]


class _Params(BaseModel):
    """What seed 003 lists; anything else is ignored and noted."""

    model_config = ConfigDict(extra="allow", frozen=True)

    prompt: Annotated[str, Field(min_length=1)]
    image_prompt: Annotated[str, AfterValidator(_base64)] | None = None
    width: _Side = 1024
    height: _Side = 1024
    prompt_upsampling: StrictBool = False
    seed: StrictInt | None = None
    safety_tolerance: Annotated[StrictInt, Field(ge=0, le=6)] = 2
    output_format: Literal["jpeg", "png"] = "jpeg"


class _Vtrix:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def submit(self, request: Request) -> Response:
        """Accept a task."""
        _authenticate(request)
        wanted = await _wanted(request, self._desk.new_seed())
        await self._desk.admit(request, VENDOR, wanted.prompt, _refusal)
        remote_id = f"{self._desk.chance.getrandbits(96):024x}"
        entry = self._desk.accept(VENDOR, wanted, remote_id=remote_id)
        return await self._desk.answer(entry, answer(_task(entry, entry.accepted_at, root_of(request))))

    async def task(self, request: Request) -> Response:
        """How a task is."""
        _authenticate(request)
        entry = self._desk.book.find(VENDOR, request.path_params["task"])
        self._desk.listen(VENDOR, entry, _refusal)
        if entry is None:
            return answer({"message": "task not found"}, 404)
        return self._desk.tell(entry, answer(_task(entry, self._desk.now(), root_of(request))))

    async def picture(self, request: Request) -> Response:
        """A picture."""
        entry = self._desk.book.find(VENDOR, request.path_params["task"])
        return await self._desk.picture(request, entry, 0, PlainTextResponse("Forbidden", 403))


def _authenticate(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX):
        raise Refused(answer({"message": "invalid api key"}, 401))


async def _wanted(request: Request, new_seed: int) -> Wanted:
    """What is asked for, in the wrapper or flat.

    Raises:
        Refused: 400.
    """
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as exc:
        raise Refused(_invalid("the body is not JSON")) from exc
    params, shape = _params(body)
    if body.get("model") != _MODEL:
        raise Refused(_invalid(f"model {body.get('model')!r} does not exist"))
    try:
        read = _Params.model_validate(params)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise Refused(_invalid(f"{name}: {first['msg']}")) from exc
    return Wanted(
        model=_MODEL,
        prompt=read.prompt,
        seed=new_seed if read.seed is None else read.seed,
        width=read.width,
        height=read.height,
        output_format=read.output_format,
        price_usd=prices.FLUX_PRO_11,
        notes=[shape, *(f"unknown parameter {name}" for name in read.model_extra or {})],
    )


def _params(body: object) -> tuple[Document, str]:
    """The parameters, and in which of the two shapes they were sent."""
    match body:
        case {"input": [{"params": dict() as params}]}:
            return params, "wrapped"
        case {"input": _}:
            raise Refused(_invalid("input takes a list of one object with params"))
        case dict():
            return {name: value for name, value in body.items() if name != "model"}, "flat"
        case _:
            raise Refused(_invalid("the body must be an object"))


def _task(entry: Entry, now: float, root_url: str) -> Document:
    task: Document = {
        "id": entry.id,
        "created_at": int(entry.accepted_at),
        "status": "completed",
        "model": _MODEL,
        "progress": round(entry.progress(now), 2),
    }
    match entry.state(now):
        case State.SUCCEEDED:
            return task | _completed(entry, root_url)
        case State.RUNNING:
            return task | {"status": _word(entry, now)}
        case _:
            return task | {"status": "failed", "error": _error(entry)}


def _completed(entry: Entry, root_url: str) -> Document:
    cost = str(entry.wanted.price_usd)
    url = f"{root_url}/vtrix/outputs/{entry.id}/0.{entry.wanted.output_format}"
    return {
        "output": [{"content": [{"type": "image", "url": url}]}],
        "usage": {"cost": cost, "discount": 0, "quantity": 1, "unit_price": cost},
        "metadata": {},
    }


def _word(entry: Entry, now: float) -> str:
    if "unknown_status" in entry.fate:
        return _UNHEARD_OF
    return next(word for start, word in _WORDS if entry.progress(now) >= start)


def _error(entry: Entry) -> object:
    """One of the three shapes the command line client reads."""
    if "moderation" in entry.fate:
        which = entry.fate["moderation"].variant
        return {"code": "content_moderated", "message": f"{which} moderated"}
    match entry.fate["fail_midway"].variant:
        case "string":
            return "generation failed"
        case "number":
            return {"code": 2_014_001, "error_message": "generation failed"}
        case _:
            return {"code": "002014001", "message": "generation failed"}


def _invalid(message: str) -> Response:
    return answer({"error": message}, 400)


def _refusal(strike: Strike) -> Response:
    match strike.name:
        case "bad_key":
            return answer({"message": "invalid api key"}, 401)
        case "insufficient_balance":
            return answer({"error": "insufficient balance"}, 403)
        case "rate_limit":
            return answer({"message": "too many requests"}, 429, {"retry-after": f"{strike.seconds:g}"})
        case "rate_limit_bare":
            return answer({"error": "too many requests"}, 429)
        case "refuse_503":
            return answer({"message": "service unavailable"}, 503)
        case _:
            return answer({"error": "internal error"}, 500)
