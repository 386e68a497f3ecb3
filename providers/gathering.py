"""Questions asked at the same time become one request.

A vendor that answers for many tasks at once is asked once for all that are asked for
within a moment: a worker with hundreds of jobs would otherwise spend the vendor's
patience, and its own connections, on polling.  Works among threads and, where gevent
has replaced them, among greenlets.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from providers.errors import ProviderError

Reply = TypeVar("Reply")

PATIENCE_S = 0.03
"""Longest wait for others to join: nothing beside the second between two polls."""

MOST = 50
"""Questions in one request; its answer stays far below the longest that is read."""


@dataclass(slots=True, eq=False)
class _Round(Generic[Reply]):
    """Those who ask together.

    Attributes:
        questions: each once, in the order they came.
        is_full: nobody else fits in; whoever leads need not wait any longer.
        has_ended: the replies are there, or whoever led was stopped.
        replies: by question; None until they are there.
    """

    questions: dict[str, None] = field(default_factory=dict)
    is_full: threading.Event = field(default_factory=threading.Event)
    has_ended: threading.Event = field(default_factory=threading.Event)
    replies: Mapping[str, Reply | ProviderError] | None = None


class Gathering(Generic[Reply]):
    """Asks one request for everybody who has a question at the moment.

    Args:
        put: gives the reply to each of several distinct questions, or the error that it came to;
            an error that it raises is the reply to all of them.
        patience_s: how long the first to ask waits for others.
        most: questions in one request.
    """

    def __init__(
        self,
        put: Callable[[Sequence[str]], Mapping[str, Reply | ProviderError]],
        *,
        patience_s: float = PATIENCE_S,
        most: int = MOST,
    ) -> None:
        self._put = put
        self._patience_s = patience_s
        self._most = most
        self._open: _Round[Reply] | None = None
        # Guards `_open` and the questions of the round it names; never held while anybody waits.
        self._door = threading.Lock()

    def ask(self, question: str) -> Reply:
        """The reply to one question; safe to call from any number of threads.

        Raises:
            ProviderError: what the question came to.
        """
        replies: Mapping[str, Reply | ProviderError] | None = None
        while replies is None:
            # Again, when whoever led was stopped half way, as a task that is revoked is.
            replies = self._join(question)
        reply = replies[question]
        if isinstance(reply, ProviderError):
            # Each its own: threads that raise one and the same error write over its traceback.
            raise copy(reply) from reply
        return reply

    def _join(self, question: str) -> Mapping[str, Reply | ProviderError] | None:
        """Take part in a round, and lead it when there was none."""
        with self._door:
            leads = self._open is None
            joined: _Round[Reply] = self._open or _Round()
            joined.questions[question] = None
            is_full = len(joined.questions) >= self._most
            self._open = None if is_full else joined
        if is_full:
            joined.is_full.set()
        if leads:
            self._lead(joined)
        joined.has_ended.wait()
        return joined.replies

    def _lead(self, led: _Round[Reply]) -> None:
        try:
            led.is_full.wait(self._patience_s)
            self._close(led)
            led.replies = self._answered(list(led.questions))
        finally:
            # Also when this thread is stopped here: nobody may wait for it.
            self._close(led)
            led.has_ended.set()

    def _close(self, led: _Round[Reply]) -> None:
        with self._door:
            if self._open is led:
                self._open = None

    def _answered(self, questions: Sequence[str]) -> Mapping[str, Reply | ProviderError]:
        try:
            return self._put(questions)
        except ProviderError as exc:
            return dict.fromkeys(questions, exc)
