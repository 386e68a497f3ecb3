"""One job, for the doors of the native API that are about it."""

import dataclasses
from typing import Any

from sqlalchemy.orm import Session

from api.dependencies import Services
from api.errors import Problem
from api.names import job_called
from api.native import places
from api.native.schemas.jobs import JobDetail
from api.native.schemas.words import ProblemAnswer
from api.native.shapes import job_detail
from api.native.surroundings import settings_of
from api.native.waiting import why_it_waits
from models import queries
from models.errors import NotFound
from models.job import Job

NO_JOB: dict[int | str, dict[str, Any]] = {404: {"model": ProblemAnswer, "description": "job_not_found"}}
"""How a door says in its documentation that it may know of no such job."""


def job_or_refusal(session: Session, project_id: int, job_name: str) -> Job:
    """A project's job by any of its names.

    Raises:
        Problem: 404, it has no such job.
    """
    try:
        return job_called(session, project_id, job_name)
    except NotFound as exc:
        raise no_job() from exc


def no_job() -> Problem:
    """The refusal."""
    return Problem(404, "job_not_found", "This project has no such job.")


def detail(services: Services, project_id: int, job_name: str) -> JobDetail:
    """All there is to tell of a job now.

    Raises:
        Problem: 404, there is no such job.
    """
    with services.database.transaction() as session:
        job = job_or_refusal(session, project_id, job_name)
        around = settings_of(session, [job])[job.id]
        waits = why_it_waits(session, services.market, job)
        place = places.place_of(session, services.market, job)
        return job_detail(
            services,
            job,
            dataclasses.replace(around, waits=waits, place=place),
            queries.attempts(session, job.id),
            queries.outputs(session, job.id),
        )
