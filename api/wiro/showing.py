"""Jobs as Wiro's task objects, any number of them by the same few statements."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from api.dependencies import Services
from api.names import may_be_a_name
from api.wiro.asking import Page
from models.job import Job
from shapes import gathering
from shapes.wiro import Shape


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a project's tasks, and how many there are on all pages."""

    tasks: list[Shape]
    total: int


def shown(services: Services, session: Session, jobs: Sequence[Job]) -> list[Shape]:
    """The task object of each job, in their order."""
    return gathering.wiro_tasks(session, services.market.catalogue, services.public_url, jobs)


def called(services: Services, session: Session, project_id: int, name: str) -> Shape | None:
    """The task object of a project's job by any of its names; None when it has none of this name."""
    if not may_be_a_name(name):
        return None
    return gathering.wiro_task_called(
        session, services.market.catalogue, services.public_url, project_id, name
    )


def listed(services: Services, session: Session, project_id: int, slug_part: str, page: Page) -> Listed:
    """A project's tasks of the models whose slug has this part, all with an empty one."""
    wanted = _is_of(project_id, slug_part)
    order = Job.id.desc() if page.is_descending else Job.id.asc()
    jobs = session.scalars(select(Job).where(*wanted).order_by(order).offset(page.start).limit(page.limit))
    total = session.execute(select(func.count()).select_from(Job).where(*wanted)).scalar_one()
    return Listed(shown(services, session, jobs.all()), total)


def _is_of(project_id: int, slug_part: str) -> list[ColumnElement[bool]]:
    of_model = [Job.model_slug.contains(slug_part, autoescape=True)] if slug_part else []
    return [Job.project_id == project_id, *of_model]
