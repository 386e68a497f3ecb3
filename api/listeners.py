"""How many callers of one process may wait for a job, or follow it, at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

LISTENERS_MAX = 1000
"""Requests that may wait for the end of a job, or follow one, at a time; each is an open connection."""


class Listeners:
    """Places for those who wait; from any thread."""

    def __init__(self, most: int = LISTENERS_MAX) -> None:
        """All of them are free."""
        self._most = most
        self._lock = threading.Lock()
        self.taken = 0

    @property
    def is_full(self) -> bool:
        """Whether there is no place just now."""
        return self.taken >= self._most

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Whether there was a place; it is free again at the end."""
        has_place = self._take()
        try:
            yield has_place
        finally:
            if has_place:
                self._give_back()

    def _take(self) -> bool:
        with self._lock:
            has_place = not self.is_full
            self.taken += has_place
        return has_place

    def _give_back(self) -> None:
        with self._lock:
            self.taken -= 1
