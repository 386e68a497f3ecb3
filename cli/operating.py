"""The operator's way to the database: the one that is set, or that of the stack that runs here."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

import settings
from cli import reach, stack
from cli.errors import CannotReach, CannotStart
from cli.stack import masked
from models.session import Database
from settings import Settings


def database_url_of(given: Settings) -> str:
    """The database that is set, or that of the stack that runs on this home.

    Raises:
        CannotReach: there is neither.
    """
    if given.database_url is not None:
        return given.database_url.get_secret_value()
    running = stack.read(given.home)
    if running is None:
        raise CannotReach("There is no database: start `darkroom up`, or set DATABASE_URL.")
    return running.database_url


@contextmanager
def transaction() -> Iterator[Session]:
    """One unit of work on the database.

    Raises:
        CannotReach: it does not answer.
        CannotStart: it has no tables yet, or DATABASE_URL is none.
    """
    database_url = database_url_of(settings.load())
    reach.postgres(database_url)
    database = Database(database_url, pool_size=1)
    try:
        with database.transaction() as session:
            yield session
    except OperationalError as exc:
        raise CannotReach(lost(database_url)) from exc
    except ProgrammingError as exc:
        raise CannotStart(
            f"{masked(database_url)} has not been migrated: run `darkroom admin migrate`."
        ) from exc
    finally:
        database.dispose()


def lost(database_url: str) -> str:
    """What is said of a database that went away on the way."""
    return f"Lost the database {masked(database_url)} on the way: try again."
