"""Whoever does to the house what the plan says, and undoes it when its time is over."""

import contextlib
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from signal import Signals

import psutil
import psycopg
import redis

import simulator
from chaos.faults import Fault, Kind
from chaos.house import House

OURS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'darkroom' AND pid <> pg_backend_pid()"

_SIGNALS = {
    Kind.END: ("", Signals.SIGTERM),
    Kind.REDIS_LOSE: ("redis", Signals.SIGKILL),
    Kind.POSTGRES_FAST: ("postgres", Signals.SIGINT),
    Kind.POSTGRES_IMMEDIATE: ("postgres", Signals.SIGQUIT),
}
"""Whom a kind strikes, and with what; else the fault's target, with SIGKILL."""

PATIENCE_S = 6.0
"""Whom it strikes may be between two lives: it is tried again for so long."""


@dataclass
class Hands:
    """Does faults when they are due.

    Attributes:
        chance: whom a fault strikes that names no one, such as a connection; drawn from the run's seed.
        done: how often each was done, by kind and target.
        missed: likewise, of those whose target was not there.
    """

    house: House
    vendors: simulator.Running
    faults: Sequence[Fault]
    chance: Random
    done: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    _next: int = 0
    _undo: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: itertools.count = field(default_factory=itertools.count)
    _missed: list[Fault] = field(default_factory=list)
    _at_vendors: list[Fault] = field(default_factory=list)

    def work(self, now_s: float) -> list[Fault]:
        """Do and undo what is due; gives what was done."""
        while self._undo and self._undo[0][0] <= now_s:
            heapq.heappop(self._undo)[2]()
        due = []
        while self._next < len(self.faults) and self.faults[self._next].at_s <= now_s:
            due.append(self.faults[self._next])
            self._next += 1
        struck = [fault for fault in (*self._missed, *due) if self._do(fault)]
        self.done.update(_called(fault) for fault in struck)
        left = [fault for fault in (*self._missed, *due) if fault not in struck]
        self._missed = [fault for fault in left if now_s < fault.at_s + PATIENCE_S]
        self.missed.update(_called(fault) for fault in left if fault not in self._missed)
        return struck

    def rest(self) -> None:
        """Undo all that is not undone: nothing goes wrong any more."""
        while self._undo:
            heapq.heappop(self._undo)[2]()
        self.vendors.heal()

    def _do(self, fault: Fault) -> bool:
        """Whether what it strikes was there."""
        match fault.kind:
            case Kind.KILL | Kind.END | Kind.POSTGRES_FAST | Kind.POSTGRES_IMMEDIATE | Kind.REDIS_LOSE:
                return self._signal(fault)
            case Kind.FREEZE:
                return self._freeze(fault)
            case Kind.KILL_CHILD:
                return self._kill_child(fault)
            case Kind.REDIS_FLUSH:
                return self._flush()
            case Kind.POSTGRES_BACKEND | Kind.CUT:
                return self._hit_backends(fault)
            case Kind.DISK_FULL | Kind.OUTPUTS_FULL:
                return self._fill(fault)
            case Kind.VENDOR:
                return self._spoil(fault)

    # --- processes ---------------------------------------------------------------------------------

    def _signal(self, fault: Fault) -> bool:
        role, number = _SIGNALS.get(fault.kind, (fault.target, Signals.SIGKILL))
        if fault.kind is Kind.REDIS_LOSE:
            self.house.loses_redis.set()
        process = self.house.process(role or fault.target)
        if process is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            return True
        return False

    def _kill_child(self, fault: Fault) -> bool:
        children = self.house.family(fault.target)[1:]
        if not children:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            self.chance.choice(children).kill()
        return True

    def _freeze(self, fault: Fault) -> bool:
        frozen = self.house.family(fault.target)
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

        def thaw() -> None:
            for process in frozen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

        if frozen:
            self._later(fault, thaw)
        return bool(frozen)

    def _later(self, fault: Fault, undo: Callable[[], None]) -> None:
        heapq.heappush(self._undo, (fault.at_s + fault.lasts_s, next(self._order), undo))

    # --- the servers -------------------------------------------------------------------------------

    def _flush(self) -> bool:
        with (
            redis.Redis.from_url(self.house.redis_url, socket_timeout=2, socket_connect_timeout=2) as client,
            contextlib.suppress(redis.RedisError),
        ):
            client.flushall()
            return True
        return False

    def _hit_backends(self, fault: Fault) -> bool:
        """Of the server's processes that serve ours, one is killed, or some are asked to end."""
        with contextlib.suppress(psycopg.Error, psutil.NoSuchProcess), self._connected() as connection:
            pids = [pid for (pid,) in connection.execute(OURS).fetchall()]
            if not pids:
                return False
            if fault.kind is Kind.POSTGRES_BACKEND:
                psutil.Process(self.chance.choice(pids)).kill()
                return True
            share = float(str(fault.how["share"]))
            for pid in self.chance.sample(pids, max(1, round(share * len(pids)))):
                connection.execute("SELECT pg_terminate_backend(%s)", [pid])
            return True
        return False

    def _connected(self) -> psycopg.Connection:
        # Frozen, it would take the connection and say nothing.
        timeouts = {"connect_timeout": 2, "tcp_user_timeout": 2000, "options": "-c statement_timeout=2000"}
        return psycopg.connect(self.house.database_url, autocommit=True, **timeouts)

    # --- disks and vendors -------------------------------------------------------------------------

    def _fill(self, fault: Fault) -> bool:
        disk = self.house.disk if fault.kind is Kind.DISK_FULL else self.house.outputs
        if fault.kind is Kind.DISK_FULL and not disk.can_be_full:
            return False
        disk.fill()
        self._later(fault, disk.free)
        return True

    def _spoil(self, fault: Fault) -> bool:
        self._at_vendors.append(fault)
        self.vendors.fault(fault.target, **fault.how)

        def heal() -> None:
            """Only the whole vendor can be healed: what still goes wrong there is told again."""
            self._at_vendors.remove(fault)
            self.vendors.heal(fault.target)
            for other in self._at_vendors:
                if other.target == fault.target:
                    self.vendors.fault(other.target, **other.how)

        self._later(fault, heal)
        return True


def _called(fault: Fault) -> str:
    """As the report counts it: a worker's number tells nothing."""
    if fault.kind is Kind.VENDOR:
        return f"{fault.target}: {fault.how['fault']}"
    return f"{fault.kind} {fault.target.removesuffix('-0').removesuffix('-1').removesuffix('-2')}".strip()
