"""A worker's bench with a provider that does as it is told."""

from collections.abc import Callable
from decimal import Decimal

import pytest

import catalogue
import storage
from broker import Broker, create_app
from models import transitions
from models.session import Database
from models.transitions import Claim, NewJob
from providers.base import CancelOutcome, Done, GenerationRequest, LostAnswer, Progress, RemoteOutput, Ticket
from providers.sandbox import Provider as Sandbox
from workers.bench import Bench

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
    """A provider whose every answer the test writes; counts what it was asked."""

    name = "sandbox"

    def __init__(self) -> None:
        self.on_lost_answer = LostAnswer.SEND_AGAIN
        self.computes_here = False
        self.submitted: list[GenerationRequest] = []
        self.cancelled: list[Ticket] = []
        self.on_submit: Callable[[], None] = lambda: None
        self.on_check: Callable[[], Progress] = lambda: Done(
            (RemoteOutput("0", "image/png", 7),), Decimal("0.04")
        )
        self.on_fetch: Callable[[], bytes] = a_picture
        self.cancel_outcome = CancelOutcome.CANCELLED

    def submit(self, request: GenerationRequest) -> Ticket:
        self.submitted.append(request)
        self.on_submit()
        return {"id": request.key}

    def check(self, ticket: Ticket) -> Progress:
        return self.on_check()

    def cancel(self, ticket: Ticket) -> CancelOutcome:
        self.cancelled.append(ticket)
        return self.cancel_outcome

    def fetch(self, ticket: Ticket, output: RemoteOutput) -> bytes:
        return self.on_fetch()


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
def bench(database: Database, redis_url: str, tmp_path, provider: Obedient) -> Bench:
    return Bench(
        database=database,
        broker=Broker(create_app(redis_url)),
        catalogue=catalogue.load(),
        providers={"sandbox": provider},
        storage=storage.connect((tmp_path / "outputs").as_uri()),
    )


@pytest.fixture
def enqueue(database: Database, project_id: int):
    """`enqueue(**columns) -> id` of a new job."""

    def make(**columns) -> int:
        with database.transaction() as session:
            return transitions.enqueue(session, [NewJob(project_id, MODEL, PARAMETERS, **columns)])[0].id

    return make


@pytest.fixture
def dispatched(database: Database, enqueue):
    """`dispatched(job_id=None) -> Claim` of a job whose message is on the way."""

    def give(job_id: int | None = None) -> Claim:
        with database.transaction() as session:
            [row] = transitions.dispatch(session, "sandbox", [job_id or enqueue()])
            return Claim(row.id, row.claim)

    return give
