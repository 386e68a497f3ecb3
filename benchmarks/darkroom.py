"""Darkroom as a contender: its own processes, as `darkroom up` starts them, on a sandbox without latency."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks import contest
from benchmarks.contest import Contender, Place, number
from broker import REMOTE, Broker, create_app
from catalogue import load as load_catalogue
from catalogue import validate
from cli import children
from migrations import runner
from models import queries, transitions
from models.project import AuthMode, create_project
from models.session import Database
from models.transitions import NewJob

MODEL = "black-forest-labs/flux-2-flex"
PARAMETERS = {"prompt": "a lighthouse", "width": 64, "height": 64, "seed": 7}
"""One small picture: what is measured is the queue."""

CONCURRENCY = 100
BATCH = 1000  # as many rows as `darkroom campaign submit` sends at a time


def contender(concurrency: int = CONCURRENCY, workers: int = 2) -> Contender:
    """Workers that share the concurrency, as `darkroom up` has them; one for control, and beat."""
    return Contender(
        "Darkroom",
        prepare=_prepare,
        workers=lambda _here: _commands(concurrency // workers, workers),
        is_ready=lambda here: _slots(here) >= concurrency // workers * workers,
        submit=_submit,
        done=lambda here: number(here, "SELECT count(*) FROM jobs WHERE outcome = 'succeeded'"),
        note=f"{workers} x gevent -c {concurrency // workers}; 11 statuses, each a row for good",
    )


@contextmanager
def api(here: Place, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The API on a database that has its schema, ready to be asked, for as long as the block runs."""
    child = children.api("127.0.0.1", port, {})
    words = child.argv[child.argv.index("-m") + 1 :]
    alone = Contender(
        "api",
        prepare=lambda _: None,
        workers=lambda _: [words],
        is_ready=lambda _: child.healthy(os.getpid()),  # it asks the port, whoever that is
        submit=lambda *_: None,
        done=lambda _: 0,
    )
    with contest.working(alone, here) as [process]:
        contest.until(lambda: alone.is_ready(here), contest.READY_WITHIN_S)
        yield process


def _prepare(here: Place) -> None:
    runner.upgrade(here.database_url)
    with _database(here).transaction() as session:
        create_project(session, "benchmark", AuthMode.KEY)


def _commands(concurrency: int, workers: int) -> Sequence[Sequence[str]]:
    worker = [
        "celery",
        "-A",
        "workers.app",
        "worker",
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "WARNING",
        "-E",
    ]
    return [
        *(
            [*worker, "-P", "gevent", "-c", str(concurrency), "-Q", "remote", "-n", f"remote-{number}@%h"]
            for number in range(1, workers + 1)
        ),
        [*worker, "-P", "prefork", "-c", "4", "-Q", "control,deliver", "-n", "control@%h"],
        ["celery", "-A", "workers.app", "beat", "--loglevel", "WARNING", "--pidfile="],
    ]


def _slots(here: Place) -> int:
    with _database(here).transaction() as session:
        return queries.capacity(session)[REMOTE]


def _submit(here: Place, jobs: int) -> None:
    parameters = validate(load_catalogue().find(MODEL), PARAMETERS)
    broker = Broker(create_app(here.redis_url))
    for start in range(0, jobs, BATCH):
        batch = [NewJob(1, MODEL, parameters)] * min(BATCH, jobs - start)
        with _database(here).transaction() as session:
            transitions.enqueue(session, batch)
        broker.ring()


def _database(here: Place) -> Database:
    return Database(here.database_url, pool_size=1)
