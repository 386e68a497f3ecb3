"""What runs on a home, as written down by whoever runs it: how other commands find a running stack.

The file names processes by pid and birth, so what it says can be checked, and
what a killed `darkroom up` left behind can be ended without touching anybody
else's process.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any
from urllib.parse import urlsplit

import psutil

from cli.errors import AlreadyRunning
from cli.home import write_private
from cli.supervisor import RunningChild, find_process

LEFTOVER_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class RunningStack:
    """One running `darkroom up`.

    Attributes:
        pid: the supervisor's.
        created_at: its birth, seconds since the epoch as psutil counts them.
        api_url: None while only the servers run, as in a test.
        flower_url: None without Flower.
    """

    pid: int
    created_at: float
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    api_url: str | None
    flower_url: str | None
    children: tuple[RunningChild, ...]


def read(home: Path) -> RunningStack | None:
    """The stack that runs on this home; None if none does."""
    recorded = _recorded(home)
    if recorded is None or find_process(recorded.pid, recorded.created_at) is None:
        return None
    return recorded


def frozen(running: RunningStack) -> list[RunningChild]:
    """Its children that somebody has stopped: they live, and do nothing."""
    processes = [(child, find_process(child.pid, child.created_at)) for child in running.children]
    return [child for child, process in processes if process is not None and _is_stopped(process)]


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def write(home: Path, running: RunningStack) -> None:
    """Record what runs.  Readable by the owner alone: the URLs hold passwords."""
    write_private(_file(home), json.dumps(asdict(running), indent=2) + "\n")


def forget(home: Path) -> None:
    """Record that nothing runs."""
    _file(home).unlink(missing_ok=True)


def of_this_process(
    database_url: str,
    redis_url: str,
    *,
    api_url: str | None = None,
    flower_url: str | None = None,
    children: Sequence[RunningChild],
) -> RunningStack:
    """The record of a stack that we supervise."""
    us = psutil.Process()
    return RunningStack(
        us.pid, us.create_time(), database_url, redis_url, api_url, flower_url, tuple(children)
    )


def end_leftovers(home: Path, say: Callable[[str], None]) -> None:
    """End what an earlier stack on this home left running; call it with the home locked.

    Raises:
        AlreadyRunning: the earlier stack lives, though its lock is gone.
    """
    if (alive := read(home)) is not None and alive.pid != os.getpid():
        raise AlreadyRunning(f"Darkroom already runs on {home} (pid {alive.pid}): stop it first.")
    recorded = _recorded(home)
    for child in _still_alive(recorded.children if recorded else ()):
        say(f"{child.role} (pid {child.pid}) was left over from an earlier run; ending it")
    if recorded is not None:
        _end(recorded.children)
        forget(home)


def masked(url: str) -> str:
    """The URL, with its password hidden."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return "***"
    return url.replace(f":{password}@", ":***@") if password else url


def _end(children: Sequence[RunningChild]) -> None:
    for child in _still_alive(children):
        _signal(child, Signals(child.stop_signal))
    deadline = time.monotonic() + LEFTOVER_GRACE_S
    while (alive := _still_alive(children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for child in alive:
        _signal(child, Signals.SIGKILL)
    while _still_alive(children):
        time.sleep(0.01)


def _still_alive(children: Sequence[RunningChild]) -> list[RunningChild]:
    return [child for child in children if find_process(child.pid, child.created_at) is not None]


def _signal(child: RunningChild, number: Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if number is Signals.SIGKILL:
            os.killpg(child.pid, number)  # it leads its group: what it started goes with it
        else:
            os.kill(child.pid, number)


def _recorded(home: Path) -> RunningStack | None:
    try:
        return _parse(json.loads(_file(home).read_text()))
    except (FileNotFoundError, ValueError, TypeError, KeyError):  # not there, or not ours
        return None


def _parse(recorded: dict[str, Any]) -> RunningStack:
    children = tuple(
        RunningChild(**{**child, "argv": tuple(child["argv"])}) for child in recorded["children"]
    )
    return RunningStack(**{**recorded, "children": children})


def _file(home: Path) -> Path:
    return home / "run" / "stack.json"
