"""The way to Postgres: one engine, one unit of work at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session, sessionmaker

IDLE_IN_TRANSACTION_S = 10
"""A process that freezes in the middle of a unit of work holds its rows' locks no longer than this.

Shorter than the silence by which a frozen worker is told: its jobs are taken from
it by an UPDATE that would wait for those locks.
"""


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
        self.engine: Engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,  # a burst of greenlets must wait here, not open hundreds of backends
            pool_timeout=30,
            pool_pre_ping=True,  # Postgres may have restarted since the last use
            connect_args={
                "connect_timeout": 5,
                "application_name": "darkroom",
                # A cut network is noticed within seconds, not after TCP's quarter of an hour.
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
            },
        )
        event.listen(self.engine, "connect", _end_idle_transactions)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One unit of work: committed at its end, rolled back if it raises."""
        with self._sessions.begin() as session:
            yield session

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _end_idle_transactions(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_S}s'")
    cursor.close()
    connection.commit()
