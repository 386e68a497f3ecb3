"""The native API's way in: a job is asked for."""

import logging

from fastapi import APIRouter, Response

from api import once
from api.dependencies import GuardedRoute, NativeProject, Services, ServicesOf
from api.errors import Problem
from api.market import NotExpressible, NotSold
from api.native_shapes import ALONE, job_answer
from api.once import REPLAYED, IdempotencyKey, KeyReused
from api.ordering import job_of
from api.schemas import JobAnswer, NewJobBody, ProblemAnswer
from api.surroundings import settings_of
from catalogue import InvalidInput, UnknownModel
from models import queries
from models.transitions import EnqueuedJob, NewJob

router = APIRouter(
    route_class=GuardedRoute,
    prefix="/api/jobs",
    tags=["Jobs"],
    responses={401: {"model": ProblemAnswer, "description": "not_authorized"}},
)
logger = logging.getLogger("darkroom.api")


@router.post(
    "",
    status_code=202,
    summary="Queue a job",
    responses={
        200: {"model": JobAnswer, "description": "It was queued before, under this Idempotency-Key."},
        422: {
            "model": ProblemAnswer,
            "description": "invalid_request, invalid_parameters, unknown_model, not_sold, not_expressible, "
            "idempotency_key_reused",
        },
    },
)
def queue(
    wanted: NewJobBody,
    project: NativeProject,
    services: ServicesOf,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Store the job; it is generated as soon as it is its turn.

    Each call is another job, unless it has an `Idempotency-Key`: then the same key with
    the same body is the same job, for as long as that job is kept.  What was refused has
    stored nothing, and its key is free.

    A picture among the parameters is its URL, a data URI or base64; what is sent along
    is stored, and shown as `stored:...` from then on.
    """
    queued = _queue(services, project.id, wanted, idempotency_key)
    with services.database.transaction() as session:
        job = queries.job(session, queued.id)
        around = ALONE if queued.is_new else settings_of(session, [job])[job.id]
    answer = job_answer(services, job, around)
    response.headers["Location"] = f"/api/jobs/{queued.id}"
    if not queued.is_new:
        response.status_code = 200
        response.headers[REPLAYED] = "true"
    return answer


def _queue(services: Services, project_id: int, wanted: NewJobBody, key: str | None) -> EnqueuedJob:
    # Without what was left out or is the default: a later version may have more of it.
    sent = once.request(key, wanted.model_dump(exclude_defaults=True))
    try:
        queued = once.queue(services, project_id, sent, lambda: _job(services, project_id, wanted))
    except KeyReused as exc:
        raise Problem(422, "idempotency_key_reused", str(exc), job=exc.job_id) from exc
    if queued.is_new:
        services.bell.ring()
        extra = {"event": "job_queued", "job_id": queued.id, "project_id": project_id}
        logger.info("Queued a job.", extra=extra)
    return queued


def _job(services: Services, project_id: int, wanted: NewJobBody) -> NewJob:
    """What can be queued, or the problem with it."""
    try:
        return job_of(services, project_id, wanted)
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
