"""The jobs this process is running, and the ways to ask one to stop.

A job is never interrupted in the middle of a thing: it is asked, and looks at
its next safe point.  The dangerous moment, between "the provider accepted" and
"the ticket is committed", has none.
"""

import threading
from enum import StrEnum

from models.transitions import Claim


class StopReason(StrEnum):
    """Why a running job is asked to stop."""

    KILLED = "killed"  # somebody wants it ended
    SHUTDOWN = "shutdown"  # this process ends; another takes over
    BURIED = "buried"  # this process was taken for dead; its claims are void


class StopSignal:
    """A job's bell-pull: asked once, looked at often."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._asked = threading.Event()
        self.reason: StopReason | None = None

    def ask(self, reason: StopReason) -> None:
        """Ask to stop; the first reason stays."""
        if self.reason is None:
            self.reason = reason
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Wait that long or until asked; True if asked."""
        return self._asked.wait(seconds)


class RunningJobs:
    """Every job of this process, by claim.  Safe from any thread or greenlet."""

    def __init__(self) -> None:
        """Empty."""
        self._signals: dict[Claim, StopSignal] = {}
        self._lock = threading.Lock()
        self._closing: StopReason | None = None

    def add(self, claim: Claim) -> StopSignal:
        """The signal of a job that begins; already pulled when the process is ending."""
        signal = StopSignal()
        with self._lock:
            self._signals[claim] = signal
            if self._closing is not None:
                signal.ask(self._closing)
        return signal

    def remove(self, claim: Claim) -> None:
        """The job has ended here."""
        with self._lock:
            self._signals.pop(claim, None)

    def stop(self, claim: Claim, reason: StopReason) -> None:
        """Ask one job to stop, if it is here under this claim."""
        with self._lock:
            signal = self._signals.get(claim)
        if signal is not None:
            signal.ask(reason)

    def stop_all(self, reason: StopReason) -> None:
        """Ask every job to stop."""
        with self._lock:
            signals = list(self._signals.values())
        for signal in signals:
            signal.ask(reason)

    def close(self) -> None:
        """The process is ending: ask every job, also those that are still to begin."""
        self._closing = StopReason.SHUTDOWN
        self.stop_all(StopReason.SHUTDOWN)

    def __contains__(self, claim: Claim) -> bool:
        """Whether the job runs here under this claim."""
        return claim in self._signals

    def __len__(self) -> int:
        """How many run now."""
        return len(self._signals)
