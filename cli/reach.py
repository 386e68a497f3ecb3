"""Whether the servers named in the environment answer, and if not, one sentence about it."""

from urllib.parse import urlsplit

import psycopg
import redis

from cli.errors import CannotReach, CannotStart
from cli.stack import masked

TIMEOUT_S = 5


def postgres(url: str) -> None:
    """Return if the PostgreSQL of DATABASE_URL lets us in.

    Raises:
        CannotStart: the URL is not one of a PostgreSQL.
        CannotReach: it does not let us in.
    """
    if urlsplit(url).scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise CannotStart(f"DATABASE_URL must begin with postgresql://, got {masked(url)!r}.")
    try:
        psycopg.connect(plain(url), connect_timeout=TIMEOUT_S).close()
    except psycopg.Error as exc:
        raise CannotReach(
            f"Cannot reach the PostgreSQL of DATABASE_URL, {masked(url)}: {_why(exc, url)}."
        ) from exc


def redis_server(url: str) -> None:
    """Return if the Redis of REDIS_URL lets us in.

    Raises:
        CannotStart: the URL is not one of a Redis.
        CannotReach: it does not let us in.
    """
    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
    except ValueError as exc:
        raise CannotStart(f"REDIS_URL must begin with redis:// or rediss://, got {masked(url)!r}.") from exc
    try:
        client.ping()
    except redis.RedisError as exc:
        raise CannotReach(f"Cannot reach the Redis of REDIS_URL, {masked(url)}: {_why(exc, url)}.") from exc
    finally:
        client.close()


def plain(url: str) -> str:
    """The URL as psycopg takes it: `postgresql+psycopg://` is SQLAlchemy's."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.split('+')[0]}{separator}{rest}"


def _why(error: Exception, url: str) -> str:
    """The first line of the driver's own words, unless they quote the password."""
    words = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    password = urlsplit(url).password
    return type(error).__name__ if password and password in words else words
