"""Waiting for Postgres to come back.

While it is away a worker keeps what it knows: a ticket must not be dropped because
a server restarts.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
            if not may_pass(exc):
                raise
            _say_away(exc, fields)
            time.sleep(delay_s)
            delay_s = min(LONGEST_PAUSE_S, 2 * delay_s)


@contextmanager
def skipped_while_away(**fields: object) -> Iterator[None]:
    """What is done again in a second anyhow is left when Postgres goes away: a line tells, and no traceback.

    Args:
        fields: what the line says of it.

    Raises:
        DBAPIError: Postgres is there and will never take it.
    """
    try:
        yield
    except (DBAPIError, PoolTimeout) as exc:
        if not may_pass(exc):
            raise
        _say_away(exc, fields)


def may_pass(exc: BaseException) -> bool:
    """Whether the same write may succeed later: it was the connection, not what was written."""
    if isinstance(exc, DBAPIError):
        return isinstance(exc, OperationalError) or exc.connection_invalidated
    return isinstance(exc, PoolTimeout)


def _say_away(exc: DBAPIError | PoolTimeout, fields: Mapping[str, object]) -> None:
    # Without the statement: it may be long, and what is written is nobody's business.
    error = str(exc.orig if isinstance(exc, DBAPIError) else exc)
    logger.warning("Postgres is away.", extra={**fields, "event": "postgres_away", "error": error})
