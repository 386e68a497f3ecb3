"""A simulator in this process, with a clock that tests turn, and one in a process of its own."""

import asyncio
import uuid
from dataclasses import dataclass, field

import httpx
import pytest

import simulator
from simulator import application
from simulator.desk import Desk
from simulator.faults import read
from simulator.options import Options

WIRO = {"x-api-key": "sim-key-only"}
RUNWARE = {"authorization": "Bearer sim-runware"}
BFL = {"x-key": "sim-bfl"}
VTRIX = {"authorization": "Bearer sim-vtrix"}


@dataclass
class Clock:
    """The time, as it stands until it is turned."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds) -> None:
        self.now += seconds


class Client:
    """httpx, talking to an application in this process."""

    def __init__(self, app) -> None:
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        self._inner = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9100")

    def request(self, method, url, **more):
        return self._runner.run(self._inner.request(method, url, **more))

    def get(self, url, **more):
        return self.request("GET", url, **more)

    def post(self, url, **more):
        return self.request("POST", url, **more)

    def delete(self, url, **more):
        return self.request("DELETE", url, **more)

    def close(self) -> None:
        self._runner.run(self._inner.aclose())
        self._runner.close()


@dataclass
class Vendors:
    """What a test talks to."""

    options: Options
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.desk = Desk(self.options, self.clock)
        self.client = Client(application.create(self.desk))

    def fault(self, vendor, name, how="") -> None:
        self.desk.faults.add(read(vendor, name, how))

    def ledger(self):
        return self.client.get("/ledger").json()

    def finish(self) -> None:
        """Turn the clock until all that runs is over."""
        self.clock.turn(self.options.latency[1] + 1)

    # --- one call each, in the vendor's words --------------------------------------------------------

    def wiro(self, path, **body):
        return self.client.post(f"/wiro/v1{path}", json=body, headers=WIRO)

    def run(self, prompt="a fox", **more):
        return self.wiro("/Run/black-forest-labs/flux-pro-1-1", prompt=prompt, **more)

    def detail(self, taskid):
        return self.wiro("/Task/Detail", taskid=taskid).json()["tasklist"][0]

    def runware(self, *tasks):
        return self.client.post("/runware/v1", json=list(tasks), headers=RUNWARE)

    def bfl(self, prompt="a fox", model="flux-pro-1.1", **more):
        return self.client.post(f"/bfl/v1/{model}", json={"prompt": prompt, **more}, headers=BFL)

    def vtrix(self, prompt="a fox", **more):
        body = {"model": "flux_pro_11", "input": [{"params": {"prompt": prompt, **more}}]}
        return self.client.post("/vtrix/model/v1/generation", json=body, headers=VTRIX)

    def vtrix_task(self, task):
        return self.client.get(f"/vtrix/model/v1/generation/task/{task}", headers=VTRIX)


@pytest.fixture
def open_vendors():
    """Opens a simulator in this process; the keywords are fields of its options."""
    opened = []

    def make(**options):
        told = {"latency": (10, 10), "seed": 7, **options}
        opened.append(Vendors(Options.model_validate(told)))
        return opened[-1]

    yield make
    for one in opened:
        one.client.close()
        one.desk.book.close()


@pytest.fixture
def vendors(open_vendors):
    """A simulator whose tasks take ten seconds of its clock."""
    return open_vendors()


@pytest.fixture(scope="session")
def _child():
    with simulator.running(latency=0) as running:
        yield running


@pytest.fixture
def child(_child):
    """A simulator in a process of its own, emptied; its tasks are ready at once."""
    _child.reset()
    return _child


@pytest.fixture
def new_uuid():
    """A new UUID v4 at each call."""
    return lambda: str(uuid.uuid4())


@pytest.fixture
def task(new_uuid):
    """A task as Runware takes it."""

    def make(**values):
        return {
            "taskType": "imageInference",
            "taskUUID": new_uuid(),
            "model": "bfl:2@1",
            "positivePrompt": "a fox",
            "width": 256,
            "height": 256,
            "deliveryMethod": "async",
            **values,
        }

    return make
