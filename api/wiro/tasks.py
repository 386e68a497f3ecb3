"""Wiro's API, so that its clients work when only their base URL changes.

The calls about tasks; Run is in `run`.  The shapes and sentences are in `shapes.wiro`;
paths are written exactly so, errors come with HTTP 200, and a project sees only its own.
"""

import logging
from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse

import catalogue
from api import stopping, uploads
from api.dependencies import Services, ServicesOf, UncountedWiroProject, WiroBody, WiroProject
from api.errors import WiroRefusal
from api.names import job_called
from api.wiro import asking, showing
from api.wiro.docs import REFUSALS, answers, any_body
from api.wiro.schemas import CountedTasks, Done, Tasks
from models import files, queries
from models.errors import NotFound
from models.lifecycle import Outcome
from shapes import wiro as wiro_shapes

TASK_NAMES = ("taskid", "tasktoken", "socketaccesstoken")
"""Wiro's documents disagree about which call takes which, so every call takes all."""

router = APIRouter(prefix="/v1", tags=["Wiro"], responses=REFUSALS)
logger = logging.getLogger("darkroom.api")

_TASK_BODY = any_body({"taskid": "2221"})
_LIST_BODY = any_body({"type": "model", "sort": "id", "order": "DESC", "start": "0", "limit": "20"})

_SORTS = ("id", "time", "createtime")
"""All of them the same here: numbers are given in the order of creation."""


# --- doors -----------------------------------------------------------------------------------------


@router.post("/Task/Detail", summary="Show a task", responses=answers(CountedTasks), openapi_extra=_TASK_BODY)
def detail(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """The task by `taskid`, `tasktoken` or `socketaccesstoken`, as it is now."""
    name = _task_name(body)
    with services.database.reading() as session:
        shown = showing.called(services, session, project.id, name)
    if shown is None:
        raise _no_task()
    return JSONResponse(wiro_shapes.detailed(shown))


@router.post("/Task/List", summary="List tasks", responses=answers(CountedTasks), openapi_extra=_LIST_BODY)
def list_tasks(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """The project's tasks as Detail shows them, newest first, `start` and `limit` of `total`.

    `order` may be `ASC`, `limit` at most 100, `modelName` a part of a model's slug.  Every
    task here is of `type` "model".
    """
    page = asking.page(body)
    asking.word(body, "sort", _SORTS)
    slug_part = catalogue.spelt_as_slug(asking.text(body, "modelName"))
    if asking.text(body, "type") not in {"", "model"}:
        return JSONResponse(wiro_shapes.listed([], 0))
    with services.database.transaction() as session:
        found = showing.listed(services, session, project.id, slug_part, page)
    return JSONResponse(wiro_shapes.listed(found.tasks, found.total))


@router.post(
    "/Task/Cancel", summary="Cancel a task that waits", responses=answers(Tasks), openapi_extra=_TASK_BODY
)
def cancel(project: UncountedWiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """The task, cancelled.  One that runs or has ended is refused: kill it."""
    try:
        stop = stopping.cancel(services, project.id, _task_name(body), stopping.WAIT_S)
    except NotFound as exc:
        raise _no_task() from exc
    if not stop.is_heeded:
        raise WiroRefusal((1, wiro_shapes.NOT_CANCELLABLE))
    return _stopped(services, stop.job_id)


@router.post(
    "/Task/Kill", summary="Stop a task wherever it is", responses=answers(Tasks), openapi_extra=_TASK_BODY
)
def kill(project: UncountedWiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """The task as it is once stopped, or after three seconds; killing it again gives it again."""
    try:
        stop = stopping.kill(services, project.id, _task_name(body), stopping.WAIT_S)
    except NotFound as exc:
        raise _no_task() from exc
    is_gone = stop.outcome in {Outcome.CANCELLED, Outcome.KILLED}
    if not stop.is_heeded and not is_gone:
        raise WiroRefusal((1, wiro_shapes.could_not_kill(f"it has already {stop.outcome}")))
    return _stopped(services, stop.job_id)


@router.post(
    "/Task/InputOutputDelete",
    summary="Delete a task's files",
    responses=answers(Done),
    openapi_extra=_TASK_BODY,
)
def delete_files(project: WiroProject, body: WiroBody, services: ServicesOf) -> JSONResponse:
    """Delete the pictures of a task that has ended, and what came along with it; its record is kept.

    What came along with another task too stays as long as that one.  Safe to call twice.
    """
    name = _task_name(body)
    try:
        with services.database.transaction() as session:
            job = job_called(session, project.id, name)
            if job.outcome is None:
                raise WiroRefusal((1, wiro_shapes.NOT_ENDED))
            promised = files.delete_of_job(session, job)
    except NotFound as exc:
        raise WiroRefusal((1, wiro_shapes.NO_TASK_TO_EMPTY)) from exc
    uploads.erase(services, promised)
    extra = {"event": "job_emptied", "job_id": job.id, "project_id": project.id}
    logger.info("Deleted a job's files.", extra=extra)
    return JSONResponse(wiro_shapes.emptied())


# --- what they share ---------------------------------------------------------------------------------


def _task_name(body: Mapping[str, object]) -> str:
    """The first name that was sent; a number is one too."""
    for field in TASK_NAMES:
        name = body.get(field)
        if name is not None and str(name).strip():
            return str(name).strip()
    raise WiroRefusal((0, wiro_shapes.NO_TASK_NAME))


def _no_task() -> WiroRefusal:
    return WiroRefusal((1, wiro_shapes.NO_TASK))


def _stopped(services: Services, job_id: int) -> JSONResponse:
    with services.database.transaction() as session:
        [shown] = showing.shown(services, session, [queries.job(session, job_id)])
    return JSONResponse(wiro_shapes.stopped(shown))
