"""Groups what the jobs of one process write: one statement for all that have something of a kind to write.

A job hands in its entry and waits for what came of it.  Of those that wait for the same
kind of write one carries all the entries to Postgres; what comes in meanwhile, and in the
blink after it, the next one carries.  So a lone job waits for nobody, and a hundred jobs
share a round trip.

Knows no statement: those are the verbs of `models.transitions.together`.  Safe from any
thread or greenlet.  No job's entry can fail another's, and while Postgres is away all of
them are kept.
"""

import _thread
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from sqlalchemy import Connection

from models.session import Database
from models.transitions import together
from models.transitions.together import Accepting, Begun, Saleable, Sign, Success, Ticketed
from workers.patience import patiently

MOST_AT_ONCE = 200
"""Entries of one statement: its locks are held for as long as it takes."""

REST_S = 0.02
"""Between two statements of a kind: with hundreds of jobs a second each then carries twice as many entries,
for half of Postgres' work; to a job it is nothing."""

SHOWN_WITHIN_S = 0.25
"""That a picture is being stored is written down by itself when it takes longer than this."""

LOOK_EVERY_S = 0.05
"""Slips are looked at so often: most of them are withdrawn, and one look sees many."""

logger = logging.getLogger("darkroom.scribe")

Entry = TypeVar("Entry")
Result = TypeVar("Result")
Verb = Callable[[Connection, Sequence[Entry]], Sequence[Result]]


class Scribe:
    """The grouped writes of one process."""

    def __init__(self, database: Database, offers: Callable[[], Sequence[Saleable]]) -> None:
        """Nothing is written yet.

        Args:
            database: where to.
            offers: those that are on.
        """
        self._begin: _Pen[Accepting, Begun | None] = _Pen(
            database, lambda connection, entries: together.begin(connection, entries, offers())
        )
        self._start: _Pen[Ticketed, bool] = _Pen(database, together.start)
        self._output: _Pen[Sign, bool] = _Pen(database, together.output)
        self._start_postprocess: _Pen[Sign, bool] = _Pen(database, together.start_postprocess)
        self._succeed: _Pen[Success, bool] = _Pen(database, together.succeed)
        self._slips = _Slips(self._start_postprocess)

    def begin(self, entry: Accepting) -> Begun | None:
        """The job with its committed intent; None when it is to go step by step."""
        return self._begin.write([entry])[0]

    def start(self, entry: Ticketed) -> bool:
        """Whether the ticket is stored and the job has started."""
        return self._start.write([entry])[0]

    def output(self, sign: Sign) -> bool:
        """Whether the first sign of progress is noted."""
        return self._output.write([sign])[0]

    def start_postprocess(self, sign: Sign) -> bool:
        """Whether it is noted that the provider was done and the pictures are being stored."""
        return self._start_postprocess.write([sign])[0]

    def start_postprocess_soon(self, sign: Sign) -> "Slip":
        """A slip that says so, written down if it is not withdrawn before long."""
        return self._slips.add(sign)

    def succeed(self, entry: Success) -> bool:
        """Whether the job has its pictures."""
        return self._succeed.write([entry])[0]


class _Line(Generic[Entry, Result]):
    """One entry on its way."""

    __slots__ = ("bell", "entry", "error", "is_done", "result")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.is_done = False
        self.result: Result
        self.error: Exception | None = None
        self.bell = _thread.allocate_lock()  # free once it is done, or once its writer is to carry
        self.bell.acquire()


