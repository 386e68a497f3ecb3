"""How many requests a project may make in a minute, counted by all API processes together.

The count is in Redis: a moving window, taken from in one round trip.  It guards the
house's own machine and no money, so it never stands in anybody's way for being out of
order: while Redis is away or silent, requests pass.
"""

import logging
import math
import threading
import time

import redis
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

SILENT_AFTER_S = 0.25
"""Redis answers in a millisecond; a request waits so long for one that does not."""

UNASKED_FOR_S = 1.0
"""After a failure Redis is let be: a silence costs one request a second its quarter of a second, not each."""

SAY_EVERY_S = 60.0

logger = logging.getLogger("darkroom.api")


class Throttle:
    """The requests of every project.  Safe from any thread."""

    def __init__(self, redis_url: str) -> None:
        """Nothing is connected yet."""
        connections = redis.ConnectionPool.from_url(
            redis_url,
            socket_timeout=SILENT_AFTER_S,
            socket_connect_timeout=SILENT_AFTER_S,
            retry=Retry(NoBackoff(), retries=0),
        )
        storage = RedisStorage(redis_url, connection_pool=connections, key_prefix="darkroom:requests")
        self._window = MovingWindowRateLimiter(storage)
        self._lock = threading.Lock()
        self._unasked_until = float("-inf")
        self._said_at = float("-inf")

    def wait_s(self, project_id: int, per_minute: int) -> int:
        """0 when one more request of the project is counted; else whole seconds until one can be."""
        if time.monotonic() < self._unasked_until:
            return 0
        try:
            return self._take(RateLimitItemPerMinute(per_minute), str(project_id))
        except redis.RedisError as exc:
            self._let_be(exc)
            return 0

    def _take(self, limit: RateLimitItemPerMinute, project: str) -> int:
        if self._window.hit(limit, project):
            return 0
        free_at, _left = self._window.get_window_stats(limit, project)
        return max(1, math.ceil(free_at - time.time()))

    def _let_be(self, exc: redis.RedisError) -> None:
        now = time.monotonic()
        with self._lock:
            self._unasked_until = now + UNASKED_FOR_S
            is_news = now - self._said_at >= SAY_EVERY_S
            if is_news:
                self._said_at = now
        if is_news:
            logger.warning(
                "Requests are not counted: Redis does not answer.",
                extra={"event": "requests_uncounted", "error": type(exc).__name__},
            )
