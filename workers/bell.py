"""Ringing for the dispatcher: at once, but not for each of the jobs that end in the same moment."""

import _thread
import threading
import time
from collections.abc import Callable

REST_S = 0.1
"""A slot is filled again no later than this.  Where hundreds of jobs end a second, dozens do so in between:
one decision of the dispatcher serves them all, and costs as much for one job as for dozens."""


class Bell:
    """One process' bell.  Safe from any thread or greenlet."""

    def __init__(self, ring: Callable[[], object]) -> None:
        """It rests.

        Args:
            ring: asks for a dispatch; never raises.
        """
        self._ring = ring
        self._lock = threading.Lock()
        self._is_swinging = False
        self._is_wanted = False

    def ring(self) -> None:
        """See to it that it is rung after this, soon; waits for nothing."""
        with self._lock:
            self._is_wanted = True
            if self._is_swinging:
                return
            self._is_swinging = True
        _thread.start_new_thread(self._swing, ())

    def _swing(self) -> None:
        """For as long as somebody wants it rung."""
        while True:
            with self._lock:
                if not self._is_wanted:
                    self._is_swinging = False
                    return
                self._is_wanted = False
            self._ring()
            time.sleep(REST_S)
