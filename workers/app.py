"""Celery's entry: `celery -A workers.app worker|beat|flower`."""

import _thread
import signal
from typing import Any

from celery import signals
from celery.app.task import Context
from celery.worker import state
from celery.worker.consumer import Consumer

import broker
import logs
from models import transitions
from models.job import Job
from settings import load
from workers import process
from workers.events import BufferedEvents
from workers.heartbeat import Identity
from workers.waking import WakesOften

app = broker.create_app(load().require_redis_url())
app.conf.imports = ("workers.tasks",)
app.steps["consumer"].add(BufferedEvents)
app.steps["consumer"].add(WakesOften)
app.set_current()


@signals.setup_logging.connect
def _configure_logs(**_: Any) -> None:
    logs.configure(load().log_level)


@signals.worker_ready.connect
def _register(sender: Consumer, **_: Any) -> None:
    """The consumer listens: from now on this process counts as a worker."""
    process.this_one().register(
        Identity(
            name=sender.hostname,
            queues=tuple(queue.name for queue in app.amqp.queues.consume_from.values()),
            concurrency=sender.controller.concurrency,
        )
    )


@signals.worker_ready.connect
def _quit_in_order(**_: Any) -> None:
    """SIGQUIT ends a worker as SIGTERM does.

    Celery would leave at once, in the middle of a purchase; and it would stop each task as if it
    had been revoked.  Who cannot wait has SIGKILL.
    """
    signal.signal(signal.SIGQUIT, signal.getsignal(signal.SIGTERM))


@signals.task_revoked.connect
def _cancel(request: Context, *, terminated: bool, **_: Any) -> None:
    """A message refused because somebody revoked its task, perhaps in Flower: the job is cancelled.

    Otherwise it would be found unaccepted, published again and refused again.  From then on the wish is
    in Postgres, and this process forgets it: a job whose picture was finished first runs on.
    """
    if request.task == broker.GENERATE and not terminated:
        job_id, claim = request.kwargs["job_id"], request.kwargs["claim"]
        with process.this_one().bench.database.transaction() as session:
            if not transitions.cancel(session, job_id):
                # It has been at a provider already, and is ended there by the sweep.
                transitions.request_kill(session, job_id)
                published = (Job.id == job_id) & (Job.claim == claim)
                transitions.recall(session, published, "its message was revoked")
        state.revoked.discard(request.id)


@signals.worker_shutting_down.connect
def _hand_over(**_: Any) -> None:
    """No new jobs, and those that run are handed over with their tickets.

    Celery calls this from its signal handler, which may have interrupted whoever
    holds a lock that is needed here; so it is done beside it.  Not by a `Thread`,
    whose `start` waits: under gevent the handler runs in the hub, which must not.
    """
    _thread.start_new_thread(process.this_one().close, ())


@signals.worker_shutdown.connect
def _say_goodbye(**_: Any) -> None:
    process.this_one().heartbeat.stop()