class _Pen(Generic[Entry, Result]):
    """One kind of write."""

    def __init__(self, database: Database, verb: Verb[Entry, Result]) -> None:
        self._database = database
        self._verb = verb
        self._lock = threading.Lock()
        self._waiting: deque[_Line[Entry, Result]] = deque()
        self._is_carried = False
        self._rests_until_s = 0.0

    def write(self, entries: Sequence[Entry]) -> list[Result]:
        """What came of each entry.

        Raises:
            DBAPIError: Postgres will never take one of them; the others are written.
        """
        lines: list[_Line[Entry, Result]] = [_Line(entry) for entry in entries]
        with self._lock:
            self._waiting.extend(lines)
            carries = not self._is_carried
            self._is_carried = True
        if carries:
            self._carry()
        for line in lines:
            while not line.is_done:
                line.bell.acquire()
                if not line.is_done:
                    self._carry()
        return [_outcome(line) for line in lines]

    def _carry(self) -> None:
        """Write what has come in; then the first of those that came later is told to."""
        pause_s = self._rests_until_s - time.monotonic()
        if pause_s > 0:
            time.sleep(pause_s)
        with self._lock:
            lines = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
        try:
            # Nobody interrupts it: a job's steps run beside the task that Celery kills (`tasks`).
            self._write_down(lines)
        finally:
            self._rests_until_s = time.monotonic() + REST_S
            with self._lock:
                heir = self._waiting[0] if self._waiting else None
                self._is_carried = heir is not None
            if heir is not None:
                heir.bell.release()
            for line in lines:
                line.is_done = True
                line.bell.release()

    def _write_down(self, lines: Sequence[_Line[Entry, Result]]) -> None:
        try:
            results = patiently(partial(self._once, lines), {"entries": len(lines)})
        except Exception as exc:  # noqa: BLE001 - it is told to the one whose entry it is
            if len(lines) == 1:
                lines[0].error = exc
                return
            logger.warning("Wrote them one by one.", extra={"event": "entry_refused", "entries": len(lines)})
            for line in lines:
                self._write_down([line])
            return
        for line, result in zip(lines, results, strict=True):
            line.result = result

    def _once(self, lines: Sequence[_Line[Entry, Result]]) -> Sequence[Result]:
        with self._database.statement() as connection:
            return self._verb(connection, [line.entry for line in lines])


def _outcome(line: _Line[Entry, Result]) -> Result:
    if line.error is not None:
        raise line.error
    return line.result


class Slip:
    """A note that is written by itself before long, unless its writer takes it back."""

    def __init__(self, sign: Sign) -> None:
        """It lies there."""
        self.sign = sign
        self.due_s = time.monotonic() + SHOWN_WITHIN_S
        self._token = _thread.allocate_lock()  # whoever gets it first has the slip
        self._is_written = _thread.allocate_lock()
        self._is_written.acquire()

    def withdraw(self) -> bool:
        """Whether it is not written and never will be; a write that has begun is waited for.

        Once only.
        """
        if self.take():
            return True
        self._is_written.acquire()
        return False

    def take(self) -> bool:
        """Whether nobody had it before."""
        return self._token.acquire(blocking=False)

    def tell_written(self) -> None:
        """Whoever took it to write it down is done."""
        self._is_written.release()


class _Slips:
    """Those that lie there, the oldest first."""

    def __init__(self, pen: _Pen[Sign, bool]) -> None:
        self._pen = pen
        self._lock = threading.Lock()
        self._slips: deque[Slip] = deque()
        self._is_watched = False

    def add(self, sign: Sign) -> Slip:
        slip = Slip(sign)
        with self._lock:
            self._slips.append(slip)
            if not self._is_watched:
                self._is_watched = True
                _thread.start_new_thread(self._watch, ())
        return slip

    def _watch(self) -> None:
        """Until there are none left."""
        while True:
            with self._lock:
                if not self._slips:
                    self._is_watched = False
                    return
                pause_s = self._slips[0].due_s - time.monotonic()
            if pause_s > 0:
                time.sleep(max(LOOK_EVERY_S, pause_s))
            else:
                self._write([slip for slip in self._due() if slip.take()])

    def _due(self) -> list[Slip]:
        now_s = time.monotonic()
        due = []
        with self._lock:
            while self._slips and self._slips[0].due_s <= now_s:
                due.append(self._slips.popleft())
        return due

    def _write(self, slips: Sequence[Slip]) -> None:
        if not slips:
            return
        try:
            self._pen.write([slip.sign for slip in slips])
        except Exception:
            # Their writers find out for themselves; nobody would come for the slips after these.
            logger.exception("Could not write down slips.", extra={"event": "slips_refused"})
        finally:
            for slip in slips:
                slip.tell_written()
