"""What providers say while they work: kept with the attempt, and told to whoever watches just now.

To tell is a courtesy.  It delays no job and fails none: what Redis does not take at once
is dropped, and of a job that says much only the newest is told, a few times a second.
"""

import _thread
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from broker import Word
from models.attempts import LOG_MAX_CHARS
from providers.base import Running

__all__ = ["Heard", "Live", "Word"]

LINE_MAX_CHARS = 1000

REST_S = 0.25
"""Between two messages of a process, and so between two of what is told of a job."""

UNHEARD_S = 1.0
"""The same while nobody listens: whoever begins to watch is told a second late at most."""

WAITING_MAX = 1000
"""Jobs of which something waits to be told."""

LINES_MAX = 8
"""Lines of a job that wait to be told; the oldest are left out."""


class Heard:
    """What one provider said in one turn, as far as nobody has kept it."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._size_chars = 0
        self._last_line: str | None = None
        self._last_progress: float | None = None

    def add(self, said: Running) -> tuple[float | None, str | None] | None:
        """How far it says it is, and its line if that is new; None when it says nothing new."""
        line = self._line(said.log)
        if line is None and said.progress in {None, self._last_progress}:
            return None
        self._last_progress = said.progress
        return said.progress, line

    def _line(self, said: str | None) -> str | None:
        line = _kept(said or "")
        if not line or line == self._last_line:
            return None
        self._last_line = line
        self._lines.append(line)
        self._size_chars += len(line)
        while self._size_chars > LOG_MAX_CHARS:
            self._size_chars -= len(self._lines.popleft())
        return line

    def take(self) -> str | None:
        """All of it, to be kept; None when there is nothing."""
        said = "\n".join(self._lines)
        self._lines.clear()
        self._size_chars = 0
        return said or None


def _kept(line: str) -> str:
    """As Postgres and JSON take it, without NUL or half a surrogate pair; and not without end."""
    readable = line[:LINE_MAX_CHARS].encode("utf-8", "replace").decode()
    return readable.replace("\0", "").strip()


class Live:
    """One process' voice.  Safe from any thread or greenlet."""

    def __init__(self, publish: Callable[[Sequence[Word]], int]) -> None:
        """Nothing is said.

        Args:
            publish: tells these words, and says how many heard them; never raises.
        """
        self._publish = publish
        self._lock = threading.Lock()
        self._waiting: dict[int, Word] = {}
        self._is_speaking = False

    def say(self, word: Word) -> None:
        """See to it that this is told soon, if anybody listens; waits for nothing."""
        with self._lock:
            before = self._waiting.get(word.job_id)
            if before is None and len(self._waiting) >= WAITING_MAX:
                return
            self._waiting[word.job_id] = word if before is None else _both(before, word)
            if self._is_speaking:
                return
            self._is_speaking = True
        _thread.start_new_thread(self._speak, ())

    def _speak(self) -> None:
        """For as long as there is something to tell."""
        while True:
            with self._lock:
                words, self._waiting = self._waiting, {}
                if not words:
                    self._is_speaking = False
                    return
            listeners = self._publish(list(words.values()))
            time.sleep(REST_S if listeners else UNHEARD_S)


def _both(before: Word, word: Word) -> Word:
    """What is still to be told of a job: all its new lines, and how far it is now."""
    if before.claim != word.claim:
        return word
    lines = [line for said in (before.log, word.log) if said for line in said.split("\n")]
    progress = before.progress if word.progress is None else word.progress
    return Word(word.job_id, word.claim, progress, "\n".join(lines[-LINES_MAX:]) or None)
