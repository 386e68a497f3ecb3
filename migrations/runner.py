"""Bringing a database to the schema this code knows.

MigrationError
└── SchemaTooNew   the database has been migrated by a later version
"""

from contextlib import AbstractContextManager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

MIGRATING_LOCK = 0x6D696772  # "migr": several processes may start at once; one migrates


class MigrationError(Exception):
    """The schema cannot be brought to what this code knows."""


class SchemaTooNew(MigrationError):
    """The database is at a revision this code has never heard of."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database is at schema revision {revision!r}, which this version of Darkroom does not know:"
            " it was migrated by a later one. Install that version, or restore a backup."
        )
        self.revision = revision


def head() -> str:
    """The revision this code was written for."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise MigrationError("this installation carries no migrations")
    return revision


def current(database_url: str) -> str | None:
    """The revision of the database; None for an empty one.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    with _connect(database_url) as connection:
        return _revision(connection)


def upgrade(database_url: str) -> None:
    """Bring the database to `head()`.  Safe to call twice, and by several processes at once.

    Raises:
        SchemaTooNew: the database is ahead of this code.
    """
    with _connect(database_url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATING_LOCK})
        revision = _revision(connection)
        if revision is not None and revision not in _known():
            raise SchemaTooNew(revision)
        command.upgrade(_config(connection), "head")


def downgrade(database_url: str, revision: str) -> None:
    """Bring the database back to an earlier revision; `base` empties it."""
    with _connect(database_url) as connection:
        command.downgrade(_config(connection), revision)


def _connect(database_url: str) -> AbstractContextManager[Connection]:
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5}).begin()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
