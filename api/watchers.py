"""Who watches a job: what they have not taken yet, kept within bounds however slow they are."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass

from models.lifecycle import Status
from models.watching import Moved

WORDS_MAX = 32
"""What a provider said and the watcher has not taken yet; further words push out the oldest."""

_WORKED_ON = 1
_STAGES = {Status.OUTPUT: _WORKED_ON} | dict.fromkeys(
    (Status.END, Status.POSTPROCESS_START, Status.POSTPROCESS_END, Status.CANCEL), 2
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a provider said of the work, as it said it.

    Attributes:
        claim: under which it was heard.
        progress: 0 to 1; None when it did not say.
        log: a line; None when it said none.
    """

    claim: int
    progress: float | None
    log: str | None


class Watcher(AsyncIterator[Moved | Told]):
    """All that becomes of a job, in order, until it has ended.

    Words are told between the job's `task_output` and what follows it, of the claim they were heard under.

    A loop iterates; all else is for the feed's thread.  They share two deques, whose ends need no lock.
    """

    __slots__ = ("_is_over", "_loop", "_moves", "_place", "_wake", "_words", "job_id", "seq")

    def __init__(self, job_id: int, after_seq: int) -> None:
        """To be made in the loop that iterates."""
        self.job_id = job_id
        self.seq = after_seq  # of the last row it was given
        self._moves: deque[Moved] = deque()
        self._words: deque[Told] = deque(maxlen=WORDS_MAX)
        self._place = (0, 0)  # claim and stage of the last row that was taken
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()

    async def __anext__(self) -> Moved | Told:
        """The next of it.

        Raises:
            StopAsyncIteration: there will be none.
        """
        while True:
            is_over = self._is_over  # before the look: what came before the end was put in before it
            taken = self._take_move() or self._take_word()
            if taken is not None:
                return taken
            if is_over:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()

    def _take_move(self) -> Moved | None:
        if not self._moves:
            return None
        moved = self._moves.popleft()
        self._place = (moved.claim, _STAGES.get(moved.status, 0))
        self._is_over |= moved.is_final
        return moved

    def _take_word(self) -> Told | None:
        """The next word whose moment it is: not before the ledger is there, and not when it has gone on."""
        while self._words and (self._words[0].claim, _WORKED_ON) <= self._place:
            word = self._words.popleft()
            if (word.claim, _WORKED_ON) == self._place:
                return word
        return None

    # --- for the feed -----------------------------------------------------------------------------------

    @property
    def is_hungry(self) -> bool:
        """Whether all rows it was given have been taken: only then are more read for it."""
        return not self._moves

    def give(self, rows: Iterable[Moved]) -> bool:
        """Put in those rows that are new to it; whether any was."""
        new = [moved for moved in rows if moved.seq > self.seq]
        if new:
            self.seq = new[-1].seq
            self._moves.extend(new)
        return bool(new)

    def tell(self, word: Told) -> None:
        """Put in what was said."""
        self._words.append(word)

    def end(self) -> None:
        """Nothing more will be put in."""
        self._is_over = True

    def wake_by(self) -> tuple[asyncio.AbstractEventLoop, asyncio.Event]:
        """What to set where, so that it looks again at what it has."""
        return self._loop, self._wake


def wake(watchers: Iterable[Watcher]) -> None:
    """Let them look again; from any thread, with one call into each of their loops."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
    for watcher in watchers:
        loop, event = watcher.wake_by()
        by_loop.setdefault(loop, []).append(event)
    for loop, events in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed, and with it whoever watched there
            loop.call_soon_threadsafe(_set_all, events)


def _set_all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        event.set()
