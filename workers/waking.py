"""Celery's waiting for messages, in short stretches.

Under gevent a worker that is asked to end notices it between two stretches of waiting, and
kombu's may last four seconds: `darkroom up` and every deploy would wait for each of them.
"""

from collections.abc import Callable
from functools import partial

from celery import bootsteps
from celery.worker.consumer import Consumer
from celery.worker.consumer.connection import Connection

STRETCH_S = 0.25


class WakesOften(bootsteps.StartStopStep):
    """Shortens the waiting on each new connection."""

    requires = (Connection,)

    def start(self, c: Consumer) -> None:
        """The consumer has a new connection."""
        if c.hub is None:
            transport = c.connection.transport
            transport.drain_events = partial(_drain, transport.drain_events)


def _drain(drain_events: Callable[..., None], connection: object, timeout: float | None = None) -> None:
    drain_events(connection, timeout=STRETCH_S if timeout is None else min(timeout, STRETCH_S))
