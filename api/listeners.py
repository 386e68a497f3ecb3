"""How many callers of one process may wait for a job, or follow it, at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

LISTENERS_MAX = 1000
"""Requests that may wait for the end of a job, or follow one, at a time; each is an open connection."""


class Listeners:
    """Places for those who wait; from any thread."""

    def __init__(self, most: int = LISTENERS_MAX) -> None:
        self._places = threading.BoundedSemaphore(most)

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Whether there was a place; it is free again at the end."""
        has_place = self._places.acquire(blocking=False)
        try:
            yield has_place
        finally:
            if has_place:
                self._places.release()
