"""The way to Postgres: one engine, one unit of work at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from sqlalchemy import ColumnElement, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

FROZEN_S = 10
"""A process that freezes in the middle of a unit of work holds its rows' locks no longer than this.

Shorter than the silence by which a frozen worker is told: its jobs are taken from
it by an UPDATE that would wait for those locks.
"""

STATEMENTS_AT_ONCE = 4
"""One for each kind of write that a worker groups, and one to spare."""

CONNECTING: Mapping[str, object] = {
    "connect_timeout": 5,
    "application_name": "darkroom",
    # A cut network is noticed within seconds, not after TCP's quarter of an hour.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Database:
    """Postgres, as the edges use it.

    Connections are taken late and given back at the end of each unit of work;
    nobody holds one while a provider is talking.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        """Nothing is connected yet.

        Args:
            url: `postgresql://...`; the driver is ours to choose.
            pool_size: connections at most; the next unit of work waits for one.
        """
        driven = make_url(url).set(drivername="postgresql+psycopg")
        self.engine: Engine = create_engine(
            driven,
            pool_size=pool_size,
            max_overflow=0,  # a burst of greenlets must wait here, not open hundreds of backends
            pool_timeout=30,
            pool_pre_ping=True,  # Postgres may have restarted since the last use
            connect_args=dict(CONNECTING),
            hide_parameters=True,  # keys, tokens and prompts are among them, and errors are logged
        )
        event.listen(self.engine, "connect", _let_go_of_the_frozen)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._readers = sessionmaker(self.engine.execution_options(isolation_level="AUTOCOMMIT"))
        self._by_number: Engine = create_engine(
            driven,
            pool_size=STATEMENTS_AT_ONCE,
            max_overflow=0,
            pool_timeout=30,
            isolation_level="AUTOCOMMIT",
            # No ping: whoever uses these tries again by himself.
            connect_args=dict(CONNECTING),
            hide_parameters=True,
        )
        event.listen(self._by_number, "connect", _let_go_of_the_frozen)
        event.listen(self._by_number, "connect", _plan_by_number)
        # Not of the pool above: whoever holds one needs another to do anything.  Nobody waits for one.
        self._locks: Engine = create_engine(
            driven,
            pool_size=1,
            max_overflow=-1,
            pool_pre_ping=True,
            isolation_level="AUTOCOMMIT",
            connect_args=dict(CONNECTING),
            hide_parameters=True,
        )

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One unit of work: committed at its end, rolled back if it raises."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """For reading: each statement sees its own moment, and none is followed by a commit."""
        with self._readers() as session:
            yield session

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """A connection whose every statement is a unit of work of its own and names rows by their numbers.

        It may have been lost since its last use: whoever takes it tries again by himself.
        """
        with self._by_number.connect() as connection:
            yield connection

    @contextmanager
    def alone(self, *key: int, at_most_s: float) -> Iterator[bool]:
        """Whether the caller alone does now what bears this key; nobody waits for it.

        A process that dies lets go at once.  One that is frozen, or takes longer than
        `at_most_s`, is alone no more: only for what may be done by two at once.

        Args:
            key: of an advisory lock: one number, or two.
            at_most_s: seconds.
        """
        patience = _idle_for(f"{round(1000 * at_most_s)}ms")
        with self._locks.connect() as connection:
            is_ours = bool(connection.execute(select(func.pg_try_advisory_lock(*key), patience)).scalar_one())
            try:
                yield is_ours
            finally:
                with suppress(DBAPIError):  # it was taken away: then there is nothing to let go of
                    connection.execute(select(func.pg_advisory_unlock_all(), _idle_for("0")))

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()
        self._by_number.dispose()
        self._locks.dispose()


def _idle_for(how_long: str) -> ColumnElement[str]:
    """Sets how long a connection may be silent before Postgres ends it; 0 for ever."""
    return func.set_config("idle_session_timeout", how_long, False)  # noqa: FBT003 - for this session


def _let_go_of_the_frozen(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{FROZEN_S}s'")
    # One that freezes while it is answered leaves Postgres in the middle of a statement, where it waits
    # to be read for as long as the connection stands; the kernel of a frozen process keeps it standing.
    cursor.execute(f"SET tcp_user_timeout = '{FROZEN_S}s'")
    cursor.close()
    connection.commit()


def _plan_by_number(connection: DBAPIConnection, _record: object) -> None:
    """Rows that are named by their numbers are found by them.

    Postgres guesses at how many a JSON list names, and plans for a table that was empty when it
    looked: such a plan is kept for as long as the connection, and reads all the jobs there ever were.
    """
    cursor = connection.cursor()
    for way in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"):
        cursor.execute(f"SET {way} = off")
    cursor.close()
    connection.commit()
