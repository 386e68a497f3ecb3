"""An app over a real PostgreSQL, two projects to ask as, and a hand that plays the worker.

Redis is a closed port unless a test asks for one: nothing here may depend on it.
"""

import dataclasses
import hashlib
import json
import threading
import warnings
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select

from api.app import create_app
from models import queries, transitions
from models.attempt import Attempt
from models.attempts import Cost, Failure
from models.job import Job
from models.lifecycle import AttemptState
from models.project import AuthMode, Project
from models.session import Database
from models.transitions import Claim, NewJob, NewOutput
from models.worker import LOCK_NAMESPACE, Worker
from settings import Settings
from storage import Storage

with warnings.catch_warnings():
    # It would rather have httpx2; with httpx it works as well.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

MODEL = "black-forest-labs/flux-pro-1-1"
NOBODY = "redis://127.0.0.1:1/0"
SAMPLES = Path(__file__).parent / "samples"
_USUAL_COST = Cost(Decimal("0.04"), is_estimate=False)


class SilentBell:
    """Notes what the queue would have been told, and whether the job was committed by then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.jobs_at_ring: list[int] = []
        self.notified = 0
        self.revoked: list[tuple[tuple[UUID, ...], bool]] = []

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def ring(self) -> None:
        with self._database.transaction() as session:
            self.jobs_at_ring.append(session.query(Job).count())

    def notify(self) -> None:
        self.notified += 1

    def revoke(self, uuids, *, terminate) -> None:
        self.revoked.append((tuple(uuids), terminate))


class Hand:
    """Does to jobs what dispatchers and workers do."""

    def __init__(self, database: Database, storage: Storage, project_id: int) -> None:
        self._database = database
        self._storage = storage
        self._project_id = project_id
        self._worker_id: int | None = None

    def queue(self, **columns) -> int:
        asked = {
            "project_id": self._project_id,
            "model_slug": MODEL,
            "parameters": {"prompt": "a lighthouse", "seed": 7, "promptUpsampling": False},
        }
        with self._database.transaction() as session:
            return transitions.enqueue(session, [NewJob(**asked | columns)])[0].id

    def dispatch(self, job_id: int, provider: str = "sandbox") -> Claim:
        with self._database.transaction() as session:
            [row] = transitions.dispatch(session, provider, [job_id])
            return Claim(row.id, row.claim)

    def accept(self, job_id: int, provider: str = "sandbox") -> Claim:
        claim = self.dispatch(job_id, provider)
        with self._database.transaction() as session:
            transitions.accept(session, claim, self._worker(session))
        return claim

    def _worker(self, session) -> int:
        if self._worker_id is None:
            worker = Worker(name="remote@here", host="here", pid=1, queues=["remote"], concurrency=4)
            session.add(worker)
            session.flush()
            self._worker_id = worker.id
        return self._worker_id

    def assign(self, job_id: int, provider: str = "sandbox") -> tuple[Claim, int]:
        """Up to where it is about to be sent."""
        claim = self.accept(job_id, provider)
        with self._database.transaction() as session:
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            return claim, transitions.assign(session, claim, provider=provider, remote_id=provider).id

    def start(
        self, job_id: int, provider: str = "sandbox", ticket: Mapping[str, object] | None = None
    ) -> tuple[Claim, int]:
        """Up to where the provider has it."""
        claim, attempt_id = self.assign(job_id, provider)
        with self._database.transaction() as session:
            transitions.record_ticket(session, attempt_id, dict(ticket or {"id": "t"}))
            transitions.start(session, claim, attempt_id)
        return claim, attempt_id

    def output(self, claim: Claim, attempt_id: int) -> None:
        """Its first sign of progress."""
        with self._database.transaction() as session:
            transitions.output(session, claim, attempt_id, None)

    def hold(self, job_id: int, provider: str = "wiro") -> int:
        """Send it and lose the answer; the attempt's number."""
        claim, attempt_id = self.assign(job_id, provider)
        lost = Failure("submission_unknown", "the answer was lost", state=AttemptState.UNKNOWN)
        with self._database.transaction() as session:
            transitions.hold(session, claim, attempt_id, lost)
        return attempt_id

    def rescue(self, job_id: int) -> None:
        with self._database.transaction() as session:
            transitions.rescue(session, Job.id == job_id, "its worker was killed")

    def kill(self, claim: Claim, how, attempt_id=None) -> None:
        with self._database.transaction() as session:
            transitions.kill(session, claim, how, attempt_id)

    def fail(self, job_id: int, message: str = "refused") -> None:
        claim, attempt_id = self.start(job_id)
        with self._database.transaction() as session:
            transitions.fail(session, claim, Failure("content_refused", message), attempt_id)

    def attempts(self, job_id: int) -> list[Attempt]:
        with self._database.transaction() as session:
            return list(queries.attempts(session, job_id))

    def succeed(
        self,
        job_id: int,
        content: bytes = b"a picture",
        cost_usd: Decimal | None = Decimal("0.04"),
        provider: str = "sandbox",
        *,
        is_estimate: bool = False,
    ) -> str:
        """All the way; the access key of the one output."""
        claim, attempt_id = self.start(job_id, provider)
        return self.finish(claim, attempt_id, content, Cost(cost_usd, is_estimate=is_estimate))

    def finish(
        self, claim: Claim, attempt_id: int, content: bytes = b"a picture", cost: Cost = _USUAL_COST
    ) -> str:
        """The rest of the way of what was started; likewise."""
        key, access_key = f"aa/{claim.job_id}/1/0.png", f"key{claim.job_id}"
        self._storage.put(key, content)
        output = NewOutput(
            name="0.png",
            access_key=access_key,
            storage_key=key,
            content_type="image/png",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            width_px=64,
            height_px=32,
            seed=7,
        )
        with self._database.transaction() as session:
            transitions.end(session, claim, attempt_id)
            transitions.start_postprocess(session, claim, attempt_id)
            transitions.succeed(session, claim, attempt_id, [output], cost)
        return access_key

    def look(self, job_id: int) -> Job:
        with self._database.transaction() as session:
            return queries.job(session, job_id)


