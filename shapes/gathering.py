"""What shapes are made of, read from Postgres: for any number of jobs by one statement."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalogue import Catalogue
from models import dossiers, queries
from models.campaign import Campaign
from models.dossiers import Dossier
from models.job import Job
from shapes import native, wiro
from shapes.wiro import Shape
from shapes.wiro_story import Ending


def wiro_tasks(session: Session, catalogue: Catalogue, public_url: str, jobs: Sequence[Job]) -> list[Shape]:
    """Wiro's task object of each job as it is now, in their order."""
    return [
        _wiro_task(catalogue, public_url, dossier)
        for dossier in dossiers.of_jobs(session, [job.id for job in jobs])
    ]


def wiro_task_called(
    session: Session, catalogue: Catalogue, public_url: str, project_id: int, name: str
) -> Shape | None:
    """The same of a project's job by any of its names; None when it has none of this name."""
    dossier = dossiers.called(session, project_id, name)
    return None if dossier is None else _wiro_task(catalogue, public_url, dossier)


def _wiro_task(catalogue: Catalogue, public_url: str, dossier: Dossier) -> Shape:
    return wiro.task(dossier, catalogue.of_slug(dossier.model_slug), public_url)


def wiro_ending(session: Session, public_url: str, job_id: int) -> Ending:
    """What Wiro's socket says of a job beyond its ledger, as it is now.

    Raises:
        models.errors.NotFound: it is not kept any more.
    """
    job = queries.job(session, job_id)
    outputs = queries.outputs(session, job_id) if job.outcome is not None else ()
    return Ending(
        outcome=job.outcome,
        error=job.error_message or "",
        log=queries.logs(session, [job_id]).get(job_id, ""),
        outputs=[wiro.output(job, stored, public_url) for stored in outputs if stored.deleted_at is None],
    )


def told_job(session: Session, public_url: str, job: Job) -> Shape:
    """A job as notifications have it, as it is now."""
    campaign = select(Campaign.uuid).where(Campaign.id == job.campaign_id)
    return native.told_job(
        job, queries.outputs(session, job.id), session.scalars(campaign).one_or_none(), public_url
    )
