"""A worker process's signs of life.

One thread with one connection of its own: it holds the worker's advisory lock
for as long as the process lives, renews the worker's row each half second,
and learns in the same breath which jobs are still its own, and which of them somebody
wants killed.
"""

import logging
import os
import socket
import threading
import time
from dataclasses import dataclass

from sqlalchemy import Connection, Integer, cast, func, insert, select, update
from sqlalchemy.orm import Session

from models import places, queries, transitions
from models.job import Job
from models.session import Database
from models.transitions import Claim
from models.worker import LOCK_NAMESPACE, Worker
from workers.patience import may_pass
from workers.running import RunningJobs, StopReason

BEAT_S = 0.5
"""Twice this, and the time to connect, is the longest silence of a worker whose connection was cut."""

RECONNECT_S = 0.2

logger = logging.getLogger("darkroom.heartbeat")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is to the others."""

    name: str
    queues: tuple[str, ...]
    concurrency: int


class Heartbeat:
    """Registers the process and keeps it alive in the eyes of the sweep."""

    def __init__(self, database: Database, identity: Identity, running: RunningJobs) -> None:
        """Nothing is registered yet.

        Args:
            database: of its own, with one connection: the lock lives and dies with it.
            identity: what to register.
            running: the jobs to ask when somebody wants them killed, or when we were taken for dead.
        """
        self._database = database
        self._identity = identity
        self._running = running
        self._worker_id: int | None = None
        self._left_behind: set[Claim] = set()
        self._registered = threading.Event()
        self._takes_jobs = True
        self._is_news = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin, in a thread (under gevent: a greenlet)."""
        self._thread.start()

    def worker_id(self) -> int:
        """The id under which this process is registered; waits for the first registration."""
        while not self._registered.wait(60):
            logger.error("Still not registered.", extra={"event": "worker_unregistered"})
        if self._worker_id is None:
            raise RuntimeError("registered without an id")
        return self._worker_id

    def take_nothing_more(self) -> None:
        """Serve no queue any longer: what runs here may still take long, and nothing else is to be sent here.

        Without it a worker that is asked to end counts until its last job has left it, and each
        message to it lies in a queue that nobody reads.
        """
        self._takes_jobs = False
        self._is_news.set()

    def stop(self) -> None:
        """Say goodbye: the lock is released, and the row ended unless it still holds jobs."""
        self._ending.set()
        self._is_news.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with self._database.engine.connect() as connection:
                    self._live(connection.execution_options(isolation_level="AUTOCOMMIT"))
            except Exception as exc:
                # Whatever it is, a worker without a heartbeat is soon taken for dead: begin again.
                logger.warning(
                    "Lost the connection that holds the worker's lock.",
                    extra={
                        "event": "heartbeat_lost",
                        "worker_id": self._worker_id,
                        "error": type(exc).__name__,
                    },
                    # Where Postgres went away, a traceback five times a second would say no more.
                    exc_info=not may_pass(exc),
                )
                # Soon: the sweep does not wait long for a lock to come back.
                self._ending.wait(RECONNECT_S)
        self._database.dispose()

    def _live(self, connection: Connection) -> None:
        has_lock = False
        while True:
            if self._worker_id is None or not self._renew(connection):
                self._register(connection)
                has_lock = True
            # After a lost connection the old session may hold the lock for a while yet.
            has_lock = has_lock or self._take_lock(connection)
            self._look_after_jobs(connection)
            self._is_news.wait(BEAT_S)
            self._is_news.clear()
            if self._ending.is_set():
                break
        self._end(connection)

    def _take_lock(self, connection: Connection) -> bool:
        lock = func.pg_try_advisory_lock(LOCK_NAMESPACE, self._worker_id)
        return bool(connection.execute(select(lock)).scalar_one())

    def _register(self, connection: Connection) -> None:
        """A new row in `workers`, with its lock."""
        if self._worker_id is not None:
            logger.warning(
                "Was taken for dead; registering again.",
                extra={"event": "worker_buried", "worker_id": self._worker_id},
            )
            self._running.stop_all(StopReason.BURIED)
        born = (
            insert(Worker)
            .values(
                name=self._identity.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=self._queues(),
                concurrency=self._identity.concurrency,
            )
            .returning(Worker.id)
            .cte("born")
        )
        # One statement: nobody sees the row before its lock is held.
        lock = func.pg_advisory_lock(LOCK_NAMESPACE, cast(born.c.id, Integer))
        self._worker_id = connection.execute(select(born.c.id, lock).add_cte(born)).one().id
        self._registered.set()
        logger.info("Registered.", extra={"event": "worker_registered", "worker_id": self._worker_id})

    def _renew(self, connection: Connection) -> bool:
        return (
            connection.execute(
                update(Worker)
                .where(Worker.id == self._worker_id, Worker.ended_at.is_(None))
                .values(seen_at=func.clock_timestamp(), queues=self._queues())
            ).rowcount
            == 1
        )

    def _queues(self) -> list[str]:
        return list(self._identity.queues) if self._takes_jobs else []

    def _look_after_jobs(self, connection: Connection) -> None:
        """Ask killed jobs to stop, and give back what this process holds but does not run.

        A job is left behind when Postgres committed a step and the answer was lost,
        or when its task ended in an error nobody foresaw.
        """
        asked_at = time.monotonic()
        with Session(connection) as session:
            held = queries.jobs_in_hands(session, self.worker_id())
        claims = {Claim(job.id, job.claim): job.is_wanted_dead for job in held}
        self._running.are_ours(claims, asked_at)
        for claim, is_wanted_dead in claims.items():
            if is_wanted_dead:
                self._running.stop(claim, StopReason.KILLED)
        left_behind = {claim for claim in claims if claim not in self._running}
        for claim in left_behind & self._left_behind:  # twice in a row: one may just be ending
            self._give_back(connection, claim)
        self._left_behind = left_behind

    def _give_back(self, connection: Connection, claim: Claim) -> None:
        with Session(connection) as session:
            transitions.give_back(
                session,
                (Job.id == claim.job_id) & (Job.claim == claim.number),
                f"worker {self._identity.name} had left it behind",
            )
        logger.warning("Gave back a job.", extra={"event": "job_left_behind", "job_id": claim.job_id})

    def _end(self, connection: Connection) -> None:
        holds_jobs = select(Job.id).where(places.IN_HANDS, Job.worker_id == Worker.id).exists()
        connection.execute(
            update(Worker)
            .where(Worker.id == self._worker_id, ~holds_jobs)
            .values(ended_at=func.clock_timestamp())
        )
