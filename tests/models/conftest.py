"""A project, a worker and a job to do things to."""

import pytest

from models import transitions
from models.session import Database
from models.transitions import Claim, NewJob


@pytest.fixture
def job_id(database: Database, project_id: int) -> int:
    with database.transaction() as session:
        return transitions.enqueue(session, [NewJob(project_id, "a/b", {"prompt": "x"})])[0].id


@pytest.fixture
def claim(database: Database, job_id: int) -> Claim:
    """The right to work on a job that has been dispatched."""
    with database.transaction() as session:
        [row] = transitions.dispatch(session, "sandbox", [job_id])
        return Claim(row.id, row.claim)
