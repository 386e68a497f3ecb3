"""The jobs this process is running, and the ways to ask one to stop.

A job is never interrupted in the middle of a thing: it is asked, and looks at
its next safe point.  The dangerous moment, between "the provider accepted" and
"the ticket is committed", has none.
"""

import threading
import time
from collections.abc import Iterable
from enum import StrEnum

from models.transitions import Claim


class StopReason(StrEnum):
    """Why a running job is asked to stop."""

    KILLED = "killed"  # somebody wants it ended
    SHUTDOWN = "shutdown"  # this process ends; another takes over
    BURIED = "buried"  # this process was taken for dead; its claims are void


NEVER = float("-inf")


class StopSignal:
    """A job's bell-pull, asked once and looked at often; beside it, when the job was last seen to be ours."""

    def __init__(self) -> None:
        """Nobody has asked yet, and nobody has looked."""
        self._asked = threading.Event()
        self.reason: StopReason | None = None
        self._ours_at = NEVER

    def is_ours(self, at: float) -> None:
        """Postgres has said so; it was asked at this moment of the monotonic clock, or later."""
        self._ours_at = max(self._ours_at, at)

    def was_ours_within(self, seconds: float) -> bool:
        """Whether it was seen to be ours so lately.  The clock goes on while the process is frozen."""
        return time.monotonic() - self._ours_at < seconds

    def ask(self, reason: StopReason) -> None:
        """Ask to stop; the first reason stays."""
        if self.reason is None:
            self.reason = reason
        self._asked.set()

    def wait(self, seconds: float) -> bool:
        """Wait that long or until asked; True if asked."""
        return self._asked.wait(seconds)


class RunningJobs:
    """Every job of this process, by claim.  Safe from any thread or greenlet.

    The same message may be here twice at once; the one that loses must not take
    the other's signal away.
    """

    def __init__(self) -> None:
        """Empty."""
        self._signals: dict[Claim, list[StopSignal]] = {}
        self._lock = threading.Lock()
        self._is_closing = False

    def add(self, claim: Claim) -> StopSignal:
        """The signal of a job that begins; already pulled when the process is ending."""
        signal = StopSignal()
        with self._lock:
            self._signals.setdefault(claim, []).append(signal)
            if self._is_closing:
                signal.ask(StopReason.SHUTDOWN)
        return signal

    def remove(self, claim: Claim, signal: StopSignal) -> None:
        """What `add` gave has ended."""
        with self._lock:
            self._signals[claim].remove(signal)
            if not self._signals[claim]:
                del self._signals[claim]

    def stop(self, claim: Claim, reason: StopReason) -> None:
        """Ask one job to stop, if it is here under this claim."""
        with self._lock:
            signals = list(self._signals.get(claim, ()))
        for signal in signals:
            signal.ask(reason)

    def are_ours(self, claims: Iterable[Claim], at: float) -> None:
        """Postgres has said that these claims are good; it was asked at this moment or later."""
        with self._lock:
            signals = [signal for claim in claims for signal in self._signals.get(claim, ())]
        for signal in signals:
            signal.is_ours(at)

    def stop_all(self, reason: StopReason) -> None:
        """Ask every job to stop."""
        with self._lock:
            claims = list(self._signals)
        for claim in claims:
            self.stop(claim, reason)

    def close(self) -> None:
        """The process is ending: ask every job, also those that are still to begin."""
        with self._lock:
            self._is_closing = True
        self.stop_all(StopReason.SHUTDOWN)

    def __contains__(self, claim: Claim) -> bool:
        """Whether the job runs here under this claim."""
        return claim in self._signals