@pytest.fixture
def settings(database_url: str, tmp_path) -> Settings:
    return Settings(
        _env_file=None,
        DATABASE_URL=database_url,
        REDIS_URL=NOBODY,
        DARKROOM_HOME=tmp_path,
        DARKROOM_PUBLIC_URL="https://pictures.example/",
    )


@pytest.fixture
def bell(database: Database) -> SilentBell:
    return SilentBell(database)


@pytest.fixture
def app(settings: Settings, bell: SilentBell) -> Iterator[FastAPI]:
    made = create_app(settings)
    made.state.services = dataclasses.replace(made.state.services, bell=bell)
    yield made
    made.state.services.database.dispose()


@pytest.fixture
def all_vendors(app: FastAPI) -> tuple[str, ...]:
    """All four are on, and the sandbox is off."""
    services = app.state.services
    vendors = ("wiro", "runware", "bfl", "vtrix")
    market = dataclasses.replace(services.market, turned_on=vendors, known=("sandbox", *vendors))
    app.state.services = dataclasses.replace(services, market=market)
    return vendors


@pytest.fixture
def hand(app: FastAPI, database: Database, project: Project) -> Hand:
    return Hand(database, app.state.services.storage, project.id)


@pytest.fixture
def live_worker(database: Database) -> Iterator[int]:
    """A worker with four slots that holds its lock."""
    with database.transaction() as session:
        worker = Worker(name="remote@there", host="there", pid=2, queues=["remote"], concurrency=4)
        session.add(worker)
        session.flush()
        worker_id = worker.id
    with database.engine.connect() as connection:
        connection.execute(select(func.pg_advisory_lock(LOCK_NAMESPACE, worker_id)))
        connection.commit()
        yield worker_id
        connection.execute(select(func.pg_advisory_unlock(LOCK_NAMESPACE, worker_id)))


@pytest.fixture
def project(database: Database) -> Project:
    """A project whose key is its whole proof."""
    return _add(database, Project(name="ours", auth=AuthMode.KEY, api_key="our-key", api_secret="our-secret"))


@pytest.fixture
def signing_project(database: Database) -> Project:
    """Another one, whose requests are signed."""
    return _add(
        database,
        Project(name="theirs", auth=AuthMode.SIGNATURE, api_key="their-key", api_secret="their-secret"),
    )


def _add(database: Database, project: Project) -> Project:
    with database.transaction() as session:
        session.add(project)
        session.flush()
        session.refresh(project)
        return project


@pytest.fixture
def anonymous(app: FastAPI) -> Iterator[TestClient]:
    """Who has no key."""
    with TestClient(app) as client:
        yield client


@pytest.fixture
def client(app: FastAPI, project: Project) -> Iterator[TestClient]:
    """Who has our project's key."""
    with TestClient(app, headers={"x-api-key": project.api_key}) as client:
        yield client


@pytest.fixture
def stranger(app: FastAPI, signing_project: Project) -> Iterator[TestClient]:
    """Who has the other project's key and secret; for the native API."""
    with TestClient(app, headers={"Authorization": "Bearer their-key:their-secret"}) as client:
        yield client


@pytest.fixture
def served(app: FastAPI, eventually) -> Iterator[str]:
    """The address of the app behind a real server: what is sent bit by bit arrives so."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, ws="none", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def client_of():
    """`client_of(app)`: who asks an app that the test made."""
    return TestClient


@pytest.fixture
def sample():
    """`sample("detail")`: what Wiro's documents show."""
    return lambda name: json.loads((SAMPLES / f"{name}.json").read_text())
