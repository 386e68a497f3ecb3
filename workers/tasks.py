"""The Celery tasks: each takes ids, may run twice, and does its work by calling plain functions."""

import logging
import threading

from celery import Task, shared_task
from celery.exceptions import Ignore, Retry

import broker
from models.transitions import Claim
from workers import process
from workers.dispatch import dispatch
from workers.generate import Ending, Finish, generate
from workers.process import Process
from workers.running import StopReason, StopSignal
from workers.sweep import sweep

logger = logging.getLogger("darkroom.tasks")


class JobFailed(Exception):
    """The job ended without a picture; makes Celery and Flower say FAILURE."""


@shared_task(name=broker.GENERATE, bind=True, throws=(JobFailed,))
def generate_job(self: Task, *, job_id: int, claim: int, model: str, provider: str) -> None:
    """Run one job.

    The steps run in a thread of their own (under gevent: a greenlet), so that
    Celery's way of stopping a task, an exception out of nowhere, hits only the
    one who waits: the steps are asked to stop, and do so at a safe point.
    """
    here = process.this_one()
    right = Claim(job_id, claim)
    stop = here.running.add(right)
    finishes: list[Finish] = []
    thread = threading.Thread(target=_run, args=(here, right, stop, finishes), name=f"job-{job_id}")
    try:
        thread.start()
        _wait(thread, stop)
    finally:
        here.running.remove(right, stop)
    here.bench.broker.ring()  # a slot is free
    [finish] = finishes
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
    _say_to_celery(self, finish)


def _run(here: Process, claim: Claim, stop: StopSignal, finishes: list[Finish]) -> None:
    """The steps; an error that nobody foresaw leaves the job to the heartbeat, which gives it back."""
    try:
        finishes.append(generate(here.bench, claim, here.heartbeat.worker_id(), stop))
    except Exception:
        logger.exception("Broke at a job.", extra={"event": "job_broke", "job_id": claim.job_id})
        finishes.append(Finish(Ending.LOST, "the steps broke; see the log"))


def _wait(thread: threading.Thread, stop: StopSignal) -> None:
    """Wait for the steps; a revoke asks them to stop and goes on waiting."""
    while thread.is_alive():
        try:
            thread.join()
        except BaseException:  # noqa: BLE001 - GreenletExit and SystemExit: how Celery's pools kill a task
            logger.info("Was revoked.", extra={"event": "revoked"})
            stop.ask(StopReason.KILLED)


def _say_to_celery(task: Task, finish: Finish) -> None:
    """So that Flower ends on SUCCESS, FAILURE, RETRY or REVOKED."""
    match finish.ending:
        case Ending.SUCCEEDED:
            return
        case Ending.FAILED:
            raise JobFailed(finish.reason)
        case Ending.RETRYING | Ending.HANDED_OVER:
            raise Retry(finish.reason, when=0 if finish.delay is None else finish.delay.total_seconds())
        case Ending.STOPPED:
            # Told by a revoke, or by Postgres alone when the revoke was lost.
            task.send_event("task-revoked", terminated=True, signum="SIGTERM", expired=False)
            raise Ignore(finish.reason)
        case Ending.LOST:
            raise Ignore(finish.reason)


# These two run each second: told to Flower, they would bury the jobs.
@shared_task(name=broker.DISPATCH, send_events=False)
def dispatch_jobs() -> None:
    """Hand out free slots until there is none or nothing waits."""
    bench = process.this_one().bench
    bench.broker.answer(broker.DISPATCH)
    while dispatch(bench.database, bench.broker, bench.offers()):
        pass


@shared_task(name=broker.SWEEP, send_events=False)
def sweep_jobs() -> None:
    """Look after what was left."""
    bench = process.this_one().bench
    bench.broker.answer(broker.SWEEP)
    if sweep(bench.database, bench.broker, bench.providers):
        bench.broker.ring()
