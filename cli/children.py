"""Darkroom's own processes: how each is started, and when it is up.

Whatever is secret is in their environment, nothing of it among their
arguments, which `ps` shows to everybody.
"""

import http.client
import socket
import sys
import time
from collections.abc import Callable, Mapping
from signal import Signals

import psutil
import psycopg

from cli.privileges import tied_to_us
from cli.reach import plain
from cli.supervisor import Child

Environment = Mapping[str, str]

DRAIN_S = 45.0
"""Workers end within a second or two, unless a purchase is on its way: so long may the connection and the
vendor's answer take.  Killed in the middle, nobody could say whether it was bought."""

SOCKETS = (
    # with a way to let go of clients that do not read
    *("--ws", "api.wiro.socket_protocol:Protocol"),
    # what clients say is a token
    *("--ws-max-size", "65536"),
    # for messages of a few hundred bytes it would cost more than it saves: most of a socket's memory
    *("--ws-per-message-deflate", "false"),
)
"""How the API speaks on WebSockets."""

_SEEN_LATELY = """
    SELECT FROM workers
    WHERE host = %s AND pid = ANY(%s) AND ended_at IS NULL AND seen_at > clock_timestamp() - interval '10 s'
"""

_BEAT_SETTLES_S = 2.0


def api(host: str, port: int, env: Environment) -> Child:
    """The HTTP edge."""
    arguments = ["--factory", "--host", host, "--port", str(port), "--no-access-log"]
    # Shorter than the grace below: open event streams are cut, not waited for.
    return Child(
        role="api",
        argv=_module(
            "uvicorn", "api.app:create_app", *arguments, "--timeout-graceful-shutdown", "5", *SOCKETS
        ),
        env=env,
        healthy=lambda _pid: _says_ok(host, port, "/health/ready"),
    )


def remote_worker(name: str, concurrency: int, database_url: str, env: Environment) -> Child:
    """A worker whose jobs wait for providers: hundreds at a time, each a greenlet."""
    return _worker(name, ["-P", "gevent", "-c", str(concurrency), "-Q", "remote"], database_url, env)


def control_worker(name: str, database_url: str, env: Environment) -> Child:
    """A worker that dispatches, sweeps, stops and tidies up, none waiting for another."""
    return _worker(name, ["-P", "prefork", "-c", "4", "-Q", "control"], database_url, env)


def deliver_worker(name: str, database_url: str, env: Environment) -> Child:
    """A worker that tells callers; by itself, since receivers keep whoever tells them waiting."""
    return _worker(name, ["-P", "gevent", "-c", "4", "-Q", "deliver"], database_url, env)


def local_worker(name: str, database_url: str, env: Environment) -> Child:
    """A worker that runs pipelines on this machine, one at a time."""
    return _worker(name, ["-P", "prefork", "-c", "1", "-Q", "local"], database_url, env)


def beat(env: Environment) -> Child:
    """The clock."""
    # It offers nothing to ask, and what is wrong with its configuration ends it within its first second.
    return Child(
        role="beat",
        argv=_celery("beat", "--loglevel", "INFO", "--pidfile="),
        env=env,
        healthy=_has_lived(_BEAT_SETTLES_S),
    )


def flower(host: str, port: int, env: Environment) -> Child:
    """The window on Celery."""
    return Child(
        role="flower",
        argv=_celery("flower", f"--address={host}", f"--port={port}"),
        env=env,
        healthy=lambda _pid: _says_ok(host, port, "/healthcheck"),
    )


def reachable(host: str) -> str:
    """Where a server that listens on `host` can be spoken to from here."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - read, not bound


def _worker(name: str, options: list[str], database_url: str, env: Environment) -> Child:
    # Gossip and mingle are talk among workers that costs start-up time; ours meet in Postgres.
    quiet = ["--without-gossip", "--without-mingle", "--loglevel", "INFO", "-E"]
    return Child(
        role=f"worker-{name}",
        argv=_celery("worker", *options, "-n", f"{name}@%h", *quiet),
        env=env,
        healthy=lambda pid: _shows_life(database_url, pid),
        stop_grace_s=DRAIN_S,
    )


def _celery(command: str, *options: str) -> tuple[str, ...]:
    return _module("celery", "-A", "workers.app", command, *options)


def _module(*words: str) -> tuple[str, ...]:
    # Were we killed, nobody would drain them: they end themselves, and the next start ends those that hang.
    return tied_to_us([sys.executable, "-m", *words], Signals.SIGTERM)


def _says_ok(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(reachable(host), port, timeout=2)  # never through a proxy
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _shows_life(database_url: str, pid: int) -> bool:
    """Whether this process, or one it forked, has renewed its row in `workers` lately."""
    try:
        pids = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        with psycopg.connect(plain(database_url), connect_timeout=2) as connection:
            return connection.execute(_SEEN_LATELY, [socket.gethostname(), pids]).fetchone() is not None
    except (psutil.NoSuchProcess, psycopg.OperationalError):
        return False


def _has_lived(seconds: float) -> Callable[[int], bool]:
    return lambda pid: time.time() - psutil.Process(pid).create_time() > seconds
