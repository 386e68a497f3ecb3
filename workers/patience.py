"""Waiting for Postgres to come back.

While it is away a worker keeps what it knows: a ticket must not be dropped because
a server restarts.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

LONGEST_PAUSE_S = 5.0

logger = logging.getLogger("darkroom.generate")

T = TypeVar("T")


def patiently(work: Callable[[], T], fields: Mapping[str, object]) -> T:
    """What `work` gives, tried until Postgres is there.

    Args:
        work: a unit of work that may be done again.
        fields: what a log line says of it.

    Raises:
        DBAPIError: Postgres is there and will never take it.
    """
    delay_s = 0.1
    while True:
        try:
            return work()
        except (DBAPIError, PoolTimeout) as exc:
            if not _may_pass(exc):
                raise
            # Without the statement: it may be long, and what is written is nobody's business.
            error = str(exc.orig if isinstance(exc, DBAPIError) else exc)
            logger.warning("Postgres is away.", extra={**fields, "event": "postgres_away", "error": error})
            time.sleep(delay_s)
            delay_s = min(LONGEST_PAUSE_S, 2 * delay_s)


def _may_pass(exc: DBAPIError | PoolTimeout) -> bool:
    """Whether the same write may succeed later: it was the connection, not what was written."""
    if isinstance(exc, DBAPIError):
        return isinstance(exc, OperationalError) or exc.connection_invalidated
    return True
