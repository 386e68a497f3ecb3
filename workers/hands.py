"""How many requests to receivers are on their way, and to whom one more may go.

Whoever does not answer, or slowly, is silent: it gets one hand at a time, and all that are
silent together half of them.  So a receiver that is owed ten thousand, or a hundred receivers
that hang, delay nobody who answers.
"""

import threading
from collections import Counter

SILENT_MOST = 1_000
"""Remembered: who was silent longest ago is thought well of again."""


class Hands:
    """Those of one process.  Safe from any thread or greenlet."""

    def __init__(self, most: int, of_one: int) -> None:
        """All are free.

        Args:
            most: requests at a time.
            of_one: those of them to one receiver.
        """
        self._of_one = of_one
        self._most = most
        self._most_silent = most // 2
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()
        self._silent: dict[str, None] = {}  # in the order in which they fell silent

    @property
    def busy(self) -> int:
        """How many are not free."""
        with self._lock:
            return self._busy.total()

    def for_the_well(self) -> tuple[int, dict[str, int]]:
        """How many are free for those that answer, and how many at most for these; none for the silent."""
        with self._lock:
            places = {receiver: self._of_one - busy for receiver, busy in self._busy.items()}
            return self._most - self._busy.total(), places | dict.fromkeys(self._silent, 0)

    def for_the_silent(self) -> tuple[int, dict[str, int]]:
        """How many are free for the silent, and how many for each of them."""
        with self._lock:
            busy = sum(self._busy[receiver] for receiver in self._silent)
            free = min(self._most - self._busy.total(), self._most_silent - busy)
            return max(0, free), {receiver: int(self._busy[receiver] == 0) for receiver in self._silent}

    def take(self, receiver: str) -> None:
        """One is on its way there."""
        with self._lock:
            self._busy[receiver] += 1

    def give_back(self, receiver: str, *, was_silent: bool) -> None:
        """It has come back, with or without an answer."""
        with self._lock:
            self._busy[receiver] -= 1
            if not self._busy[receiver]:
                del self._busy[receiver]
            self._silent.pop(receiver, None)
            if was_silent:
                self._silent[receiver] = None
            if len(self._silent) > SILENT_MOST:
                del self._silent[next(iter(self._silent))]
