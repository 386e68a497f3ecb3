"""Wiro's dialect: `POST` everywhere, HTTP 200 with `result: false`, numbers as texts.

Sources: seeds 000, 001 and 002; error-reference, authentication, run-a-model and tasks of wiroai/Wiro-Docs.
What they leave open is decided here and listed in docs/simulate.md.
"""

import hashlib
import hmac

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from simulator import wiro_inputs, wiro_tasks
from simulator.answers import Document, Refused, answer, root_of
from simulator.book import Entry, State, Wanted
from simulator.desk import Desk
from simulator.faults import Strike
from simulator.forms import BadForm
from simulator.options import KEY_PREFIX, SECRET, SIGNED_SUFFIX
from simulator.wiro_inputs import BadInput
from simulator.wiro_tasks import Status

VENDOR = "wiro"
NOT_FOUND = (1, "There is no task yet.")
_TOKEN_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"  # noqa: S105 - an alphabet
_SAMPLE_BYTES = 202_472
_NO_TASK = "taskid or socketaccesstoken is required"
_CONCURRENCY = (
    "You have reached your concurrent task limit. With your current balance of ${balance:.2f}, you can run "
    "up to {most} tasks at the same time. Add funds to increase your limit."
)
_UNLIMITED_ABOVE_USD = 250.0
_USUAL_BALANCE_USD = 50.0


def routes(desk: Desk) -> list[BaseRoute]:
    """What is served below the root."""
    wiro = _Wiro(desk)
    return [
        Route("/wiro/v1/Run/{owner}/{model}", wiro.run, methods=["POST"]),
        Route("/wiro/v1/Task/Detail", wiro.detail, methods=["POST"]),
        Route("/wiro/v1/Task/Cancel", wiro.cancel, methods=["POST"]),
        Route("/wiro/v1/Task/Kill", wiro.kill, methods=["POST"]),
        Route("/wiro/cdn1/{task}/{name}", wiro.picture, methods=["GET"]),
        Route("/wiro/v1/{path:path}", _unknown_url, methods=["GET", "POST", "PUT", "DELETE"]),
    ]


def failure(code: int, message: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Wiro's envelope of an error."""
    return answer({"result": False, "errors": [{"code": code, "message": message}]}, status, headers)


class _Wiro:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self, request: Request) -> Response:
        """Accept a task."""
        _authenticate(request)
        model = wiro_inputs.find(request.path_params["owner"], request.path_params["model"])
        if model is None:
            return failure(1, "slug-owner-project-not-exist")
        try:
            sent = await wiro_inputs.read(request)
            wanted = model.wanted(sent, self._desk.new_seed)
        except BadInput as exc:
            return failure(0, str(exc))
        except BadForm:
            return failure(0, "Request parameters are invalid.")
        await self._desk.admit(request, VENDOR, wanted.prompt, _refusal)
        most = _most_at_once(self._desk.options.wiro_balance_usd)
        if most is not None and self._desk.book.active(VENDOR, self._desk.now()) >= most:
            return failure(96, _too_many(self._desk.options.wiro_balance_usd or 0.0))
        return await self._taken(wanted)

    async def _taken(self, wanted: Wanted) -> Response:
        desk = self._desk
        token = "".join(desk.chance.choices(_TOKEN_LETTERS, k=30))
        wanted.details["uuid"] = desk.new_uuid()
        entry = desk.accept(VENDOR, wanted, remote_id=desk.new_number(), token=token)
        good = {"errors": [], "taskid": entry.id, "socketaccesstoken": token, "result": True}
        return await desk.answer(entry, answer(good))

    async def detail(self, request: Request) -> Response:
        """How a task is."""
        _authenticate(request)
        asked = await _fields(request)
        entry = self._find(asked, ("taskid", "tasktoken"))
        self._desk.listen(VENDOR, entry, _refusal)
        if entry is None:
            return failure(*(NOT_FOUND if {"taskid", "tasktoken"} & asked.keys() else (0, _NO_TASK)))
        good = {"total": "1", "errors": [], "tasklist": [await self._task(request, entry)], "result": True}
        return self._desk.tell(entry, answer(good))

    async def cancel(self, request: Request) -> Response:
        """Take a task off the queue."""
        return await self._stop(request, {Status.QUEUE}, "Task is not in a cancellable state.")

    async def kill(self, request: Request) -> Response:
        """Stop a task that is past the queue."""
        running = set(Status) - {Status.QUEUE, Status.POSTPROCESS_END, Status.CANCEL}
        return await self._stop(request, running, "Task could not be killed: it is not running")

    async def _stop(self, request: Request, stoppable: set[Status], complaint: str) -> Response:
        _authenticate(request)
        asked = await _fields(request)
        entry = self._find(asked, ("taskid", "socketaccesstoken", "tasktoken"))
        self._desk.listen(VENDOR, entry, _refusal)
        if entry is None:
            known = {"taskid", "socketaccesstoken", "tasktoken"} & asked.keys()
            return failure(*(NOT_FOUND if known else (0, _NO_TASK)))
        if wiro_tasks.status(entry, self._desk.now()) not in stoppable:
            return failure(1, complaint)
        self._desk.book.cancel(entry, self._desk.now())
        good = {"errors": [], "tasklist": [await self._task(request, entry)], "result": True}
        return answer(good)

    async def picture(self, request: Request) -> Response:
        """A picture, from the content network."""
        entry = self._desk.book.find(VENDOR, request.path_params["task"])
        number = request.path_params["name"].partition(".")[0]
        expired = PlainTextResponse("Not Found", 404)
        return await self._desk.picture(request, entry, int(number) if number.isdecimal() else 0, expired)

    def _find(self, asked: Document, names: tuple[str, ...]) -> Entry | None:
        given = (asked.get(name) for name in names)
        return next((self._desk.book.find(VENDOR, str(one)) for one in given if one), None)

    async def _task(self, request: Request, entry: Entry) -> Document:
        now, root_url = self._desk.now(), root_of(request)
        match entry.state(now):
            case State.SUCCEEDED:
                sizes = [await self._desk.gallery.size_bytes(entry, n) for n in range(entry.wanted.pictures)]
            case State.CANCELLED:
                sizes = [_SAMPLE_BYTES]  # the samples show an output; whoever believes it finds nothing there
            case _:
                sizes = []
        outputs = [wiro_tasks.output(entry, number, root_url, size) for number, size in enumerate(sizes)]
        return wiro_tasks.task(entry, now, outputs)


