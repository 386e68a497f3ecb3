"""A project, a worker and a job to do things to."""

import pytest

from models import transitions
from models.project import AuthMode, Project
from models.session import Database
from models.transitions import Claim, NewJob
from models.worker import Worker


@pytest.fixture
def project_id(database: Database) -> int:
    with database.transaction() as session:
        project = Project(name="p", auth=AuthMode.KEY, api_key="key", api_secret="secret")
        session.add(project)
        session.flush()
        return project.id


@pytest.fixture
def worker_id(database: Database) -> int:
    with database.transaction() as session:
        worker = Worker(name="remote@here", host="here", pid=1, queues=["remote"], concurrency=4)
        session.add(worker)
        session.flush()
        return worker.id


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
