"""The pace at a provider: each request to its API waits for its own place in time.

The places are exact across all workers, since they are taken one by one in Postgres; see
`models.pacing`.  A provider without a limit per second costs nothing here but a look at
the list of those that have one, once a second.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models import pacing
from models.session import Database
from providers.errors import Unavailable
from workers.running import StopSignal

KNOWN_FOR_S = 1.0
"""An operator's limit is heeded so soon."""

AGAIN_S = 1.0
"""While Postgres is away nobody knows whose turn it is: it is asked again."""

asking: ContextVar[StopSignal | None] = ContextVar("asking", default=None)
"""The bell-pull of the job that asks, so that its wait can be ended."""

logger = logging.getLogger("darkroom.pace")


class Pace:
    """The pace of one process, in step with all others.  Safe from any thread or greenlet."""

    def __init__(self, database: Database) -> None:
        """Nothing is known yet."""
        self._engine = database.engine
        self._paced: frozenset[str] = frozenset()
        self._read_at = float("-inf")
        self._reading = threading.Lock()

    def is_set(self, provider: str) -> bool:
        """Whether its requests are counted by the second, as known a second ago."""
        if time.monotonic() - self._read_at >= KNOWN_FOR_S:
            self._read_again()
        return provider in self._paced

    def buy(self, provider: str, stop: StopSignal) -> bool:
        """Wait for the place of a purchase; False when the job was asked to stop first."""
        return not (self.is_set(provider) and stop.wait(self._take(provider)))

    def of(self, provider: str) -> Callable[[], None]:
        """What waits for the place of a question there."""
        return lambda: self._ask(provider)

    def _ask(self, provider: str) -> None:
        """Wait for the place of a question.

        Raises:
            Unavailable: the job that asks was asked to stop meanwhile; one that stops goes on asking.
        """
        if not self.is_set(provider):
            return
        stop, wait_s = asking.get(), self._take(provider)
        if stop is None or stop.reason is not None:
            time.sleep(wait_s)
        elif stop.wait(wait_s):
            raise Unavailable(f"{provider} was not asked: the job is to stop")

    def _take(self, provider: str) -> float:
        while True:
            try:
                return pacing.take(self._engine, provider)
            except (DBAPIError, PoolTimeout) as exc:
                logger.warning("Nobody can say whose turn it is.", extra=_away(exc))
                time.sleep(AGAIN_S)

    def _read_again(self) -> None:
        """By one at a time; the others go by what was known."""
        is_first = self._read_at == float("-inf")
        if not self._reading.acquire(blocking=is_first):
            return
        try:
            self._paced = pacing.paced(self._engine)
            self._read_at = time.monotonic()
        except (DBAPIError, PoolTimeout) as exc:
            logger.warning("Nobody can say what is limited.", extra=_away(exc))
        finally:
            self._reading.release()


def _away(exc: Exception) -> dict[str, object]:
    return {"event": "postgres_away", "error": type(exc).__name__}