def _most_at_once(balance_usd: float | None) -> int | None:
    """Tasks that an account may have at a time: one for each ten dollars, any number above 250."""
    if balance_usd is None or balance_usd > _UNLIMITED_ABOVE_USD:
        return None
    return max(1, int(balance_usd * 0.10))


def _too_many(balance_usd: float) -> str:
    return _CONCURRENCY.format(balance=balance_usd, most=_most_at_once(balance_usd))


async def _unknown_url(_request: Request) -> Response:
    return failure(0, "Error parsing url.", 404)


async def _fields(request: Request) -> Document:
    """JSON, or form fields, which other clients send here too."""
    try:
        sent = await wiro_inputs.read(request)
    except (BadInput, BadForm):
        return {}
    return {name: values[0] for name, values in sent.items() if values}


def _authenticate(request: Request) -> None:
    """Know the project, and check its signature if it demands one.

    Raises:
        Refused: 401.
    """
    key = request.headers.get("x-api-key", "")
    if not key.startswith(KEY_PREFIX):
        raise Refused(failure(0, "Project authorization is not founded.", 401))
    if not key.endswith(SIGNED_SUFFIX):
        return
    nonce, signature = request.headers.get("x-nonce"), request.headers.get("x-signature")
    if nonce is None or signature is None:
        message = "Project requires signature authentication. x-signature and x-nonce headers are required."
        raise Refused(failure(0, message, 401))
    right = hmac.new(key.encode(), (SECRET + nonce).encode(), hashlib.sha256).hexdigest()
    # The shell of the documents sends "SHA2-256(stdin)= " along, which is no signature.
    if not nonce.isdecimal() or not hmac.compare_digest(right.encode(), signature.encode()):
        raise Refused(failure(0, "Project authorization is not valid.", 401))


def _refusal(strike: Strike) -> Response:
    match strike.name:
        case "bad_key":
            return failure(0, "Project authorization is not founded.", 401)
        case "insufficient_balance":
            return _listed(strike, 97, "Insufficient balance")
        case "concurrency_limit":
            return _listed(strike, 96, _too_many(_USUAL_BALANCE_USD))
        case "rate_limit":
            return failure(0, "Too many requests.", 429, {"retry-after": f"{strike.seconds:g}"})
        case "rate_limit_bare":
            return failure(0, "Too many requests.", 429)
        case "refuse_503":
            return failure(0, "Service unavailable.", 503)
        case _:
            return failure(0, "Internal server error.", 500)


def _listed(strike: Strike, code: int, message: str) -> Response:
    """The error as usual, or as the bare text that older paths send."""
    if strike.variant == "string":
        return answer({"result": False, "errors": [message]})
    return failure(code, message)
