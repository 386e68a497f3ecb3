"""What shapes are made of, read from Postgres: for any number of jobs by one statement."""

from collections.abc import Collection, Sequence

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


def wiro_endings(public_url: str, session: Session, job_ids: Collection[int]) -> dict[int, Ending]:
    """What Wiro's socket says of each job beyond its ledger; one that is not kept is not among them."""
    return {
        job_id: Ending(
            outcome=dossier.outcome,
            error=dossier.error_message or "",
            log=dossier.log,
            outputs=[wiro.output(dossier, stored, public_url) for stored in dossier.outputs],
        )
        for job_id, dossier in dossiers.kept(session, job_ids).items()
    }


def told_job(session: Session, public_url: str, job: Job) -> Shape:
    """A job as notifications have it, as it is now."""
    campaign = select(Campaign.uuid).where(Campaign.id == job.campaign_id)
    return native.told_job(
        job, queries.outputs(session, job.id), session.scalars(campaign).one_or_none(), public_url
    )
