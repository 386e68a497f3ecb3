"""Runware's dialect: arrays of tasks in, `data` and `errors` out; the client chooses the ids.

Sources: seed 004; authentication, errors, task-polling and rate-limits of runware.ai/docs/platform;
the families of error codes in runware-python.  What they leave open is decided here, and listed in
docs/simulate.md.
"""

import asyncio
import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from simulator import runware_results
from simulator.answers import Document, Refused, answer, root_of
from simulator.book import Entry
from simulator.connection import has_left
from simulator.desk import Desk
from simulator.faults import Strike
from simulator.options import KEY_PREFIX
from simulator.runware_inputs import BadTask, error, read_task

VENDOR = "runware"
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_A_DAY_S = 86_400.0
_INVALID_KEY = "Invalid API key. Get one at https://my.runware.ai/signup"


def routes(desk: Desk) -> list[BaseRoute]:
    """What is served below the root."""
    runware = _Runware(desk)
    return [
        Route("/runware/v1", runware.tasks, methods=["POST"]),
        Route("/runware/v1/", runware.tasks, methods=["POST"]),
        Route("/runware/image/os/{task}/{number:int}/ii/{name}", runware.picture, methods=["GET"]),
    ]


class _Runware:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def tasks(self, request: Request) -> Response:
        """Do all tasks of the array, each for itself."""
        given = _authenticated(request, await _array(request))
        if not given:
            raise Refused(_failed([error("missingTaskType", "The array holds no task.")], 400))
        is_dry = request.headers.get("x-runware-dry-run") == "1"
        round_ = _Round(self._desk, request, is_dry=is_dry)
        await asyncio.gather(*(round_.take(task) for task in given))
        return await round_.answer()

    async def picture(self, request: Request) -> Response:
        """A picture, until its ttl is over."""
        entry = self._desk.book.find(VENDOR, request.path_params["task"])
        ttl_s = entry.wanted.details.get("ttl") if entry else None
        if entry is not None and ttl_s is not None and self._desk.now() > entry.ends_at + ttl_s:
            entry = None
        expired = PlainTextResponse("Not Found", 404)
        return await self._desk.picture(request, entry, request.path_params["number"], expired)


