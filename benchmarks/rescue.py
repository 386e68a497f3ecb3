"""(e) From the death of a worker to its jobs running again in another one.

    python -m benchmarks.rescue [--kills 20] [--freezes 5] [--jobs 10] [--leaving 200]

Two remote workers share the jobs of a round; one of them is killed (`kill -9`) or frozen
(SIGSTOP) with its jobs at their provider.  By the clock of Postgres, for each of its jobs:
until the sweep has taken it, until another worker has accepted it, until it runs again.
Prints the median and the worst of each phase, and at last how long a worker takes to
leave in order (SIGTERM) with `--leaving` jobs in flight.
"""

import argparse
import contextlib
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, select

from benchmarks import contest, darkroom
from benchmarks.contest import Contender, Place
from models import queries, transitions
from models.event import JobEvent
from models.job import Job
from models.lifecycle import Status
from models.session import Database
from settings import child_environment

PICTURE_S = "60"
"""Longer than any rescue takes: the jobs are at their provider all the while."""

WITHIN_S = 90.0
PHASES = {
    "taken by the sweep": (Status.QUEUE,),
    "accepted elsewhere": (Status.ACCEPT,),
    "running again": (Status.START, Status.OUTPUT),
}
QUIET = ["--without-gossip", "--without-mingle", "--loglevel", "WARNING", "-E"]
REMOTE = ["-P", "gevent", "-c", "250", "-Q", "remote"]
WORKER = ["celery", "-A", "workers.app", "worker", *QUIET]


class Fleet:
    """Remote workers, hired and lost one by one."""

    def __init__(self, here: Place, database: Database) -> None:
        self._here = here
        self._database = database
        self._hired = 0
        self.workers: list[subprocess.Popen[bytes]] = []

    def hire(self) -> None:
        """One more worker, as soon as it counts as one."""
        self._hired += 1
        log = (self._here.folder / "remote.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", *WORKER, *REMOTE, "-n", f"remote{self._hired}@%h"],
            env=child_environment(
                DATABASE_URL=self._here.database_url,
                REDIS_URL=self._here.redis_url,
                DARKROOM_HOME=str(self._here.folder / "home"),
                DARKROOM_SANDBOX_LATENCY=PICTURE_S,
                LOG_LEVEL="WARNING",
            ),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self.workers.append(process)
        contest.until(lambda: self._number(process) is not None, contest.READY_WITHIN_S)

    def jobs_of(self, process: subprocess.Popen[bytes]) -> list[int]:
        """The jobs that it has, when all of them are at their provider; else none."""
        running = [*PHASES["running again"]]
        with self._database.transaction() as session:
            rows = session.execute(
                select(Job.id, Job.status).where(
                    Job.worker_id == self._number(process), Job.outcome.is_(None)
                )
            ).all()
        return [job_id for job_id, _ in rows] if all(status in running for _, status in rows) else []

    def lose(self, process: subprocess.Popen[bytes]) -> None:
        """It is gone for good."""
        process.kill()
        process.wait()
        self.workers.remove(process)

    def _number(self, process: subprocess.Popen[bytes]) -> int | None:
        with self._database.transaction() as session:
            own = [worker.id for worker in queries.live_workers(session) if worker.pid == process.pid]
        return own[0] if own else None


def main() -> None:
    """All rounds on the same fresh servers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--freezes", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=10)
    parser.add_argument("--leaving", type=int, default=200)
    asked = parser.parse_args()
    with contest.place() as here, _working(here) as (fleet, database):
        for how, rounds in ((signal.SIGKILL, asked.kills), (signal.SIGSTOP, asked.freezes)):
            told = [_round(here, fleet, database, how, asked.jobs) for _ in range(rounds)]
            _tell(how, [one for times in told for one in times])
        took_s = _leave(here, fleet, database, asked.leaving)
        print(f"SIGTERM with {asked.leaving} jobs in flight: {took_s:.1f} s")


@contextlib.contextmanager
def _working(here: Place) -> Iterator[tuple[Fleet, Database]]:
    """Control and beat run, and one remote worker; all end with the block."""
    database = Database(here.database_url, pool_size=2)
    control = [*WORKER, "-P", "prefork", "-c", "4", "-Q", "control,deliver", "-n", "control@%h"]
    beat = ["celery", "-A", "workers.app", "beat", "--loglevel", "WARNING", "--pidfile="]
    whole = darkroom.contender()
    rest = Contender(
        "the rest", whole.prepare, lambda _: [control, beat], whole.is_ready, whole.submit, whole.done
    )
    rest.prepare(here)
    with contest.working(rest, here):
        fleet = Fleet(here, database)
        try:
            fleet.hire()
            yield fleet, database
        finally:
            for process in list(fleet.workers):
                fleet.lose(process)
            database.dispose()


def _round(
    here: Place, fleet: Fleet, database: Database, how: signal.Signals, jobs: int
) -> list[list[float]]:
    """The seconds to each phase, of each job that the victim had."""
    _end_all(database)
    [victim] = fleet.workers
    darkroom.contender().submit(here, jobs)
    contest.until(lambda: len(fleet.jobs_of(victim)) == jobs, WITHIN_S)
    fleet.hire()
    theirs = fleet.jobs_of(victim)
    at = _now(database)
    victim.send_signal(how)
    contest.until(lambda: all(len(times) == len(PHASES) for times in _times(database, theirs, at)), WITHIN_S)
    told = _times(database, theirs, at)
    fleet.lose(victim)
    return told


def _times(database: Database, job_ids: Sequence[int], since: datetime) -> list[list[float]]:
    with database.transaction() as session:
        rows = session.execute(
            select(JobEvent.job_id, JobEvent.status, func.min(JobEvent.at))
            .where(JobEvent.job_id.in_(job_ids), JobEvent.at > since)
            .group_by(JobEvent.job_id, JobEvent.status)
        ).all()
    first = {(job_id, status): (at - since).total_seconds() for job_id, status, at in rows}
    return [
        [min(seen) for statuses in PHASES.values() if (seen := _seen(first, job_id, statuses))]
        for job_id in job_ids
    ]


def _seen(first: dict[tuple[int, Status], float], job_id: int, statuses: Sequence[Status]) -> list[float]:
    return [first[job_id, status] for status in statuses if (job_id, status) in first]


def _leave(here: Place, fleet: Fleet, database: Database, jobs: int) -> float:
    """How long a worker takes to leave with its jobs at their provider."""
    _end_all(database)
    [worker] = fleet.workers
    darkroom.contender().submit(here, jobs)
    contest.until(lambda: len(fleet.jobs_of(worker)) == jobs, WITHIN_S)
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=WITHIN_S)
    return time.monotonic() - began


def _end_all(database: Database) -> None:
    """Of the round before nothing is left."""
    for job_id in _living(database):
        with database.transaction() as session:
            transitions.request_kill(session, job_id)
    contest.until(lambda: not _living(database), WITHIN_S)


def _living(database: Database) -> list[int]:
    with database.transaction() as session:
        return list(session.scalars(select(Job.id).where(Job.outcome.is_(None))))


def _now(database: Database) -> datetime:
    with database.transaction() as session:
        return session.execute(select(func.clock_timestamp())).scalar_one()


def _tell(how: signal.Signals, times: Sequence[Sequence[float]]) -> None:
    if not times:
        return
    print(f"{how.name}: {len(times)} jobs")
    for phase, seconds in zip(PHASES, zip(*times, strict=True), strict=True):
        print(f"  {phase:<20} median {statistics.median(seconds):5.2f} s, worst {max(seconds):5.2f} s")


if __name__ == "__main__":
    main()
