"""Telling the queue, from a thread of its own.

Postgres has everything by the time the bell is used, so nobody need wait for
Redis: a request is answered as fast when Redis is away, or worse, silent.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from queue import Full, Queue
from uuid import UUID

from broker import NOTIFY, Broker

WAITING_MAX = 1000
"""Messages kept while Redis is silent.  Further ones are dropped: beat and the sweep do without."""

RING_EVERY_S = 0.02
"""The dispatcher hands out what there is, however often it is rung: a burst of jobs needs few rings."""

logger = logging.getLogger("darkroom.bell")


class Bell:
    """Rings and revokes in the order asked.  Use it after the commit; every method returns at once."""

    def __init__(self, broker: Broker) -> None:
        """Nothing is sent before `start`."""
        self._broker = broker
        self._waiting: Queue[Callable[[], object] | None] = Queue(WAITING_MAX)
        self._is_rung = threading.Event()
        self._rung_at = float("-inf")
        # A daemon, because a call that hangs on a silent Redis must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="bell", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Send what waits, for as long as `timeout_s`, then send no more."""
        self._put(None)
        self._thread.join(timeout_s)

    def ring(self) -> None:
        """There is new work; a thousand rings that wait are one."""
        if not self._is_rung.is_set():
            self._is_rung.set()
            self._put(self._ring)

    def notify(self) -> None:
        """A caller is owed something."""
        self._put(lambda: self._broker.ring(NOTIFY))

    def revoke(self, uuids: Iterable[UUID], *, terminate: bool) -> None:
        """These jobs are not to run, or with `terminate` to stop running."""
        wanted = tuple(uuids)
        self._put(lambda: self._broker.revoke(wanted, terminate=terminate))

    def _ring(self) -> None:
        # A lone ring goes out at once; those of a burst wait for each other.
        time.sleep(max(0.0, self._rung_at + RING_EVERY_S - time.monotonic()))
        # Cleared first: whoever commits from now on needs a ring of their own.
        self._is_rung.clear()
        self._broker.ring()
        self._rung_at = time.monotonic()

    def _put(self, message: Callable[[], object] | None) -> None:
        try:
            self._waiting.put_nowait(message)
        except Full:
            self._is_rung.clear()
            logger.warning("Dropped a message.", extra={"event": "bell_full", "waiting": WAITING_MAX})

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                message()
            except Exception:
                logger.exception("Could not tell the queue.", extra={"event": "bell_failed"})