class _Round:
    """One request: what became of each of its tasks."""

    def __init__(self, desk: Desk, request: Request, *, is_dry: bool) -> None:
        self._desk = desk
        self._request = request
        self._is_dry = is_dry
        self._data: list[Document] = []
        self._errors: list[Document] = []
        self._status = 400
        self._accepted: list[Entry] = []
        self._asked: list[Entry] = []

    async def take(self, task: object) -> None:
        """Do one task."""
        if not isinstance(task, dict):
            self._fail([error("invalidTask", "A task is an object.")], 400)
            return
        match task.get("taskType"):
            case "imageInference":
                await self._infer(task)
            case "getResponse":
                await self._respond(task)
            case "ping":
                self._data.append({"taskType": "ping", "pong": True})
            case None:
                self._fail([error("missingTaskType", "taskType is required.", "taskType", task)], 400)
            case _:
                self._fail([error("invalidTaskType", "There is no such taskType.", "taskType", task)], 400)

    async def answer(self) -> Response:
        """The answer to all of them; never an `errors` key on a clean success."""
        document: Document = {}
        if self._data or self._asked or not self._errors:
            document["data"] = self._data
        if self._errors:
            document["errors"] = self._errors
        good = answer(document, 200 if "data" in document else self._status)
        for entry in self._accepted:
            spoilt = await self._desk.answer(entry, good)
            if spoilt is not good:
                return spoilt
        for entry in self._asked:
            spoilt = self._desk.tell(entry, good)
            if spoilt is not good:
                return spoilt
        return good

    def _fail(self, errors: list[Document], status: int) -> None:
        self._errors += errors
        self._status = status

    async def _infer(self, task: Document) -> None:
        try:
            wanted = read_task(task, self._desk.new_seed)
        except BadTask as exc:
            self._fail(exc.errors, 400)
            return
        key = self._fresh(task)
        if key is None:
            return
        if self._is_dry:
            self._data.append({"taskType": "imageInference", "taskUUID": key})
            return
        await self._desk.admit(self._request, VENDOR, wanted.prompt, _refusal)
        if self._fresh(task) is None:  # its twin came while it waited
            return
        entry = self._desk.accept(VENDOR, wanted, remote_id=key, key=key)
        self._accepted.append(entry)
        if wanted.details["deliveryMethod"] == "async" or wanted.details["webhookURL"]:
            self._data.append({"taskType": "imageInference", "taskUUID": key})
            return
        await self._wait_for(entry)
        data, errors = await runware_results.results(self._desk, entry, root_of(self._request), is_sync=True)
        self._data += data
        self._fail(errors, 400) if errors else None

    def _fresh(self, task: Document) -> str | None:
        """The task's id, if it is one that was never used."""
        key = task.get("taskUUID")
        if not isinstance(key, str) or not _UUID4.fullmatch(key):
            code = "missingTaskUUID" if key is None else "invalidTaskUUID"
            self._fail([error(code, "taskUUID takes a UUID v4.", "taskUUID", task)], 400)
            return None
        if self._desk.book.find(VENDOR, key) is not None:
            message = "taskUUID must be unique: this one has been used."
            self._fail([error("duplicateTaskUUID", message, "taskUUID", task)], 400)
            return None
        return key

    async def _wait_for(self, entry: Entry) -> None:
        if "lost_answer" in entry.fate:
            return  # at once
        if "hang" in entry.fate:
            await has_left(self._request.receive, _A_DAY_S)
            return
        await asyncio.sleep(max(0.0, entry.ends_at - self._desk.now()))

    async def _respond(self, task: Document) -> None:
        key = task.get("taskUUID")
        entry = self._desk.book.find(VENDOR, key) if isinstance(key, str) else None
        self._desk.listen(VENDOR, entry, _refusal)
        if entry is None:
            self._fail([error("taskNotFound", "There is no task with this taskUUID.", "taskUUID", task)], 404)
            return
        self._asked.append(entry)
        data, errors = await runware_results.results(self._desk, entry, root_of(self._request), is_sync=False)
        self._data += data
        self._errors += errors


async def _array(request: Request) -> list[Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as exc:
        raise Refused(_failed([error("invalidJSON", "The body is not JSON.")], 400)) from exc
    if not isinstance(body, list):
        raise Refused(_failed([error("invalidArray", "The body must be an array of tasks.")], 400))
    return body


def _authenticated(request: Request, tasks: list[Any]) -> list[Any]:
    """The tasks without the one that says who asks, if it is there.

    Raises:
        Refused: the key is not known.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if tasks and isinstance(tasks[0], dict) and tasks[0].get("taskType") == "authentication":
        scheme, key, tasks = "bearer", str(tasks[0].get("apiKey", "")), tasks[1:]
    if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX):
        raise Refused(_unauthorised())
    return tasks


def _unauthorised() -> Response:
    wrong = error("invalidApiKey", _INVALID_KEY, "apiKey") | {"taskType": "authentication"}
    return _failed([wrong], 401)


def _failed(errors: list[Document], status: int, headers: dict[str, str] | None = None) -> Response:
    return answer({"errors": errors}, status, headers)


def _refusal(strike: Strike) -> Response:
    match strike.name:
        case "bad_key":
            return _unauthorised()
        case "insufficient_balance":
            return _failed([error("insufficientCredits", "There are not enough credits.")], 402)
        case "rate_limit":
            headers = {"retry-after": f"{strike.seconds:g}"}
            return _failed([error("rateLimitExceeded", "Too many requests.")], 429, headers)
        case "rate_limit_bare":
            return _failed([error("rateLimitExceeded", "Too many requests.")], 429)
        case "refuse_503":
            return _failed([error("serviceUnavailable", "The service is unavailable.")], 503)
        case _:
            return _failed([error("internalServerError", "Something went wrong.")], 500)
