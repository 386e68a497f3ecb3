"""What every contender has in common: servers, workers, a start, and a count of what is done."""

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from cli import embedded
from settings import child_environment

READY_WITHIN_S = 60.0
DONE_WITHIN_S = 300.0
LOOK_EVERY_S = 0.1
STATISTICS_LATE_S = 11.0
"""An idle backend of PostgreSQL tells what it has counted within ten seconds (PGSTAT_IDLE_INTERVAL)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Two real servers, durable as those of `darkroom up`, and a folder for logs.

    Attributes:
        eye: one connection for looking, held, so that looking costs little.
    """

    database_url: str
    redis_url: str
    folder: Path
    eye: psycopg.Connection


@dataclass(frozen=True, slots=True)
class Contender:
    """One queue under test.

    Attributes:
        name: as the table says it.
        prepare: makes its tables.
        workers: command lines, each run by this Python with `-m`.
        is_ready: whether its workers take work.
        submit: hands in so many jobs, its quickest documented way.
        done: how many jobs are done.
        note: what else a reader must know to compare.
    """

    name: str
    prepare: Callable[[Place], None]
    workers: Callable[[Place], Sequence[Sequence[str]]]
    is_ready: Callable[[Place], bool]
    submit: Callable[[Place, int], None]
    done: Callable[[Place], int]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """What one run took.

    Attributes:
        submitted_s: seconds until the last job was handed in.
        done_s: seconds from the first job handed in until the last was done.
        rows_written: rows inserted, updated and deleted in Postgres for each job.
        commits: transactions in Postgres for each job.
    """

    name: str
    jobs: int
    submitted_s: float
    done_s: float
    rows_written: float
    commits: float
    note: str

    @property
    def jobs_per_s(self) -> float:
        """From the first job handed in to the last one done."""
        return self.jobs / self.done_s


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Fresh servers that sync to the disk; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        home = Path(folder)
        with (
            embedded.serve(home / "home") as (database_url, redis_url),
            psycopg.connect(database_url, autocommit=True) as eye,
        ):
            yield Place(database_url, redis_url, home, eye)


def run(contender: Contender, jobs: int, warm_up: int = 200) -> Score:
    """The contender alone on fresh servers: warmed up, then timed."""
    with place() as here:
        contender.prepare(here)
        with working(contender, here):
            until(lambda: contender.is_ready(here), READY_WITHIN_S)
            contender.submit(here, warm_up)
            until(lambda: contender.done(here) >= warm_up, DONE_WITHIN_S)
            return _timed(contender, here, jobs, warm_up)


def _timed(contender: Contender, here: Place, jobs: int, before: int) -> Score:
    rows, commits = _written(here)
    began = time.monotonic()
    contender.submit(here, jobs)
    submitted_s = time.monotonic() - began
    until(lambda: contender.done(here) >= before + jobs, DONE_WITHIN_S)
    done_s = time.monotonic() - began
    rows_after, commits_after = _written(here)
    return Score(
        contender.name,
        jobs,
        submitted_s,
        done_s,
        (rows_after - rows) / jobs,
        (commits_after - commits) / jobs,
        contender.note,
    )


@contextlib.contextmanager
def working(contender: Contender, here: Place, **environment: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The contender's worker processes, for as long as the block runs; its logs are told when it fails."""
    processes: list[subprocess.Popen[bytes]] = []
    around = {
        "DATABASE_URL": here.database_url,
        "REDIS_URL": here.redis_url,
        "DARKROOM_HOME": str(here.folder / "home"),
        "DARKROOM_SANDBOX_LATENCY": "0",
        "LOG_LEVEL": "WARNING",
        **environment,
    }
    try:
        for number, words in enumerate(contender.workers(here)):
            log = (here.folder / f"worker-{number}.log").open("wb")
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", *words],
                    env=child_environment(**around),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        yield processes
    except BaseException:
        for log_file in sorted(here.folder.glob("worker-*.log")):
            sys.stderr.write(f"--- {log_file.name}\n{log_file.read_text(errors='replace')[-2000:]}\n")
        raise
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=15)


def until(condition: Callable[[], bool], within_s: float) -> None:
    """Wait for the condition; TimeoutError when it takes too long."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:.0f} s")
        time.sleep(LOOK_EVERY_S)


def _written(here: Place) -> tuple[int, int]:
    """Rows written and transactions committed so far."""
    time.sleep(STATISTICS_LATE_S)
    rows = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables"
    commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    return number(here, rows), number(here, commits)


def number(here: Place, query: str) -> int:
    """The one number that a query gives."""
    row = here.eye.execute(query).fetchone()
    return 0 if row is None else int(row[0])
