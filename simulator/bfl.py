"""Black Forest Labs' dialect: plain objects, 422s as FastAPI words them, a polling_url on another host.

Sources: the OpenAPI document of api.bfl.ai (2026-05); errors and integration_guidelines of docs.bfl.ai;
recorded answers.  What they leave open is decided here and listed in docs/simulate.md.
"""

import base64
import hashlib
import hmac
import json
from decimal import Decimal

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from simulator import bfl_inputs, prices
from simulator.answers import Document, Refused, answer, root_of
from simulator.bfl_inputs import Inputs
from simulator.book import Entry, State, Wanted
from simulator.desk import Desk
from simulator.faults import Strike
from simulator.options import KEY_PREFIX

VENDOR = "bfl"
MOST_ACTIVE = 24
_CREDITS = Decimal(100)
_EARLY_POLLS = 2
_UNHEARD_OF = "Reasoning"
_SIGNING_KEY = b"everybody may know it"
_REASON = "Derivative Works Filter"


def routes(desk: Desk) -> list[BaseRoute]:
    """What is served below the root."""
    bfl = _Bfl(desk)
    return [
        *(
            route
            # The vendor's own Python client keeps nothing of its base URL but the host.
            for prefix in ("/bfl/v1", "/v1")
            for route in (
                Route(f"{prefix}/get_result", bfl.get_result, methods=["GET"]),
                Route(f"{prefix}/credits", bfl.credits, methods=["GET"]),
                Route(f"{prefix}/{{model}}", bfl.submit, methods=["POST"]),
            )
        ),
        Route("/bfl/results/{task}/{name}", bfl.picture, methods=["GET"]),
        Route("/bfl/{path:path}", _unknown_path, methods=["GET", "POST"]),
    ]


class _Bfl:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def submit(self, request: Request) -> Response:
        """Accept a task."""
        kind = bfl_inputs.MODELS.get(request.path_params["model"])
        if kind is None:
            return await _unknown_path(request)
        _authenticate(request)
        inputs = await _inputs(request, kind)
        wanted = _wanted(request, inputs, self._desk.new_seed(), self._desk.options.host)
        await self._desk.admit(request, VENDOR, wanted.prompt, _refusal)
        if self._desk.book.active(VENDOR, self._desk.now()) >= MOST_ACTIVE:
            return _detail(429, f"Too many active tasks: {MOST_ACTIVE} at most.")
        entry = self._desk.accept(VENDOR, wanted, remote_id=self._desk.new_uuid())
        return await self._desk.answer(entry, answer(self._accepted(request, entry, inputs)))

    def _accepted(self, request: Request, entry: Entry, inputs: Inputs) -> Document:
        wanted = entry.wanted
        costs = {
            "cost": float(wanted.price_usd * _CREDITS),
            "input_mp": float(wanted.details["pictures_in"]),
            "output_mp": float(prices.megapixels(wanted.width, wanted.height)),
        }
        if inputs.webhook_url is not None:
            return {"id": entry.id, "status": "Pending", "webhook_url": inputs.webhook_url, **costs}
        host = "10.0.0.1" if "wrong_subdomain" in entry.fate else wanted.details["polling_host"]
        port = "" if request.url.port is None else f":{request.url.port}"
        url = f"{request.url.scheme}://{host}{port}/bfl/v1/get_result?id={entry.id}"
        return {"id": entry.id, "polling_url": url, **costs}

    async def get_result(self, request: Request) -> Response:
        """How a task is; no key is needed."""
        task = request.query_params.get("id")
        if task is None:
            missing = {"type": "missing", "loc": ["query", "id"], "msg": "Field required", "input": None}
            return answer({"detail": [missing]}, 422)
        entry = self._desk.book.find(VENDOR, task)
        self._desk.listen(VENDOR, entry, _refusal, spared=("bad_key",))
        if entry is None or request.url.hostname != entry.wanted.details["polling_host"]:
            return answer(_result(task, "Task not found"))
        early = _early(entry)
        if early is not None:
            return self._desk.tell(entry, answer(_result(task, "Task not found"), early))
        return self._desk.tell(entry, answer(self._shown(request, entry)))

    def _shown(self, request: Request, entry: Entry) -> Document:
        now = self._desk.now()
        match entry.state(now):
            case State.SUCCEEDED:
                return _result(entry.id, "Ready", result=self._ready(request, entry))
            case State.FAILED:
                return _result(entry.id, "Error", details={"error": "The generation failed."})
            case State.MODERATED:
                which = entry.fate["moderation"].variant.capitalize()
                return _result(entry.id, f"{which} Moderated", details={"Moderation Reasons": [_REASON]})
            case _:
                word = _UNHEARD_OF if "unknown_status" in entry.fate else "Pending"
                return _result(entry.id, word, progress=round(entry.progress(now), 2))

    def _ready(self, request: Request, entry: Entry) -> Document:
        """The result, with an address that is signed anew at each poll."""
        until = int(self._desk.now() + self._desk.options.sample_ttl_s)
        signature = _signature(entry.id, str(until))
        path = f"bfl/results/{entry.id}/sample.{entry.wanted.output_format}"
        return {
            "sample": f"{root_of(request)}/{path}?se={until}&sig={signature}",
            "prompt": entry.wanted.prompt,
            "seed": entry.wanted.seed,
            "start_time": entry.accepted_at,
            "end_time": entry.ends_at,
            "duration": entry.latency_s,
        }

    async def credits(self, request: Request) -> Response:
        """What is left; the simulator's purse is never empty."""
        _authenticate(request)
        return answer({"credits": 100_000.0})

    async def picture(self, request: Request) -> Response:
        """A picture, by a signed address that is still good."""
        until, signature = request.query_params.get("se", ""), request.query_params.get("sig", "")
        task = request.path_params["task"]
        is_signed = hmac.compare_digest(_signature(task, until).encode(), signature.encode())
        is_good = is_signed and self._desk.now() <= float(until)
        entry = self._desk.book.find(VENDOR, task) if is_good else None
        expired = PlainTextResponse("AuthenticationFailed: the signature is not valid any more", 403)
        return await self._desk.picture(request, entry, 0, expired)


