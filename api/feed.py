"""What becomes of jobs, for those who wait for it: read from the ledger, by one thread for all of them.

Postgres is the truth, so watchers read the ledger: nothing can be missed, Redis may be away, and a process
with two thousand watchers sends one statement each tenth of a second.  While nobody watches it sends none.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api.watchers import Told, Watcher, wake
from broker import Word
from models import watching
from models.session import Database
from models.watching import Moved

__all__ = ["Feed", "Moved", "Told", "Watcher"]

PAUSE_S = 0.1
"""Between two looks at the ledger."""

SHARE = 0.25
"""Of its time the thread looks at most: with very many watchers, looks are further apart,"""

LONGEST_PAUSE_S = 0.3
"""but not because Postgres was slow once."""

CHECK_S = 5.0
"""Between two looks for jobs that will tell nothing more: deleted, or ended before what is known of them."""

AWAY_S = 1.0
"""Until the next try while Postgres is away."""

DEAF_S = 5.0
"""Until the next try while Redis is away."""

SPAN = 256
"""Rows of one job that are read at a time, and so kept for a slow watcher at most."""

Listen = Callable[[Callable[[], bool]], Iterable[Sequence[Word]]]

logger = logging.getLogger("darkroom.feed")


class Feed:
    """Tells watchers of their jobs."""

    def __init__(self, database: Database, listen: Listen | None = None) -> None:
        """Nothing is read before `start`.

        Args:
            database: with the ledger.
            listen: what workers tell of what providers say, for as long as it is wanted.
        """
        self._database = database
        self._listen = listen
        self._changed = threading.Condition()  # guards all below: loops come and go, the thread reads
        self._watchers: dict[int, set[Watcher]] = defaultdict(set)
        self._fresh: set[int] = set()  # jobs that somebody has begun to watch since the last look
        self._thread: threading.Thread | None = None
        self._ear: threading.Thread | None = None
        self._look_at = self._check_at = self._away_until = 0.0  # by the monotonic clock

    # --- for those who watch --------------------------------------------------------------------------

    @asynccontextmanager
    async def watch(self, job_id: int, after_seq: int = 0) -> AsyncIterator[Watcher]:
        """What becomes of a job after a row of its ledger; after 0, from its first row on.

        The iterator ends after the job's last row, or when the job is deleted or the feed stopped.
        """
        watcher = Watcher(job_id, after_seq)
        self._remember(watcher)
        try:
            yield watcher
        finally:
            self._forget(watcher)

    async def ended(self, job_id: int, timeout_s: float) -> bool:
        """Whether a job ends, or is deleted, within that time; False too when the feed is stopped first."""
        try:
            async with asyncio.timeout(timeout_s), self.watch(job_id) as watcher:
                async for _ in watcher:
                    pass
        except TimeoutError:
            return False
        return self._thread is not None

    def tell(self, words: Iterable[Word]) -> None:
        """Pass on what was said, to those who watch its jobs now; from any thread."""
        with self._changed:
            heard = [(watcher, word) for word in words for watcher in self._watchers.get(word.job_id, ())]
        for watcher, word in heard:
            watcher.tell(Told(word.claim, word.progress, word.log))
        wake({watcher for watcher, _ in heard})

    def _remember(self, watcher: Watcher) -> None:
        with self._changed:
            if self._thread is None:
                watcher.end()
            self._watchers[watcher.job_id].add(watcher)
            self._fresh.add(watcher.job_id)
            self._changed.notify_all()

    def _forget(self, watcher: Watcher) -> None:
        with self._changed:
            watchers = self._watchers[watcher.job_id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[watcher.job_id]

    # --- its thread -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to read; nothing happens where that was begun already."""
        if self._thread is not None:
            return
        # Daemons: a look that hangs on a silent Postgres must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="feed", daemon=True)
        self._thread.start()
        if self._listen is not None:
            self._ear = threading.Thread(target=self._hear, args=(self._listen,), name="ear", daemon=True)
            self._ear.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Read no more, and let every watcher go."""
        with self._changed:
            thread, self._thread, self._ear = self._thread, None, None
            watchers = [watcher for of_job in self._watchers.values() for watcher in of_job]
            for watcher in watchers:
                watcher.end()
            self._changed.notify_all()
        wake(watchers)
        if thread is not None:
            thread.join(timeout_s)

    def _work(self) -> None:
        while (look := self._next_look()) is not None:
            began_at = time.monotonic()
            try:
                self._carry_out(look)
            except SQLAlchemyError as exc:
                why = str(getattr(exc, "orig", exc))  # without the statement and its thousands of numbers
                logger.warning("Could not read the ledger.", extra={"event": "feed_failed", "error": why})
                self._try_later()
            except Exception:
                # A thread that ends here would leave all watchers waiting for ever.
                logger.exception("Could not read the ledger.", extra={"event": "feed_failed"})
                self._try_later()
            else:
                self._rest(look, time.monotonic() - began_at)

    def _try_later(self) -> None:
        self._away_until = time.monotonic() + AWAY_S
        self._check_at = 0.0  # who came meanwhile was not looked for yet

    def _next_look(self) -> "_Look | None":
        """What to read, once it is time to; None when the feed was stopped."""
        with self._changed:
            while self._thread is threading.current_thread():
                now = time.monotonic()
                due_at = max(self._look_at, self._away_until)
                if self._watchers and now >= due_at:
                    return self._look_for_all(now)
                if self._fresh and now >= self._away_until:
                    return self._look_for_fresh()
                self._changed.wait(due_at - now if self._watchers else None)
        return None

    def _look_for_all(self, now: float) -> "_Look":
        fresh, self._fresh = self._fresh, set()
        known = self._known(self._watchers)
        if now < self._check_at:
            return _Look(known, fresh, is_for_all=True)
        self._check_at = now + CHECK_S
        return _Look(known, known, is_for_all=True)

    def _look_for_fresh(self) -> "_Look":
        """Nobody waits for the next look to be told where their job is."""
        fresh, self._fresh = self._fresh, set()
        return _Look(self._known(fresh), fresh, is_for_all=False)

    def _known(self, job_ids: Iterable[int]) -> dict[int, int]:
        """The row up to which everybody who watches these jobs has been told of them.

        Who has not taken what they were given is not counted, and is given no more.
        """
        known = {}
        for job_id in job_ids:
            told = [watcher.seq for watcher in self._watchers.get(job_id, ()) if watcher.is_hungry]
            if told:
                known[job_id] = min(told)
        return known

    def _carry_out(self, look: "_Look") -> None:
        with self._database.statement() as connection:
            rows = watching.moves(connection, look.known, SPAN)
            reached = {**look.known, **{moved.job_id: moved.seq for moved in rows}}  # the last row counts
            doubted = {job_id: reached[job_id] for job_id in look.doubted if job_id in reached}
            over = watching.over(connection, doubted) if doubted else set()
        with self._changed:
            wake(self._give(look.known, rows) | self._end({job_id: reached[job_id] for job_id in over}))

    def _give(self, known: Mapping[int, int], rows: Iterable[Moved]) -> set[Watcher]:
        """Those to whom some of these rows were new."""
        by_job: dict[int, list[Moved]] = defaultdict(list)
        for moved in rows:
            by_job[moved.job_id].append(moved)
        return {
            watcher
            for job_id, moves in by_job.items()
            for watcher in self._up_to(job_id, known[job_id])
            if watcher.is_hungry and watcher.give(moves)
        }

    def _end(self, reached: Mapping[int, int]) -> set[Watcher]:
        """Those for whom there is nothing more after these rows."""
        done = {watcher for job_id, seq in reached.items() for watcher in self._up_to(job_id, seq)}
        for watcher in done:
            watcher.end()
        return done

    def _up_to(self, job_id: int, seq: int) -> Sequence[Watcher]:
        """Watchers that know a job's rows up to this one; who has come since the look may know less."""
        return [watcher for watcher in self._watchers.get(job_id, ()) if watcher.seq >= seq]

    def _rest(self, look: "_Look", took_s: float) -> None:
        if look.is_for_all:
            pause_s = min(LONGEST_PAUSE_S, max(PAUSE_S, took_s * (1 / SHARE - 1)))
            self._look_at = time.monotonic() + pause_s

    # --- its ear --------------------------------------------------------------------------------------

    def _hear(self, listen: Listen) -> None:
        """Redis away costs words, and words only."""
        while self._wait_until_watched():
            try:
                for words in listen(self._is_wanted):
                    self.tell(words)
            except RedisError as exc:
                logger.warning("Cannot listen.", extra={"event": "listen_failed", "error": str(exc)})
                time.sleep(DEAF_S)
            except Exception:
                # Whatever came through Redis: one strange word must not end all hearing.
                logger.exception("Cannot listen.", extra={"event": "listen_failed"})
                time.sleep(DEAF_S)

    def _wait_until_watched(self) -> bool:
        """Whether there is somebody to listen for; no, when the feed was stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._watchers or self._ear is not threading.current_thread())
            return self._ear is threading.current_thread()

    def _is_wanted(self) -> bool:
        return bool(self._watchers) and self._ear is threading.current_thread()


@dataclass(frozen=True, slots=True)
class _Look:
    """What is to be read.

    Attributes:
        known: job id -> the row up to which its watchers have been told.
        doubted: jobs that may have nothing more to tell.
        is_for_all: it is the regular look, at all that is watched.
    """

    known: Mapping[int, int]
    doubted: Collection[int]
    is_for_all: bool
