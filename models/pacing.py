"""Places in time: which request goes to a provider when, of all workers together.

A provider with a limit of requests per second has one row that says when the next
place is free.  Whoever wants to ask takes it and moves it on, in one statement: the row's
lock is what makes the order, and nobody holds it while waiting.
"""

from sqlalchemy import Engine, func, select, update

from models.limit import WHOLE, Limit


def paced(engine: Engine) -> frozenset[str]:
    """The providers whose requests are counted by the second."""
    query = select(Limit.provider).where(Limit.model_slug == WHOLE, Limit.per_second.is_not(None))
    with engine.connect() as connection:
        return frozenset(connection.execution_options(isolation_level="AUTOCOMMIT").scalars(query))


def take(engine: Engine, provider: str) -> float:
    """Seconds until the place that is now the caller's; 0 where nobody counts."""
    now = func.clock_timestamp()
    apart = func.make_interval(0, 0, 0, 0, 0, 0, 1 / Limit.per_second)
    next_at = func.greatest(func.coalesce(Limit.next_request_at, now), now) + apart
    taken = (
        update(Limit)
        .where(Limit.provider == provider, Limit.model_slug == WHOLE, Limit.per_second.is_not(None))
        .values(next_request_at=next_at)
        .returning(func.extract("epoch", Limit.next_request_at - apart - now))
    )
    with engine.connect() as connection:
        wait_s = connection.execution_options(isolation_level="AUTOCOMMIT").scalar(taken)
    return max(0.0, float(wait_s or 0))
