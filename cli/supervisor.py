"""Keeps a set of processes alive, and ends them in order.

It does not know what they are for: no Celery, no database.  One thread, one
loop; a signal only raises a flag.

Each child leads a session of its own: Ctrl-C in a terminal reaches us alone,
and we decide who ends when (docs/decisions/0007).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from types import FrameType

import psutil

from cli.errors import CannotStart

RESTART_DELAY_S = 0.5
MAX_RESTART_DELAY_S = 30.0
STEADY_AFTER_S = 60.0
"""A child that lived this long has earned a quick restart again."""

LOOK_EVERY_S = 0.1
LOOK_WHILE_WAITING_S = 0.05
FORCED_GRACE_S = 5.0
MAX_LOG_BYTES = 10 * 1024 * 1024
SHOWN_LOG_LINES = 12


class StartFailed(CannotStart):
    """A child ended, or did not become healthy in time; the text has the last lines of its log."""


class StopRequested(Exception):
    """A signal asked us to stop while we waited for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One process to keep alive.

    Attributes:
        role: its name, and its log's.
        argv: what runs; the started pid must be the program's own.
        env: its whole environment; None for ours.
        cwd: where it runs; None for ours.
        healthy: whether the process with this pid does its work now; must answer within a few seconds.
        before_start: runs before each start, the restarts too.
        stop_signal: asks it to finish what it has and end.
        stop_grace_s: how long it may take to.
        force_signal: ends it at once.
    """

    role: str
    argv: Sequence[str]
    healthy: Callable[[int], bool]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    before_start: Callable[[], None] | None = None
    stop_signal: Signals = Signals.SIGTERM
    stop_grace_s: float = 10.0
    force_signal: Signals = Signals.SIGKILL


@dataclass(frozen=True, slots=True)
class RunningChild:
    """A started child, identified for good: pids come round again, a pid with its birth does not.

    Attributes:
        created_at: seconds since the epoch, as psutil counts them.
    """

    role: str
    pid: int
    created_at: float
    argv: tuple[str, ...]
    stop_signal: int


def restart_delay_s(deaths: int) -> float:
    """How long to wait before the start that follows the `deaths`-th death in a row."""
    return min(RESTART_DELAY_S * 2.0 ** min(deaths - 1, 16), MAX_RESTART_DELAY_S)


def find_process(pid: int, created_at: float) -> psutil.Process | None:
    """The living process with this pid that was born then; None if it is gone, whoever has its pid now."""
    try:
        process = psutil.Process(pid)
        # A second of slack: psutil derives the time from the boot time, which moves when the clock is set.
        is_same = abs(process.create_time() - created_at) < 1.0
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


class Supervisor:
    """Starts children tier by tier, restarts what dies, and stops the tiers in reverse."""

    def __init__(
        self,
        logs: Path,
        say: Callable[[str], None],
        on_change: Callable[[Sequence[RunningChild]], None] = lambda _running: None,
    ) -> None:
        """Nothing is started yet.

        Args:
            logs: folder for ROLE.log; must exist.
            say: takes one line about something a person should know.
            on_change: takes all running children whenever one was started or has died.
        """
        self._logs = logs
        self._say = say
        self._on_change = on_change
        self._tiers: list[list[_Slot]] = []
        self._stop_requests = 0

    def launch(self, *children: Child) -> None:
        """Start one tier: children that stop together, before all that were launched earlier.

        Raises:
            StartFailed: a program cannot be run at all.
        """
        tier: list[_Slot] = []
        self._tiers.append(tier)
        for child in children:
            slot = _Slot(child, self._logs / f"{child.role}.log")
            try:
                slot.start()
            except OSError as exc:
                raise StartFailed(f"{child.role} cannot be started: {exc}.") from exc
            tier.append(slot)
            self._on_change(self.running)

    def wait_until_healthy(self, timeout_s: float) -> None:
        """Return once every child is healthy.

        Raises:
            StartFailed: one ended or took longer than `timeout_s`.
            StopRequested: a signal came first.
        """
        deadline = time.monotonic() + timeout_s
        waiting = self._slots
        while waiting:
            if self._stop_requests:
                raise StopRequested
            for slot in self._slots:
                if slot.has_died():
                    raise StartFailed(f"{slot.describe()} {slot.bury()} while starting.{slot.log_tail()}")
            waiting = [slot for slot in waiting if not slot.is_healthy()]
            if waiting and time.monotonic() > deadline:
                slot = waiting[0]
                raise StartFailed(f"{slot.describe()} was not ready after {timeout_s:g} s.{slot.log_tail()}")
            if waiting:
                time.sleep(LOOK_WHILE_WAITING_S)

    def watch(self) -> None:
        """Restart whatever dies, until a signal asks to stop."""
        while not self._stop_requests:
            self.look()
            time.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """One turn of `watch`: notice who died, start whose time has come."""
        for slot in self._slots:
            if slot.is_running and slot.has_died():
                self._bury(slot)
            elif slot.is_due():
                self._restart(slot)

    def stop(self) -> None:
        """End every child, the last tier first; returns when none is left.  Safe to call twice.

        A signal that comes meanwhile means: do not wait.
        """
        patience = max(self._stop_requests, 1)
        while self._tiers:
            self._stop_tier(self._tiers.pop(), patience)

    def request_stop(self) -> None:
        """Raise the flag that ends `watch`, or the patience of `stop`.  Safe in a signal handler."""
        self._stop_requests += 1

    @property
    def running(self) -> list[RunningChild]:
        """The children that run now, in the order they were launched."""
        return [slot.running for slot in self._slots if slot.running is not None]

    @property
    def _slots(self) -> list["_Slot"]:
        return [slot for tier in self._tiers for slot in tier]

    def _bury(self, slot: "_Slot") -> None:
        name = slot.describe()
        how = slot.bury()
        self._on_change(self.running)
        delay_s = slot.schedule_restart()
        self._say(f"{name} {how}; restarting in {delay_s:g} s")

    def _restart(self, slot: "_Slot") -> None:
        try:
            slot.start()
        except (OSError, CannotStart) as exc:
            delay_s = slot.schedule_restart()
            self._say(f"{slot.child.role} cannot be started ({exc}); trying again in {delay_s:g} s")
        else:
            self._say(f"{slot.describe()} runs again")
            self._on_change(self.running)

    def _stop_tier(self, tier: list["_Slot"], patience: int) -> None:
        for slot in tier:
            slot.ask_to_stop()
        while any(slot.is_running for slot in tier):
            for slot in tier:
                if not slot.is_running:
                    continue
                if slot.has_died():
                    slot.bury()
                elif complaint := slot.lose_patience(is_hurried=self._stop_requests > patience):
                    self._say(complaint)
            time.sleep(LOOK_WHILE_WAITING_S)


@contextlib.contextmanager
def stopping_on_signals(supervisor: Supervisor) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP stop the supervisor, for as long as the block runs."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        supervisor.request_stop()

    signals = [Signals.SIGINT, Signals.SIGTERM]
    if signal.getsignal(Signals.SIGHUP) is not signal.SIG_IGN:  # nohup
        signals.append(Signals.SIGHUP)
    before = {number: signal.signal(number, ask) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Slot:
    """A child's place: its process while it runs, its turn to come back while it does not."""

    def __init__(self, child: Child, log: Path) -> None:
        self.child = child
        self.running: RunningChild | None = None
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at_s = 0.0  # on the monotonic clock, as the next three
        self._due_at_s: float | None = None
        self._force_at_s: float | None = None
        self._deaths = 0
        self._is_forced = False
        self._pid = 0

    def describe(self) -> str:
        return f"{self.child.role} (pid {self._pid})"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Raises OSError or CannotStart when it cannot."""
        child = self.child
        if child.before_start is not None:
            child.before_start()
        _rotate(self._log)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                child.argv,
                env=child.env,
                cwd=child.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._pid = self._process.pid
        self._started_at_s = time.monotonic()
        self._due_at_s = None
        # It cannot be gone: a dead child keeps its pid until we reap it.
        created_at = psutil.Process(self._pid).create_time()
        self.running = RunningChild(child.role, self._pid, created_at, tuple(child.argv), child.stop_signal)

    def is_healthy(self) -> bool:
        return self.child.healthy(self._pid)

    def has_died(self) -> bool:
        """Whether it ended; it is not reaped, so its pid and its group are still its own."""
        return self._process is not None and psutil.Process(self._pid).status() == psutil.STATUS_ZOMBIE

    def bury(self) -> str:
        """End what is left of its group, reap it, and say how it died."""
        if self._process is None:
            raise RuntimeError(f"{self.child.role} does not run")
        self._signal_group(Signals.SIGKILL)
        status = self._process.wait()
        self._process = None
        self.running = None
        return f"died of {Signals(-status).name}" if status < 0 else f"exited with status {status}"

    def schedule_restart(self) -> float:
        """How many seconds from now it is started again."""
        now_s = time.monotonic()
        if now_s - self._started_at_s > STEADY_AFTER_S:
            self._deaths = 0
        self._deaths += 1
        delay_s = restart_delay_s(self._deaths)
        self._due_at_s = now_s + delay_s
        return delay_s

    def is_due(self) -> bool:
        return self._due_at_s is not None and time.monotonic() >= self._due_at_s

    def ask_to_stop(self) -> None:
        self._due_at_s = None
        if self._process is not None:
            self._force_at_s = time.monotonic() + self.child.stop_grace_s
            os.kill(self._pid, self.child.stop_signal)

    def lose_patience(self, *, is_hurried: bool) -> str | None:
        """Force it to end if its time is over; what to say about that, if anything."""
        late = self._force_at_s is not None and time.monotonic() > self._force_at_s
        if not self._is_forced and (late or is_hurried):
            self._is_forced = True
            self._force_at_s = time.monotonic() + FORCED_GRACE_S
            self._force(self.child.force_signal)
            return (
                f"{self.describe()} did not end within {self.child.stop_grace_s:g} s; forced to"
                if late
                else None
            )
        if late:
            self._force(Signals.SIGKILL)
        return None

    def log_tail(self) -> str:
        """The end of its log, ready to follow a sentence."""
        lines = self._log.read_text(errors="replace").splitlines()[-SHOWN_LOG_LINES:]
        return "".join(["\n", f"The end of {self._log}:", *(f"\n    {line}" for line in lines)])

    def _force(self, number: Signals) -> None:
        if number is Signals.SIGKILL:
            self._signal_group(number)
        else:
            os.kill(self._pid, number)

    def _signal_group(self, number: Signals) -> None:
        # Our child leads the group and we have not reaped it, so the number cannot mean somebody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies alone
            os.killpg(self._pid, number)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
