"""Wiro's Run, and Run/sync, which answers when the task has ended.

https://wiro.ai/docs run-a-model#run-sync (github.com/wiroai/Wiro-Docs, read 2026-11): the
sync door starts the same task, waits for forty minutes at most, and then answers as
Task/Detail does, or with events of its own as the task goes on.
"""

import dataclasses
import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from api import once, patience, sse
from api.dependencies import Services, ServicesOf, WiroBody, WiroProject
from api.errors import WiroRefusal
from api.feed import Moved, Told
from api.market import NotExpressible, NotSold
from api.once import REPLAYED, IdempotencyKey, KeyReused
from api.ordering import new_job
from api.wiro import showing
from api.wiro.docs import REFUSALS, answers, any_body
from api.wiro.schemas import CountedTasks, Refused, Started, StillRuns
from catalogue import InvalidInput, UnknownModel
from models import queries
from models.lifecycle import FINAL
from models.transitions import EnqueuedJob, NewJob
from shapes import wiro as wiro_shapes
from shapes.wiro import Shape
from shapes.wiro_story import Snapshot

CALLBACK_URL = "callbackUrl"
OF_THE_RUN = frozenset({CALLBACK_URL, "projectid"})
"""Parameters of a run, not of a model.  `projectid` bills another project at Wiro; here the key decides."""

SYNC_MAX_S = 40 * 60.0
"""As long as Wiro documents."""

STILL_RUNS = "The task has not ended within the time that this request could wait; it goes on."
TOO_MANY_WAIT = "Too many requests wait for their tasks just now: nothing was started. Try again, or use Run."

Stream = Annotated[
    bool, Query(description="Events instead of one answer, as with `Accept: text/event-stream`.")
]

router = APIRouter(
    prefix="/v1",
    tags=["Wiro"],
    responses=REFUSALS
    | {
        422: {"model": Refused, "description": "The Idempotency-Key is none, or was used for another request"}
    },
)

_RUN_BODY = any_body(
    {"prompt": "A paper boat in a puddle after the rain.", "aspectRatio": "16:9", "seed": "42"}
)


# --- start ---------------------------------------------------------------------------------------------


