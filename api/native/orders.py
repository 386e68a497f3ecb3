"""The native API's way in: a job is asked for, or what would become of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api import once, patience
from api.dependencies import GuardedRoute, NativeProject, Services, ServicesOf
from api.errors import Problem
from api.market import NotExpressible, NotSold
from api.native import preferring, quoting
from api.native.answering import json_answer
from api.native.preferring import APPLIED, Prefer
from api.native.schemas.jobs import OrderedJob, QuoteAnswer
from api.native.schemas.requests import NewJobBody
from api.native.schemas.words import ProblemAnswer
from api.native.shapes import ALONE, ordered_job
from api.native.surroundings import settings_of
from api.native.terms import job_of
from api.once import REPLAYED, IdempotencyKey, KeyReused
from catalogue import InvalidInput, UnknownModel
from models import queries
from models.transitions import EnqueuedJob, NewJob

DryRun = Annotated[
    bool,
    Query(alias="dry_run", description="Store nothing; say what would become of the job, and who fits."),
]

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api/jobs",
    tags=["Jobs"],
)


@router.post(
    "",
    status_code=202,
    summary="Queue a job",
    responses={
        200: {
            "model": OrderedJob | QuoteAnswer,
            "description": "The job has ended already (`Prefer: wait`), or was queued before under this "
            "`Idempotency-Key`; or, for `dry_run`, what would become of it.",
        },
        202: {"model": OrderedJob, "description": "The job is queued."},
        422: {
            "model": ProblemAnswer,
            "description": "invalid_request, invalid_parameters, unknown_model, not_sold, not_expressible, "
            "idempotency_key_reused",
        },
    },
)
async def queue(
    wanted: NewJobBody,
    project: NativeProject,
    services: ServicesOf,
    request: Request,
    *,
    dry_run: DryRun = False,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Store the job; it is generated as soon as it is its turn.

    Each call is another job, unless it has an `Idempotency-Key`: then the same key with
    the same body is the same job, for as long as that job is kept.  What was refused has
    stored nothing, and its key is free.

    A picture among the parameters is its URL, a data URI, base64, or an uploaded file as
    `file:UUID`; what is sent along is stored, and shown by its address from then on.

    With `Prefer: wait=30` the answer comes when the job has ended, with its outputs, or
    after so many seconds with the job as it is then.  Whoever goes away meanwhile ends
    the wait and not the job.
    """
    if dry_run:
        return json_answer(await run_in_threadpool(_quote, services, project.id, wanted))
    wait_s = preferring.wait_s(prefer)
    queued = await run_in_threadpool(_queue, services, project.id, wanted, idempotency_key)
    headers = {"Location": f"/api/jobs/{queued.id}"}
    if not queued.is_new:
        headers[REPLAYED] = "true"
    if wait_s is not None and await patience.wait(services, request, queued.id, wait_s):
        headers[APPLIED] = f"wait={wait_s}"
    answer = await run_in_threadpool(_answer, services, queued.id)
    is_as_it_was_left = queued.is_new and answer.outcome is None
    return json_answer(answer, 202 if is_as_it_was_left else 200, headers)


def _answer(services: Services, job_id: int) -> OrderedJob:
    with services.database.transaction() as session:
        job = queries.job(session, job_id)
        if job.claim == 0 and job.outcome is None:  # nobody had it yet: there is nothing more to read
            return ordered_job(services, job, ALONE, [])
        around = settings_of(session, [job])[job.id]
        return ordered_job(services, job, around, queries.outputs(session, job.id))


def _quote(services: Services, project_id: int, wanted: NewJobBody) -> QuoteAnswer:
    with _refusals_told():
        return quoting.quote(services, project_id, wanted)


def _queue(services: Services, project_id: int, wanted: NewJobBody, key: str | None) -> EnqueuedJob:
    # Without what was left out or is the default: a later version may have more of it.
    sent = once.request(key, wanted.model_dump(exclude_defaults=True))
    try:
        return once.queue(services, project_id, sent, lambda: _job(services, project_id, wanted))
    except KeyReused as exc:
        raise Problem(422, "idempotency_key_reused", str(exc), job=exc.job_id) from exc


def _job(services: Services, project_id: int, wanted: NewJobBody) -> NewJob:
    with _refusals_told():
        return job_of(services, project_id, wanted)


@contextmanager
def _refusals_told() -> Iterator[None]:
    """What cannot be queued, as the problem with it."""
    try:
        yield
    except UnknownModel as exc:
        raise Problem(422, "unknown_model", str(exc), suggestions=exc.suggestions) from exc
    except NotSold as exc:
        raise Problem(422, "not_sold", str(exc), refused=exc.refused, sold_by=exc.sold_by) from exc
    except NotExpressible as exc:
        raise Problem(422, "not_expressible", str(exc), excluded=exc.excluded) from exc
    except InvalidInput as exc:
        problems = [
            {"parameter": problem.parameter, "kind": problem.kind, "message": problem.message}
            for problem in exc.problems
        ]
        raise Problem(422, "invalid_parameters", str(exc), problems=problems) from exc