async def _unknown_path(_request: Request) -> Response:
    return _detail(404, "Not Found")


def _authenticate(request: Request) -> None:
    """Know the key.

    Raises:
        Refused: 403, as was observed.
    """
    key = request.headers.get("x-key")
    if key is None:
        raise Refused(_detail(403, "Not authenticated"))
    if not key.startswith(KEY_PREFIX):
        raise Refused(_invalid_key())


async def _inputs(request: Request, kind: type[Inputs]) -> Inputs:
    """The body, read.

    Raises:
        Refused: 422, as FastAPI words it.
    """
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as exc:
        wrong = {"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}
        raise Refused(answer({"detail": [wrong]}, 422)) from exc
    try:
        return kind.model_validate(body)
    except ValidationError as exc:
        found = json.loads(exc.json(include_url=False))
        detail = [{**one, "loc": ["body", *one["loc"]]} for one in found]
        raise Refused(answer({"detail": detail}, 422)) from exc


def _wanted(request: Request, inputs: Inputs, new_seed: int, address: str) -> Wanted:
    return Wanted(
        model=request.path_params["model"],
        prompt=inputs.prompt or "",
        seed=inputs.seed if inputs.seed is not None else new_seed,
        width=inputs.size()[0],
        height=inputs.size()[1],
        output_format=inputs.output_format,
        price_usd=inputs.price_usd(),
        details={
            "pictures_in": len(inputs.pictures()),
            # A task is known where it is worked on, and nowhere else.
            "polling_host": address if request.url.hostname == "localhost" else "localhost",
        },
        notes=[f"unknown parameter {name}" for name in inputs.model_extra or {}],
    )


def _early(entry: Entry) -> int | None:
    """The HTTP status of a poll that comes too early; None when it does not."""
    strike = entry.fate.get("early_not_found")
    if strike is None or entry.polls >= (strike.count or _EARLY_POLLS):
        return None
    entry.polls += 1
    return 404 if strike.variant == "http404" else 200


def _result(task: str, status: str, **told: object) -> Document:
    return {
        "id": task,
        "status": status,
        "result": None,
        "progress": None,
        "details": None,
        "preview": None,
        **told,
    }


def _signature(task: str, until: str) -> str:
    digest = hmac.new(_SIGNING_KEY, f"{task}/{until}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _detail(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return answer({"detail": text}, status, headers)


def _invalid_key() -> Response:
    return _detail(403, "Not authenticated - Invalid Authentication")


def _refusal(strike: Strike) -> Response:
    match strike.name:
        case "bad_key":
            return _invalid_key()
        case "insufficient_balance" if strike.variant == "object":
            return answer({"error": "insufficient_credits"}, 402)
        case "insufficient_balance":
            return _detail(402, "Insufficient credits")
        case "concurrency_limit":
            return _detail(429, f"Too many active tasks: {MOST_ACTIVE} at most.")
        case "rate_limit":
            told = {"error": "rate_limit_exceeded", "message": "Too many requests.", "retry_after": 5}
            return answer(told, 429, {"retry-after": f"{strike.seconds:g}"})
        case "rate_limit_bare":
            return _detail(429, "Too many requests.")
        case "refuse_503":
            return _detail(503, "Service Unavailable")
        case _:
            return PlainTextResponse("Internal Server Error", 500)
