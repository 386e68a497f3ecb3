"""Celery beat as a bell: it rings, and nothing piles up when nobody answers."""

import logging

from celery.beat import ScheduleEntry, Scheduler
from kombu import Producer

from broker import Broker

logger = logging.getLogger("darkroom.beat")


class RingingScheduler(Scheduler):
    """A scheduler in memory that rings instead of publishing.

    A plain beat would leave a message a second in Redis for as long as the
    control worker is away; a ring that has not been answered is not rung again.
    Any number of beats may run.
    """

    def apply_entry(self, entry: ScheduleEntry, producer: Producer | None = None) -> None:  # noqa: ARG002 - Celery gives it
        """Ring for a due entry."""
        rung = self.broker.ring(entry.task)
        logger.debug("Rang.", extra={"event": "rang", "task": entry.task, "rung": rung})

    @property
    def broker(self) -> Broker:
        """Made at first use: beat imports this class before it has settings."""
        if not hasattr(self, "_broker"):
            self._broker = Broker(self.app)
        return self._broker
