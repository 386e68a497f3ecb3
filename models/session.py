"""The way to Postgres: one engine, one unit of work at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session, sessionmaker


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
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One unit of work: committed at its end, rolled back if it raises."""
        with self._sessions.begin() as session:
            yield session

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()
