"""The pace at a provider is kept by all workers together, and nobody waits who need not."""

import http.server
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from subprocess import PIPE

import pytest
from sqlalchemy import func, update

from models.limit import WHOLE, Limit
from providers.errors import Unavailable
from workers import pace
from workers.pace import Pace
from workers.running import StopReason, StopSignal
from workers.turn import Ending

ASKERS, QUESTIONS, PER_SECOND = 5, 4, 10.0

A_PROCESS = f"""
import sys, threading
from models.session import Database
from providers.http import Wire
from workers.pace import Pace

pace = Pace(Database(sys.argv[1]))
wire = Wire("acme", base_url=sys.argv[2], pace=pace.of("acme"))
pace.is_set("acme")
print("here", flush=True)
sys.stdin.readline()
ask = lambda: [wire.ask("GET", "/state") for _ in range({QUESTIONS})]
threads = [threading.Thread(target=ask) for _ in range({ASKERS})]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.fixture
def limit(database):
    """`limit(per_second, provider="acme", next_request_at=None)`."""

    def set_limit(per_second, provider="acme", next_request_at=None) -> None:
        with database.transaction() as session:
            session.add(
                Limit(
                    provider=provider,
                    model_slug=WHOLE,
                    per_second=per_second,
                    next_request_at=next_request_at,
                )
            )

    return set_limit


@pytest.fixture
def vendor():
    """`base_url, arrivals`: a server that notes when each request came."""
    arrivals: list[datetime] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            arrivals.append(datetime.now(UTC))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", arrivals
    server.shutdown()
    server.server_close()


def _next_place(database) -> datetime:
    with database.transaction() as session:
        return session.get_one(Limit, ("acme", WHOLE)).next_request_at


def test_three_processes_keep_one_pace(database, database_url, limit, vendor):
    url, arrivals = vendor
    limit(PER_SECOND)
    apart = timedelta(seconds=1 / PER_SECOND)
    asker = [sys.executable, "-c", A_PROCESS, database_url, url]
    processes = [subprocess.Popen(asker, stdin=PIPE, stdout=PIPE) for _ in range(3)]
    assert {process.stdout.readline() for process in processes} == {b"here\n"}
    opens_at = datetime.now(UTC) + timedelta(seconds=3)  # all of them wait by then
    with database.transaction() as session:
        session.execute(update(Limit).values(next_request_at=opens_at))

    for process in processes:
        process.communicate(b"go\n", timeout=60)

    ended = [process.returncode for process in processes]

    count = 3 * ASKERS * QUESTIONS
    assert (ended, len(arrivals)) == ([0, 0, 0], count)  # nobody starved
    # No place was given twice, and nobody came before the place was due: never more than ten in a second.
    # Where all of them were held up, as on a machine with other work, places went by unused.
    held_up = _next_place(database) - (opens_at + count * apart)
    assert timedelta(milliseconds=-1) < held_up < timedelta(seconds=60)
    assert all(
        at >= opens_at + n * apart - timedelta(milliseconds=5) for n, at in enumerate(sorted(arrivals))
    )


def test_where_nothing_is_limited_nobody_waits(database):
    keeper = Pace(database)

    began = time.monotonic()
    keeper.of("acme")()

    assert keeper.buy("acme", StopSignal())
    assert time.monotonic() - began < 5


def test_a_limit_is_heeded_by_those_that_run_already(database, limit, monkeypatch):
    keeper = Pace(database)
    assert not keeper.is_set("acme")

    limit(1.0)
    monkeypatch.setattr(pace, "KNOWN_FOR_S", 0)

    assert keeper.is_set("acme")


def test_idleness_earns_no_credit(database, limit):
    limit(1.0, next_request_at=datetime.now(UTC) - timedelta(hours=1))
    keeper = Pace(database)

    keeper.buy("acme", StopSignal())

    with database.transaction() as session:
        left = session.get_one(Limit, ("acme", WHOLE)).next_request_at - session.scalar(
            func.clock_timestamp().select()
        )
    assert timedelta(0) < left <= timedelta(seconds=1)


def test_a_kill_ends_the_wait_for_a_purchase(bench, desk, provider, enqueue, limit):
    limit(1.0, "sandbox", datetime.now(UTC) + timedelta(hours=1))
    stop = StopSignal()
    threading.Timer(0.5, stop.ask, [StopReason.KILLED]).start()

    job_id = enqueue()
    finish = desk.run(job_id, stop)

    assert (finish.ending, finish.reason) == (Ending.STOPPED, "never_started")
    assert not provider.submitted
    assert desk.read(job_id)[1] == []


def test_a_worker_that_ends_leaves_no_intent_behind_when_its_job_waited_for_its_place(
    bench, desk, provider, enqueue, limit
):
    limit(1.0, "sandbox", datetime.now(UTC) + timedelta(hours=1))
    stop = StopSignal()
    threading.Timer(0.5, stop.ask, [StopReason.SHUTDOWN]).start()

    job_id = enqueue()

    assert desk.run(job_id, stop).ending is Ending.HANDED_OVER
    assert desk.read(job_id)[1] == []


def test_a_wish_to_stop_ends_the_wait_for_a_question_and_what_stops_asks_on(database, limit):
    limit(1.0, next_request_at=datetime.now(UTC) + timedelta(hours=1))
    stop = StopSignal()
    pace.asking.set(stop)
    threading.Timer(0.2, stop.ask, [StopReason.KILLED]).start()

    with pytest.raises(Unavailable):
        Pace(database).of("acme")()

    with database.transaction() as session:
        session.execute(update(Limit).values(next_request_at=None))
    Pace(database).of("acme")()
    pace.asking.set(None)
