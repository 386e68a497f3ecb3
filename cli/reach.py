"""Whether the servers named in the environment answer, and if not, one sentence about it."""

from urllib.parse import unquote, urlsplit

import psycopg
import redis

from cli.errors import CannotReach, CannotStart
from cli.stack import masked

TIMEOUT_S = 5

# Our own words first: the drivers' are long, and quote names that may be the password too.
_MEANINGS = {
    "connection refused": "connection refused",
    "timeout": "no answer in time",
    "timed out": "no answer in time",
    "name or service not known": "its host is not known",
    "failed to resolve host": "its host is not known",
    "password authentication failed": "password authentication failed",
    "invalid username-password pair": "password authentication failed",
    "does not exist": "there is no such database or user",
}


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
            f"Cannot reach the PostgreSQL of DATABASE_URL, {masked(url)}: {reason(str(exc), url)}."
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
        raise CannotReach(
            f"Cannot reach the Redis of REDIS_URL, {masked(url)}: {reason(str(exc), url)}."
        ) from exc
    finally:
        client.close()


def plain(url: str) -> str:
    """The URL as psycopg takes it: `postgresql+psycopg://` is SQLAlchemy's."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.split('+')[0]}{separator}{rest}"


def reason(said: str, url: str) -> str:
    """Why a server does not let us in, in words; the password of the URL is not among them.

    Args:
        said: by the driver.
        url: with the password in it.
    """
    for words, meaning in _MEANINGS.items():
        if words in said.lower():
            return meaning
    first = (said.splitlines() or [""])[0].rstrip(".")
    written = urlsplit(url).password or ""
    quotes_password = any(password and password in first for password in (written, unquote(written)))
    return "it gave no reason that can be shown" if quotes_password or not first else first
