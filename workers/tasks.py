"""The Celery tasks: each takes ids, may run twice, and does its work by calling plain functions."""

import _thread
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Task, shared_task
from celery.exceptions import Ignore, Retry
from celery.worker import state
from sqlalchemy.exc import SQLAlchemyError

import broker
from models import transitions
from models.job import Job
from models.transitions import Claim
from workers import process
from workers.bench import Bench
from workers.dispatch import dispatch, repeat_for_a_while
from workers.generate import generate
from workers.housekeeping import tidy
from workers.patience import skipped_while_away
from workers.process import Process
from workers.running import StopReason
from workers.stops import finish_stops
from workers.sweep import sweep
from workers.turn import Ending, Finish

logger = logging.getLogger("darkroom.tasks")


class JobFailed(Exception):
    """The job ended without a picture; makes Celery and Flower say FAILURE."""


@shared_task(name=broker.GENERATE, bind=True, throws=(JobFailed,), Request="workers.requests:Request")
def generate_job(self: Task, *, job_id: int, claim: int, model: str, provider: str) -> None:
    """Run one job.

    The steps run in a thread of their own (under gevent: a greenlet), so that
    Celery's way of stopping a task, an exception out of nowhere, hits only the
    one who waits: the steps are asked to stop, and do so at a safe point.
    """
    here = process.this_one()
    finish = _Steps(here, Claim(job_id, claim), self.request.id).run_beside()
    here.bell.ring()  # a slot is free
    logger.info(
        "Left a job.",
        extra={
            "event": "job_left",
            "job_id": job_id,
            "claim": claim,
            "model": model,
            "provider": provider,
            "ending": finish.ending,
            "reason": finish.reason,
        },
    )
    say_to_celery(self, finish)


class _Steps:
    """A job's steps, on the list of what runs here for exactly as long as they run."""

    def __init__(self, here: Process, claim: Claim, task_id: str) -> None:
        self._here = here
        self._claim = claim
        self._task_id = task_id
        self._stop = here.running.add(claim)
        self._ended = threading.Event()
        self._finish = Finish(Ending.LOST, "the steps broke; see the log")

    def run_beside(self) -> Finish:
        """How they ended; a revoke asks them to stop, and goes on waiting.

        An event is waited for, and no thread is joined: what interrupts a `join`
        makes Python take the thread for ended (bpo-45274).
        """
        _thread.start_new_thread(self._run, ())
        while not self._ended.is_set():
            try:
                self._ended.wait()
            except BaseException:  # noqa: BLE001 - GreenletExit and SystemExit: how Celery's pools kill a task
                reason = self._reason()
                fields = {"event": "interrupted", "job_id": self._claim.job_id, "reason": reason}
                logger.info("Was interrupted.", extra=fields)
                self._stop.ask(reason)
        return self._finish

    def _reason(self) -> StopReason:
        """Celery stops a revoked task and, when it quits, every task, in one and the same way."""
        return StopReason.KILLED if self._task_id in state.revoked else StopReason.SHUTDOWN

    def _run(self) -> None:
        here = self._here
        try:
            self._finish = generate(here.bench, self._claim, here.heartbeat.worker_id(), self._stop)
        except Exception as exc:
            logger.exception("Broke at a job.", extra={"event": "job_broke", "job_id": self._claim.job_id})
            self._count_as_a_death(exc)
        finally:
            here.running.remove(self._claim, self._stop)
            self._ended.set()

    def _count_as_a_death(self, exc: Exception) -> None:
        """So that a job whose steps always break ends some time; else the heartbeat gives it back."""
        mine = (Job.id == self._claim.job_id) & (Job.claim == self._claim.number)
        try:
            with (
                skipped_while_away(job_id=self._claim.job_id),
                self._here.bench.database.transaction() as session,
            ):
                transitions.rescue(session, mine, f"its steps broke: {type(exc).__name__}")
        except SQLAlchemyError:
            logger.exception(
                "Could not put it back.", extra={"event": "rescue_failed", "job_id": self._claim.job_id}
            )


def say_to_celery(task: Task, finish: Finish) -> None:
    """End a task as its job's turn has ended, so that Flower says SUCCESS, FAILURE, RETRY or REVOKED.

    A held job says RETRY as well: it has not failed, and under the same task id it goes
    on as soon as somebody has decided.  Ignored, it would seem to run for ever.
    """
    match finish.ending:
        case Ending.SUCCEEDED:
            return
        case Ending.FAILED:
            raise JobFailed(finish.reason)
        case Ending.RETRYING | Ending.HANDED_OVER | Ending.HELD:
            raise Retry(finish.reason, when=0 if finish.delay is None else finish.delay.total_seconds())
        case Ending.STOPPED:
            # Told by a revoke, or by Postgres alone when the revoke was lost.
            task.send_event("task-revoked", terminated=True, signum="SIGTERM", expired=False)
            raise Ignore(finish.reason)
        case Ending.LOST:
            raise Ignore(finish.reason)


@contextmanager
def _answered(ring: str) -> Iterator[Bench]:
    """The bench for what was rung for; from now on the next ring counts again.

    While Postgres is away it is left for that one.
    """
    bench = process.this_one().bench
    bench.broker.answer(ring)
    with skipped_while_away(task=ring):
        yield bench


# These run each second: told to Flower, they would bury the jobs.
@shared_task(name=broker.DISPATCH, send_events=False)
def dispatch_jobs() -> None:
    """Hand out free slots until there is none or nothing waits; for a while, then another ring goes on."""
    with _answered(broker.DISPATCH) as bench:
        offers, documented = bench.offers(), bench.documented_limits()
        repeat_for_a_while(
            lambda: dispatch(bench.database, bench.broker, offers, documented),
            bench.broker.ring,
            time.monotonic,
        )


@shared_task(name=broker.SWEEP, send_events=False)
def sweep_jobs() -> None:
    """Look after what was left."""
    with _answered(broker.SWEEP) as bench:
        if sweep(bench.database, bench.broker):
            bench.broker.ring()


@shared_task(name=broker.STOP, send_events=False)
def stop_jobs() -> None:
    """End what is to stop and no worker holds; beside the sweep, since it waits for providers."""
    with _answered(broker.STOP) as bench:
        if finish_stops(bench.database, bench.providers):
            bench.broker.ring()


@shared_task(name=broker.NOTIFY, send_events=False)
def deliver_notices() -> None:
    """Send what callers are owed; goes on for as long as anything is due."""
    with _answered(broker.NOTIFY):
        process.this_one().deliverer.deliver()


@shared_task(name=broker.TIDY, send_events=False)
def tidy_up() -> None:
    """Delete some of what need not be kept any longer."""
    with _answered(broker.TIDY) as bench:
        tidy(bench.database, bench.storage)
