"""Celery's events of our tasks, many in one message.

Celery buffers them only where it has an event loop of its own; under gevent each of a
job's three was a message, and a worker spent as much on them as on its jobs.  Flower
takes both.
"""

import _thread
import time

from celery import bootsteps
from celery.events import EventDispatcher
from celery.worker.consumer import Consumer
from celery.worker.consumer.events import Events

FLUSH_EVERY_S = 0.2
MOST_AT_ONCE = 200

TASK = "task"


class BufferedEvents(bootsteps.StartStopStep):
    """Buffers the events of each new connection's dispatcher."""

    requires = (Events,)

    def start(self, c: Consumer) -> None:
        """The consumer has a new dispatcher."""
        if c.hub is None and c.event_dispatcher is not None:
            buffer(c.event_dispatcher)

    def stop(self, c: Consumer) -> None:
        """What is buffered is sent while the connection stands."""
        if c.event_dispatcher is not None:
            c.event_dispatcher.flush()


def buffer(dispatcher: EventDispatcher) -> None:
    """From now on events of tasks are sent together, a moment later at the most."""
    soon = _Soon(dispatcher)
    dispatcher.buffer_limit = MOST_AT_ONCE
    dispatcher.on_send_buffered = soon.flush
    dispatcher.buffer_group = frozenset({TASK})


class _Soon:
    """Sends what is buffered, once for all who ask in the same moment."""

    def __init__(self, dispatcher: EventDispatcher) -> None:
        self._dispatcher = dispatcher
        self._is_due = False

    def flush(self) -> None:
        """Waits for nothing.  Asked twice at once, it is done twice, which harms nobody."""
        if not self._is_due:
            self._is_due = True
            _thread.start_new_thread(self._flush, ())

    def _flush(self) -> None:
        time.sleep(FLUSH_EVERY_S)
        self._is_due = False
        self._dispatcher.flush()
