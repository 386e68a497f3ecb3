"""A real server on a real port, a gate before it that cuts connections, and both clients to ask it with.

Every test that asks for `darkroom` or `open_darkroom` runs twice: with `Darkroom`, and with `AsyncDarkroom`
behind a driver that makes it look the same.
"""

import asyncio
import dataclasses
import inspect
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
import uvicorn
from sqlalchemy import make_url, select

from api.app import create_app
from client import AsyncDarkroom, Darkroom
from client.campaigns import AsyncCampaigns
from client.webhooks import AsyncWebhooks
from models.job import Job
from models.project import AuthMode, Project
from models.worker import Worker
from settings import Settings

MODEL = "black-forest-labs/flux-pro-1-1"
HOST = "127.0.0.1"


def _of_the_api():
    """The fixtures of tests/api: this is the same app, seen from the other side of the wire."""
    spec = spec_from_file_location("fixtures_of_the_api", Path(__file__).parents[1] / "api" / "conftest.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_api = _of_the_api()


class PlayingBell:
    """Rung once a job is committed; then it does what the test has put in for the workers."""

    def __init__(self):
        self.play: Callable[[], None] = lambda: None

    def start(self): ...

    def stop(self): ...

    def ring(self):
        self.play()

    def notify(self): ...

    def revoke(self, uuids, *, terminate): ...


# --- one server for all tests: each has a project of its own, and these know nothing of each other ----------


@pytest.fixture(scope="session")
def listening():
    """A socket that nobody answers at yet, so that the app knows its address before it is made."""
    with closing(socket.create_server((HOST, 0))) as made:
        yield made


@pytest.fixture(scope="session")
def settings(servers, template, listening, tmp_path_factory):
    url = make_url(servers[0])
    with psycopg.connect(servers[0].replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE client TEMPLATE {template} STRATEGY FILE_COPY")
    return Settings(
        _env_file=None,
        DATABASE_URL=url.set(database="client").render_as_string(hide_password=False),
        REDIS_URL=_api.NOBODY,
        DARKROOM_HOME=tmp_path_factory.mktemp("home"),
        DARKROOM_PUBLIC_URL=f"http://{HOST}:{listening.getsockname()[1]}",
    )


@pytest.fixture(scope="session")
def app(settings):
    made = create_app(settings)
    made.state.services = dataclasses.replace(made.state.services, bell=PlayingBell())
    return made


@pytest.fixture(scope="session")
def server(app, listening, settings, eventually):
    """The address of the running app."""
    config = uvicorn.Config(app, ws="none", log_config=None, timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    eventually(lambda: running.started)
    yield settings.public_url.rstrip("/")
    running.should_exit = True
    thread.join(timeout=30)


@pytest.fixture(scope="session")
def database(app):
    return app.state.services.database


@pytest.fixture(scope="session")
def worker_id(database):
    with database.transaction() as session:
        worker = Worker(name="remote@here", host="here", pid=1, queues=["remote"], concurrency=4)
        session.add(worker)
        session.flush()
        return worker.id


# --- what is a test's own ---------------------------------------------------------------------------------


@pytest.fixture
def project(database):
    name = uuid4().hex
    with database.transaction() as session:
        made = Project(name=name, auth=AuthMode.KEY, api_key=f"key-{name}", api_secret=f"secret-{name}")
        session.add(made)
        session.flush()
        session.refresh(made)
        return made


@pytest.fixture
def hand(app, database, project, worker_id):
    made = _api.Hand(database, app.state.services.storage, project.id)
    made._worker_id = worker_id
    return made


@pytest.fixture
def all_vendors(app):
    """All four are on, and the sandbox is off."""
    services = app.state.services
    vendors = ("wiro", "runware", "bfl", "vtrix")
    market = dataclasses.replace(services.market, turned_on=vendors, known=("sandbox", *vendors))
    app.state.services = dataclasses.replace(services, market=market)
    yield vendors
    app.state.services = services


@pytest.fixture
def busy(app, database, project):
    """`busy(how)`: whatever is queued from now on is done at once; `how` takes the job's number."""
    turn = threading.Lock()
    mine = select(Job.id).where(Job.outcome.is_(None), Job.project_id == project.id)

    def begin(how):
        def play():
            with turn:  # who is rung together must not do the same job
                with database.transaction() as session:
                    waiting = list(session.scalars(mine))
                for number in waiting:
                    how(number)

        app.state.services.bell.play = play

    yield begin
    app.state.services.bell.play = lambda: None


class Gate:
    """Passes bytes to the server and back, and can be told to pass no more of them.

    Attributes:
        budgets: how many bytes of answers the next connections carry, one by one; then they break off.
            Connections beyond them carry any number.
        opened: connections so far.
        passed: bytes so far, of answers.
    """

    def __init__(self, behind: int):
        self.budgets: list[int] = []
        self.opened = 0
        self.passed = 0
        self._behind = behind
        self._listening = socket.create_server((HOST, 0))
        self._lock = threading.Lock()
        self._living: set[socket.socket] = set()
        self.url = f"http://{HOST}:{self._listening.getsockname()[1]}"

    def run(self):
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listening.accept()
                with self._lock:
                    self.opened += 1
                    budget = self.budgets.pop(0) if self.budgets else None
                far = socket.create_connection((HOST, self._behind))
                with self._lock:
                    self._living |= {near, far}
                threading.Thread(target=self._ask, args=(near, far), daemon=True).start()
                threading.Thread(target=self._answer, args=(far, near, budget), daemon=True).start()

    def _ask(self, near, far):
        with suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)
        self._cut({near, far})

    def _answer(self, far, near, budget):
        with suppress(OSError):
            while data := far.recv(65536):
                near.sendall(data[:budget])
                self.passed += len(data[:budget])
                if budget is not None and len(data) > budget:
                    break
                budget = None if budget is None else budget - len(data)
        self._cut({near, far})

    def cut(self):
        """Break off whatever is open."""
        with self._lock:
            living = set(self._living)
        self._cut(living)

    def close(self):
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def _cut(self, connections):
        with self._lock:
            self._living -= connections
        for one in connections:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def gate(server, listening):
    """What stands between the client and the server."""
    made = Gate(listening.getsockname()[1])
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    yield made
    made.close()
    thread.join(timeout=30)


@pytest.fixture
def listening_to_nobody():
    """An address that takes connections and answers none."""
    with closing(socket.create_server((HOST, 0))) as made:
        yield f"http://{HOST}:{made.getsockname()[1]}"


class Driven:
    """An `AsyncDarkroom`, or a part of it, that is used like a `Darkroom`."""

    def __init__(self, inner, runner):
        self._inner = inner
        self._runner = runner

    def __repr__(self):
        return repr(self._inner)

    def __getattr__(self, name):
        return self._driven(getattr(self._inner, name))

    def _driven(self, found):
        if isinstance(found, AsyncDarkroom | AsyncCampaigns | AsyncWebhooks):
            return Driven(found, self._runner)
        if inspect.isasyncgen(found):
            return self._iterated(found)
        if inspect.iscoroutine(found):
            return self._driven(self._runner.run(found))
        if inspect.ismethod(found):
            return lambda *args, **named: self._driven(found(*args, **named))
        return found

    def _iterated(self, values):
        async def step():
            return await anext(values)

        try:
            while True:
                try:
                    value = self._runner.run(step())
                except StopAsyncIteration:
                    return
                yield value
        finally:
            self._runner.run(values.aclose())


@contextmanager
def _opened_async(*args, sleep=None, **options):
    async def doze(seconds):
        sleep(seconds)

    with asyncio.Runner() as runner:
        darkroom = Driven(AsyncDarkroom(*args, **options, **({"sleep": doze} if sleep else {})), runner)
        yield darkroom
        darkroom.close()


@contextmanager
def _opened(*args, sleep=None, **options):
    with Darkroom(*args, **options, **({"sleep": sleep} if sleep else {})) as darkroom:
        yield darkroom


@pytest.fixture(params=["sync", "async"])
def open_darkroom(request) -> Iterator[Callable]:
    """`open_darkroom(url, key, secret, ...)`: one of the clients; `sleep` is a plain function for both."""
    opener = _opened if request.param == "sync" else _opened_async
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(opener(*args, **options))


@pytest.fixture
def darkroom(open_darkroom, server, project):
    """Our project's."""
    return open_darkroom(server, project.api_key, project.api_secret)


@pytest.fixture
def through_gate(open_darkroom, gate, project):
    """Our project's, with the gate in between."""
    return open_darkroom(gate.url, project.api_key, project.api_secret)


class Breaking(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in blocks, and then breaks off."""

    def __init__(self, blocks, then=None):
        self._blocks = blocks
        self._then = then

    def __iter__(self):
        yield from self._blocks
        if self._then is not None:
            raise self._then

    async def __aiter__(self):
        for block in self:
            yield block


@pytest.fixture
def breaking():
    """`breaking(blocks, error)`: a body that comes in blocks, and then breaks off."""
    return Breaking


@dataclasses.dataclass
class Answers:
    """A server that answers what it is told to, one after the other; the last answer stays.

    Attributes:
        told: answers, and errors to raise.
        asked: the requests.
    """

    told: list
    asked: list = dataclasses.field(default_factory=list)

    def __call__(self, request):
        self.asked.append(request)
        answer = self.told.pop(0) if len(self.told) > 1 else self.told[0]
        if isinstance(answer, Exception):
            raise answer
        if not hasattr(answer, "_content"):  # still to be streamed
            return answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def open_answers(open_darkroom):
    """`open_answers(answer, ...)` gives a client of it, the requests, and the pauses it made."""

    def open_one(*told, **options):
        answers, pauses = Answers(list(told)), []
        made = open_darkroom(
            "http://here.test",
            "the-key",
            "the-secret",
            transport=httpx.MockTransport(answers),
            sleep=pauses.append,
            **options,
        )
        return made, answers.asked, pauses

    return open_one
