"""What a caller may call a job."""

import re

from sqlalchemy.orm import Session

from models import queries
from models.errors import NotFound
from models.job import Job

_NAME = re.compile(r"[0-9A-Za-z-]{1,64}")
"""A number, a UUID or a token.  Anything else is nobody's name, and not all of it could be looked for."""


def job_called(session: Session, project_id: int, name: str) -> Job:
    """A project's job by any of its names: number, UUID or socket token.

    Raises:
        NotFound: the project has none of this name.
    """
    found = queries.find_job(session, project_id, name) if may_be_a_name(name) else None
    if found is None:
        raise NotFound("this project has no such job")
    return found


def may_be_a_name(name: str) -> bool:
    """Whether any job could be called so."""
    return _NAME.fullmatch(name) is not None
