"""A real PostgreSQL and a real Redis for every test that asks for them; no server needed beforehand."""

import contextlib
import http.server
import inspect
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count

import hypothesis
import psycopg
import pytest
import redis
from sqlalchemy import make_url

from cli import embedded
from migrations import runner
from models.project import AuthMode, Project
from models.session import Database
from models.worker import Worker

EMPTY = "template0"

END_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# The names and definitions of everything in it, no table larger than a few pages, and nothing known
# about its rows: who left it so, or changed anything but rows, had it to himself.
SHAPE = """
    SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
        SELECT format('%s %s', oid, relfilenode) FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT format('%s %s %s', oid, tgname, tgenabled) FROM pg_trigger
        UNION ALL SELECT format('%s %s', oid, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT format('%s %s', oid, pg_get_constraintdef(oid)) FROM pg_constraint
        UNION ALL SELECT format('%s %s %s %s', attrelid, attname, atttypid, attnotnull)
            FROM pg_attribute WHERE attrelid >= 16384
        UNION ALL SELECT format('%s %s', starelid, staattnum) FROM pg_statistic WHERE starelid >= 16384
        UNION ALL SELECT format('%s %s', setdatabase, setconfig) FROM pg_db_role_setting
        UNION ALL SELECT relname FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 1048576
    ) AS parts(part)
"""
TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
"""
RESTART_NUMBERS = """
    SELECT setval(oid::regclass, 1, false) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
"""

_numbers = count(1)

# Asked for by name: `pytest --hypothesis-profile=long`.
hypothesis.settings.register_profile("long", max_examples=6000)
_spare: defaultdict[str, list[str]] = defaultdict(list)
_shapes: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--kills 200` makes the comparison of books as long as one likes, `--minutes 15` the chaos."""
    parser.addoption("--kills", type=int, default=5, help="workers killed in tests/acceptance/test_money.py")
    parser.addoption("--cases", type=int, help="requests of tests/api/test_openapi.py; a few of each door")
    chaos = parser.getgroup("chaos", "the long run of tests/acceptance/chaos")
    chaos.addoption("--minutes", type=float, help="how long everything goes wrong; without it, half of one")
    chaos.addoption("--jobs", type=int, default=5000, help="submitted meanwhile")
    chaos.addoption("--seed", type=int, help="draws the faults; the same seed, the same schedule")
    chaos.addoption("--report", help="where the figures are written, as JSON")


DEADLINE_S = 90.0
"""Generous: a slow machine must not fail what is right."""


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """`eventually(condition, deadline_s=...)` waits until the condition holds, and fails when it does not."""

    def wait(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
        end = time.monotonic() + deadline_s
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < end, f"not in {deadline_s} s: {inspect.getsource(condition).strip()}"
            pause.wait(0.05)

    return wait


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[str, str]]:
    """`database_url, redis_url` of two servers that live as long as the test run."""
    with embedded.throwaway() as urls:
        yield urls


@pytest.fixture(scope="session")
def template(servers: tuple[str, str]) -> str:
    """The name of a migrated database to copy."""
    url = make_url(servers[0])
    _execute(url, "CREATE DATABASE template_darkroom")
    runner.upgrade(_on(url, "template_darkroom"))
    return "template_darkroom"


@pytest.fixture
def empty_database_url(servers: tuple[str, str]) -> Iterator[str]:
    """A database of this test's own, without a table."""
    yield from _own_database(servers[0], EMPTY)


@pytest.fixture
def database_url(servers: tuple[str, str], template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of this test's own."""
    is_for_plans = request.node.get_closest_marker("plans") is not None
    yield from _own_database(servers[0], template, is_new=is_for_plans)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The way to this test's database."""
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def project_id(database: Database) -> int:
    """A tenant."""
    with database.transaction() as session:
        project = Project(name="p", auth=AuthMode.KEY, api_key="key", api_secret="secret")
        session.add(project)
        session.flush()
        return project.id


@pytest.fixture
def worker_id(database: Database) -> int:
    """A worker's row, without the lock of a living one."""
    with database.transaction() as session:
        worker = Worker(name="remote@here", host="here", pid=1, queues=["remote"], concurrency=4)
        session.add(worker)
        session.flush()
        return worker.id


@pytest.fixture
def redis_url(servers: tuple[str, str]) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(servers[1]) as client:
        client.flushall()
    return servers[1]


class Receiver:
    """A server on this machine that is told of jobs, and answers as a test says."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], bytes]] = []  # headers in small letters, body
        self.status = 204
        self.headers: dict[str, str] = {}
        self.first: list[int] = []  # the statuses of the first answers
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/in?token=hidden"

    def close(self) -> None:
        """Nobody listens there any more."""
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver._lock:
                    receiver.heard.append(
                        ({name.lower(): value for name, value in self.headers.items()}, body)
                    )
                    status = receiver.first.pop(0) if receiver.first else receiver.status
                receiver.may_answer.wait(DEADLINE_S)
                with contextlib.suppress(OSError):  # whoever asked may have been killed meanwhile
                    self.send_response(status)
                    for name, value in {"content-length": "0", **receiver.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler


@pytest.fixture
def receiver() -> Iterator[Callable[[], Receiver]]:
    """`receiver()`: a server that is told of jobs; closed at the end."""
    made: list[Receiver] = []

    def make() -> Receiver:
        made.append(Receiver())
        return made[-1]

    yield make
    for one in made:
        one.close()


def _own_database(server_url, template, *, is_new=False) -> Iterator[str]:
    url = make_url(server_url)
    name = f"test_{next(_numbers)}"
    if _spare[template] and not is_new:
        # Under another name, so that whoever was left behind by an earlier test finds nothing.
        _execute(url, f"ALTER DATABASE {_spare[template].pop()} RENAME TO {name}")
    else:
        # Copied file by file: on a server that flushes nothing that is twice as fast as through the log.
        _execute(url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield _on(url, name)
    if template != EMPTY and _emptied(_on(url, name), _shape(url, template)):
        _spare[template].append(name)
    else:
        _execute(url, f"DROP DATABASE {name} WITH (FORCE)")


def _shape(url, template) -> str:
    """What makes a database like its template."""
    if template not in _shapes:
        with psycopg.connect(_on(url, template), autocommit=True) as connection:
            _shapes[template] = connection.execute(SHAPE).fetchone()[0]
    return _shapes[template]


def _emptied(url, shape) -> bool:
    """Take every row out of a database; False when it is then not like new.

    Many times faster than another copy, of which each is 300 files.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(END_OTHERS)
        if connection.execute(SHAPE).fetchone()[0] != shape:
            return False
        connection.execute("SET session_replication_role = replica")  # no trigger, no foreign key
        tables = [name for (name,) in connection.execute(TABLES)]
        connection.execute("; ".join(f"DELETE FROM {name}" for name in tables))  # noqa: S608
        connection.execute(RESTART_NUMBERS)
    return True


def _on(url, name) -> str:
    return url.set(database=name).render_as_string(hide_password=False)


def _execute(url, statement) -> None:
    with psycopg.connect(_on(url, "postgres"), autocommit=True) as connection:
        connection.execute(statement)
