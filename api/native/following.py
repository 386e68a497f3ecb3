"""A job's events: those of the ledger, as a list or as they come, and what its provider says meanwhile.

Nothing of the ledger is missed: whoever comes back says the number of the last event
they had, and is told what followed.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api import sse
from api.dependencies import NativeProject, Services, ServicesOf
from api.errors import Problem, problem_response
from api.feed import Moved, Told
from api.native.answering import json_answer
from api.native.details import NO_JOB, detail, job_or_refusal
from api.native.schemas.jobs import EventList, JobDetail
from api.native.schemas.words import ProblemAnswer
from api.native.shapes import event_answer
from models import queries

SEQ_MAX = 2**31 - 1

router = APIRouter(
    prefix="/api/jobs",
    tags=["Jobs"],
)


@router.get(
    "/{job_name}/events",
    summary="Follow a job",
    responses=NO_JOB
    | {
        200: {
            "model": EventList,
            "content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}},
            "description": "The events so far, or all of them as they come.",
        },
        503: {"model": ProblemAnswer, "description": "too_many_streams, database_unavailable"},
    },
)
async def events(
    job_name: str,
    project: NativeProject,
    services: ServicesOf,
    *,
    request: Request,
    after: Annotated[
        int, Query(ge=0, le=SEQ_MAX, description="Only those after this one, by its `seq`.")
    ] = 0,
    last_event_id: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="The same, for a stream; it goes before `after`."),
    ] = None,
) -> Response:
    """Every status the job has had, in order; with `Accept: text/event-stream` also those it will have.

    A stream has the ledger's events, each under its status' name with its `seq` as id;
    between them, without an id, what the provider says while it works (`progress`, from
    0 to 1, and `log`, a line); and in the end `end`, with the job.  Who comes back with
    `Last-Event-ID` is told all that followed.  It ends with the job, and at once when
    that has ended.
    """
    if not sse.is_wanted(request.headers.get("accept")):
        return json_answer(await run_in_threadpool(_trail, services, project.id, job_name, after))
    job_id = await run_in_threadpool(_number, services, project.id, job_name)
    known = after if last_event_id is None else _seq(last_event_id)
    return _stream(services, job_id, known, lambda: detail(services, project.id, str(job_id)))


def _trail(services: Services, project_id: int, job_name: str, after: int) -> EventList:
    with services.database.transaction() as session:
        trail = queries.trail(session, job_or_refusal(session, project_id, job_name).id)
    return EventList(events=[event_answer(event) for event in trail if event.seq > after])


def _number(services: Services, project_id: int, job_name: str) -> int:
    with services.database.transaction() as session:
        return job_or_refusal(session, project_id, job_name).id


def _seq(last_event_id: str) -> int:
    """The number of an event; what is none of ours is as good as no event: then all are told."""
    is_ours = last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 10
    return int(last_event_id) if is_ours else 0


def _stream(services: Services, job_id: int, after_seq: int, look: Callable[[], JobDetail]) -> Response:
    """The events of a job after one of them, until it has ended.

    Args:
        services: what there is to work with.
        job_id: which.
        after_seq: the last event that is known; 0 for none.
        look: the job as it is then, for the last event; in a thread.
    """
    return sse.EventStream(_events(services, job_id, after_seq, look), services.listeners, _no_place())


async def _events(
    services: Services, job_id: int, after_seq: int, look: Callable[[], JobDetail]
) -> AsyncIterator[str]:
    yield sse.KEEP_ALIVE  # whoever opens a stream sees at once that it is one
    async with services.feed.watch(job_id, after_seq) as watcher:
        async for told in sse.or_silence(watcher, sse.KEEP_ALIVE_S):
            yield sse.KEEP_ALIVE if told is None else _written(told)
    job = await run_in_threadpool(look)
    if job.outcome is not None:  # else this process is about to end, and the caller comes back
        yield sse.event("end", job.model_dump_json())


def _written(told: Moved | Told) -> str:
    if isinstance(told, Moved):
        return sse.event(told.status, event_answer(told).model_dump_json(), told.seq)
    said = {"progress": told.progress, "log": told.log}
    return "".join(
        sse.event(kind, json.dumps({kind: word})) for kind, word in said.items() if word is not None
    )


def _no_place() -> Response:
    detail = "This process has no place for another stream just now: try again, or ask without one."
    return problem_response(Problem(503, "too_many_streams", detail), {"Retry-After": "5"})
