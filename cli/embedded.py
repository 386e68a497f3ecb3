"""A real PostgreSQL and a real Redis on a machine that has neither, kept in one folder.

`serve` is for a home that stays, `throwaway` for a test; `darkroom up` takes
the two servers as children of its own.
"""

import contextlib
import json
import random
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from cli import home as homes
from cli import postgres_server, redis_server, stack
from cli.errors import CannotStart
from cli.supervisor import Child, RunningChild, Supervisor

# Below every system's ephemeral ports: a client that retries against a closed ephemeral port on the same
# machine can be given that very port as its own, connect to itself, and keep the server from coming back.
FIRST_PORT, LAST_PORT = 20_000, 29_999

READY_WITHIN_S = 300.0
"""A dead server is noticed at once; a living one may be replaying what it had not written down."""


@dataclass(frozen=True, slots=True)
class Server:
    """One embedded server: how it runs, where it will be, what it needs once it is there."""

    child: Child
    url: str = field(repr=False)
    finish: Callable[[], None]


class _Address(TypedDict):
    port: int
    password: str


def postgres(home: Path) -> Server:
    """This home's PostgreSQL.

    Args:
        home: prepared and locked.
    """
    address = _remembered(home, "postgres")
    return Server(
        postgres_server.child(home / "postgres", **address),
        postgres_server.url(**address),
        lambda: postgres_server.create_database(**address),
    )


def redis(home: Path) -> Server:
    """This home's Redis.

    Args:
        home: prepared and locked.
    """
    address = _remembered(home, "redis")
    return Server(redis_server.child(home / "redis", **address), redis_server.url(**address), lambda: None)


def start(supervisor: Supervisor, servers: Sequence[Server]) -> None:
    """Start the servers as one tier, and return when they can be used."""
    supervisor.launch(*(server.child for server in servers))
    supervisor.wait_until_healthy(READY_WITHIN_S)
    for server in servers:
        server.finish()


@contextlib.contextmanager
def serve(home: Path) -> Iterator[tuple[str, str]]:
    """`database_url, redis_url` of this home's two servers, for as long as the block runs.

    Raises:
        CannotStart: the home cannot be used, is in use, or a server does not start.
    """
    home = homes.prepare(home)
    with homes.locked(home):
        stack.end_leftovers(home, say=lambda _line: None)
        database, doorbell = postgres(home), redis(home)

        def record(children: Sequence[RunningChild]) -> None:
            stack.write(home, stack.of_this_process(database.url, doorbell.url, children=children))

        try:
            with _running([database, doorbell], home / "logs", record):
                yield database.url, doorbell.url
        finally:
            stack.forget(home)


@contextlib.contextmanager
def throwaway() -> Iterator[tuple[str, str]]:
    """`database_url, redis_url` of two fresh servers that forget everything.

    For tests: they start in half a second, and sync nothing to the disk.
    """
    with (
        tempfile.TemporaryDirectory(prefix="darkroom-") as folder,
        _throwaway(homes.prepare(Path(folder))) as urls,
    ):
        yield urls


@contextlib.contextmanager
def _throwaway(folder: Path) -> Iterator[tuple[str, str]]:
    for_postgres, for_redis = _new_address(), _new_address()
    database = Server(
        postgres_server.throwaway_child(folder / "postgres", **for_postgres),
        postgres_server.url(**for_postgres),
        lambda: postgres_server.create_database(**for_postgres),
    )
    doorbell = Server(
        redis_server.throwaway_child(folder / "redis", **for_redis),
        redis_server.url(**for_redis),
        lambda: None,
    )
    with _running([database, doorbell], folder / "logs", lambda _children: None):
        yield database.url, doorbell.url


@contextlib.contextmanager
def _running(
    servers: Sequence[Server], logs: Path, record: Callable[[Sequence[RunningChild]], None]
) -> Iterator[None]:
    supervisor = Supervisor(logs, say=lambda _line: None, on_change=record)
    try:
        start(supervisor, servers)
        yield
    finally:
        supervisor.stop()


def _remembered(home: Path, role: str) -> _Address:
    """Where this home's server was last time, if its port is still free."""
    file = home / "servers.json"
    known: dict[str, _Address] = json.loads(file.read_text()) if file.exists() else {}
    address = known.get(role) or _new_address()
    if not _is_free(address["port"]):
        address = _Address(port=_free_port(), password=address["password"])
    if known.get(role) != address:
        homes.write_private(file, json.dumps(known | {role: address}, indent=2) + "\n")
    return address


def _new_address() -> _Address:
    return _Address(port=_free_port(), password=secrets.token_hex(24))


def _free_port() -> int:
    """A port on 127.0.0.1 that nobody uses."""
    candidates = random.SystemRandom().sample(range(FIRST_PORT, LAST_PORT + 1), 200)
    for port in candidates:
        if _is_free(port):
            return port
    raise CannotStart(f"No free port between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that are only lingering do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