@router.post(
    "/Run/{owner}/{model_name}", summary="Run a model", responses=answers(Started), openapi_extra=_RUN_BODY
)
def run(
    owner: str,
    model_name: str,
    *,
    project: WiroProject,
    body: WiroBody,
    services: ServicesOf,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Queue a job: `{"errors": [], "taskid": "12", "socketaccesstoken": "…", "result": true}`.

    Parameters are those of the model, as strings or with their own types; `callbackUrl`
    is kept if it is an http(s) address.

    A picture is a file of the form, a URL, a data URI or base64, under the parameter's name
    or that name with `Url` behind it; or the name of a file that the project has uploaded.
    Several are repeated fields, a list, or URLs parted by commas, and keep their order.
    """
    queued = _queue(services, project.id, f"{owner}/{model_name}", body, idempotency_key)
    return JSONResponse(_started(queued), headers=_headers(queued))


def _queue(
    services: Services, project_id: int, model_name: str, body: Mapping[str, object], key: str | None
) -> EnqueuedJob:
    sent = once.request(key, {"model": model_name, "parameters": body})
    try:
        return once.queue(services, project_id, sent, lambda: _job(services, project_id, model_name, body))
    except KeyReused as exc:
        raise WiroRefusal((0, str(exc)), status=422) from exc


def _job(services: Services, project_id: int, model_name: str, body: Mapping[str, object]) -> NewJob:
    """What can be queued; each refusal begins with Wiro's own sentence, which clients compare."""
    parameters = {name: value for name, value in body.items() if name not in OF_THE_RUN}
    try:
        ordered = new_job(services, project_id, model_name, parameters)
    except UnknownModel as exc:
        raise WiroRefusal(*wiro_shapes.unknown_model(exc)) from exc
    except NotSold as exc:
        raise WiroRefusal((1, wiro_shapes.MODEL_NOT_SOLD), (1, str(exc))) from exc
    except NotExpressible as exc:
        raise WiroRefusal((0, wiro_shapes.INVALID_BODY), (0, str(exc))) from exc
    except InvalidInput as exc:
        sentences = [(0, wiro_shapes.problem_sentence(problem)) for problem in exc.problems]
        raise WiroRefusal(*sentences) from exc
    return dataclasses.replace(ordered, callback_url=wiro_shapes.callback_url(body.get(CALLBACK_URL)))


def _started(queued: EnqueuedJob) -> Shape:
    return wiro_shapes.started(queued.id, queued.socket_token)


def _headers(queued: EnqueuedJob) -> dict[str, str]:
    return {} if queued.is_new else {REPLAYED: "true"}


# --- and wait --------------------------------------------------------------------------------------------


@router.post(
    "/Run/{owner}/{model_name}/sync",
    summary="Run a model and wait for the end",
    openapi_extra=_RUN_BODY,
    responses={
        200: {
            "model": CountedTasks | Refused,
            "content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}},
            "description": "The task as Task/Detail shows it, its events as they come, or a refusal",
        },
        503: {"model": Refused, "description": "Too many requests wait, or the database or storage is away"},
        504: {"model": StillRuns, "description": "The task goes on; the names lead to it"},
    },
)
async def run_sync(
    owner: str,
    model_name: str,
    *,
    project: WiroProject,
    body: WiroBody,
    services: ServicesOf,
    request: Request,
    stream: Stream = False,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Queue a job as Run does, and answer as Task/Detail does when it has ended.

    After forty minutes, or when the server is asked to end, it is a 504 with `taskid` and
    `socketaccesstoken`.  Whoever goes away ends the wait and not the task.  As events there
    are `start` with Run's answer, `task_output` with the task as far as it has come, and
    `done` with that of Task/Detail, or `error` with what the 504 says.
    """
    if services.listeners.is_full:
        # Before anything is bought: who is told so tries again.
        raise WiroRefusal((0, TOO_MANY_WAIT), status=503)
    queued = await run_in_threadpool(
        _queue, services, project.id, f"{owner}/{model_name}", body, idempotency_key
    )
    body.clear()  # its pictures are stored: nobody holds megabytes for as long as a job takes
    if stream or sse.is_wanted(request.headers.get("accept")):
        return sse.EventStream(_events(services, queued), services.listeners, _still_runs(queued))
    await patience.wait(services, request, queued.id, SYNC_MAX_S)
    task = await run_in_threadpool(_task, services, queued.id)
    if task["status"] not in FINAL:
        return _still_runs(queued)
    return JSONResponse(wiro_shapes.detailed(task), headers=_headers(queued))


def _task(services: Services, job_id: int) -> Shape:
    with services.database.transaction() as session:
        [task] = showing.shown(services, session, [queries.job(session, job_id)])
    return task


def _still_runs(queued: EnqueuedJob) -> JSONResponse:
    return JSONResponse(_left(queued), 504, _headers(queued))


def _left(queued: EnqueuedJob) -> Shape:
    """What is said to who has waited long enough."""
    return {**_started(queued), **wiro_shapes.refused([(0, STILL_RUNS)])}


async def _events(services: Services, queued: EnqueuedJob) -> AsyncIterator[str]:
    yield _event("start", _started(queued))
    snapshot = Snapshot(queued.id)
    until = time.monotonic() + SYNC_MAX_S
    async with services.feed.watch(queued.id) as watcher:
        async for told in sse.or_silence(watcher, min(sse.KEEP_ALIVE_S, SYNC_MAX_S)):
            if told is not None:
                _note(snapshot, told)
            if snapshot.status not in FINAL:
                yield sse.KEEP_ALIVE if told is None else _event("task_output", snapshot.shape())
            if time.monotonic() >= until:
                break
    task = await run_in_threadpool(_task, services, queued.id)
    if task["status"] in FINAL:
        yield _event("done", wiro_shapes.detailed(task))
    else:
        yield _event("error", _left(queued))


def _note(snapshot: Snapshot, told: Moved | Told) -> None:
    if isinstance(told, Moved):
        snapshot.move(told)
    else:
        snapshot.hear(told.progress, told.log, datetime.now(UTC))


def _event(kind: str, document: Shape) -> str:
    return sse.event(kind, json.dumps(document))
