"""A worker's bench with a provider that does as it is told."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import httpx
import pytest

import catalogue
import storage
from broker import Broker, create_app
from models import queries, transitions
from models.job import Job
from models.session import Database
from models.transitions import Claim, NewJob
from providers.base import CancelOutcome, Done, GenerationRequest, LostAnswer, Progress, RemoteOutput, Ticket
from providers.errors import InvalidParameters, Unsupported
from providers.http import Wire
from providers.sandbox import Provider as Sandbox
from workers.bench import Bench
from workers.generate import generate
from workers.pace import Pace
from workers.running import StopSignal

MODEL = "black-forest-labs/flux-pro-1-1"
PARAMETERS = {
    "prompt": "a lighthouse",
    "promptUpsampling": False,
    "safetyTolerance": 2,
    "aspectRatio": "1:1",
    "seed": 7,
    "outputFormat": "png",
}


class Obedient:
    """A provider whose every answer the test writes; keeps a book of what it was asked and what it took.

    Like a vendor it buys whatever is sent, unless it knows the key and is of a kind that cares.
    """

    computes_here = False
    max_in_flight: int | None = None

    def __init__(self, name: str = "sandbox") -> None:
        self.name = name
        self.on_lost_answer = LostAnswer.SEND_AGAIN
        self.submitted: list[GenerationRequest] = []
        self.bought: Counter[str] = Counter()
        self.cancelled: list[Ticket] = []
        self.on_submit: Callable[[], None] = nothing
        self.on_answer: Callable[[], None] = nothing
        self.on_find: Callable[[], None] = nothing
        self.on_check: Callable[[], Progress] = finished
        self.on_fetch: Callable[[], bytes] = a_picture
        self.cancel_outcome = CancelOutcome.CANCELLED

    def submit(self, request: GenerationRequest) -> Ticket:
        """`on_submit` may refuse the request; `on_answer` may lose the answer to one that was taken."""
        self.submitted.append(request)
        self.on_submit()
        request.may_send()
        if request.key in self.bought and self.on_lost_answer is LostAnswer.ASK:
            raise InvalidParameters("duplicate id")
        if request.key not in self.bought or self.on_lost_answer is LostAnswer.NOBODY_KNOWS:
            self.bought[request.key] += 1
        self.on_answer()
        return {"id": request.key}

    def find(self, key: str) -> Ticket | None:
        """What it took, if it is of the kind that can be asked."""
        if self.on_lost_answer is not LostAnswer.ASK:
            raise Unsupported("cannot be asked")
        self.on_find()
        return {"id": key} if key in self.bought else None

    def adopt(self, remote_id: str) -> Ticket:
        """A ticket for whatever is named."""
        return {"id": remote_id}

    def check(self, ticket: Ticket) -> Progress:
        """As told."""
        return self.on_check()

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        """As told."""
        self.cancelled.append(ticket)
        return self.cancel_outcome

    def fetch(self, ticket: Ticket, output: RemoteOutput) -> bytes:
        """As told."""
        return self.on_fetch()


def nothing() -> None:
    """Nothing out of the ordinary happens."""


def finished() -> Done:
    """One picture that cost four cents."""
    return Done((RemoteOutput("0", "image/png", 7),), Decimal("0.04"))


class Web:
    """What is published at which address: bytes, or an HTTP status; everything else is 404."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | int] = {}
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        page = self.pages.get(str(request.url), 404)
        return httpx.Response(page) if isinstance(page, int) else httpx.Response(200, content=page)


def a_picture() -> bytes:
    """A small real PNG."""
    sandbox = Sandbox(latency_s=(0, 0))
    ticket = sandbox.submit(
        GenerationRequest(
            "00000000-0000-4000-8000-000000000000",
            1,
            "sandbox",
            {"prompt": "x", "seed": 1, "width": 64, "height": 64, "output_format": "png"},
            {},
        )
    )
    done = sandbox.check(ticket)
    assert isinstance(done, Done)
    return sandbox.fetch(ticket, done.outputs[0])


@pytest.fixture
def provider() -> Obedient:
    return Obedient()


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def bench(database: Database, redis_url: str, tmp_path, provider: Obedient, web: Web) -> Bench:
    return Bench(
        database=database,
        broker=Broker(create_app(redis_url)),
        catalogue=catalogue.load(),
        providers={"sandbox": provider},
        storage=storage.connect((tmp_path / "outputs").as_uri()),
        web=Wire("the address", base_url="", transport=httpx.MockTransport(web)),
        private_hosts=(),
        pace=Pace(database),
    )


@pytest.fixture
def enqueue(database: Database, project_id: int):
    """`enqueue(**columns) -> id` of a new job."""

    def make(model_slug=MODEL, parameters=PARAMETERS, **columns) -> int:
        with database.transaction() as session:
            return transitions.enqueue(session, [NewJob(project_id, model_slug, parameters, **columns)])[0].id

    return make


@pytest.fixture
def dispatched(database: Database, enqueue):
    """`dispatched(job_id=None, provider="sandbox") -> Claim` of a job whose message is on the way."""

    def give(job_id: int | None = None, provider: str = "sandbox") -> Claim:
        with database.transaction() as session:
            [row] = transitions.dispatch(session, provider, [job_id or enqueue()])
            return Claim(row.id, row.claim)

    return give


class Desk:
    """One worker's, at which job after job is run by hand."""

    def __init__(self, bench, dispatched, worker_id) -> None:
        self.bench = bench
        self._dispatched = dispatched
        self._worker_id = worker_id

    def run(self, job_id, stop=None, at="sandbox"):
        """How the job's next turn ended."""
        claim = self._dispatched(job_id, at)
        return generate(self.bench, claim, self._worker_id, stop or StopSignal())

    def read(self, job_id):
        """The job and its attempts."""
        with self.bench.database.transaction() as session:
            return queries.job(session, job_id), queries.attempts(session, job_id)

    def leave(self, job_id, at="sandbox") -> str:
        """The key of the intent that a worker left when it was killed."""
        claim = self._dispatched(job_id, at)
        with self.bench.database.transaction() as session:
            transitions.accept(session, claim, self._worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            attempt = transitions.assign(session, claim, provider=at, remote_id="m")
            transitions.rescue(session, Job.id == job_id, "worker was killed")
        return str(attempt.uuid)

    def breakers(self) -> dict[str, int]:
        """The failures in a row of every offer that gave trouble."""
        with self.bench.database.transaction() as session:
            return {row.provider: row.failures for row in queries.breakers(session)}


@pytest.fixture
def desk(bench, dispatched, worker_id) -> Desk:
    return Desk(bench, dispatched, worker_id)
