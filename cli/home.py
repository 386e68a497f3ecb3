"""The folder a stack lives in: made private, held by one process at a time, written without halves.

HOME/lock               held by whoever runs; its text is the holder's pid
HOME/servers.json       ports and passwords of the embedded servers
HOME/credentials.json   key and secret of the first project
HOME/run/stack.json     what is running now
HOME/logs/ROLE.log      what each child said
HOME/postgres, redis    the embedded servers' data
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from cli.errors import AlreadyRunning, CannotStart

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def prepare(home: Path) -> Path:
    """The home as an absolute path, made if it was not there, writable.

    Raises:
        CannotStart: it cannot be made or written to.
    """
    try:
        home = home.expanduser().resolve()
        for folder in (home, home / "run", home / "logs"):
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        _lock_file(home).open("a").close()
    except (OSError, RuntimeError) as exc:  # RuntimeError: `~nobody-such`
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise CannotStart(f"Cannot write to {home} ({reason}): choose another folder with --home.") from exc
    return home


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the home; the lock is the kernel's, so it ends with us, however we end.

    Raises:
        AlreadyRunning: another process holds it.
    """
    # Not inherited (PEP 446): a child that outlives us must not keep the home locked.
    with _lock_file(home).open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = file.read().strip() or "unknown"
            raise AlreadyRunning(
                f"Darkroom already runs on {home} (pid {holder}): stop it,"
                " or choose another folder with --home."
            ) from exc
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            # The file itself stays: unlinking it would let two processes lock two files of one name.
            file.truncate(0)


def write_private(path: Path, text: str) -> None:
    """Put `text` in the file, readable by its owner alone; after a crash it is the old or the new, whole."""
    new = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock_file(home: Path) -> Path:
    return home / "lock"
