"""Who carries a key: a project, as far as a request has to know it.

Every request asks, so what was read is believed for a second.  A project that was
changed or taken away is heeded that soon, and without a message that could be lost.
What a project may spend is not in here: that is read where it counts.
"""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from anyio import to_thread

from api.authentication import Caller
from models import queries
from models.session import Database

BELIEVED_FOR_S = 1.0

STRANGERS_AT_ONCE = 4
"""Keys nobody has used yet that are looked for at a time.

Each is one indexed read.  Who tries keys by the thousand waits for these few threads
and connections, and not one known caller waits behind him.
"""


REFUSALS_SAID_EVERY_S = 1.0
"""Who is refused by the thousand fills no disk."""

logger = logging.getLogger("darkroom.api")


@dataclass(slots=True)
class _Believed:
    caller: Caller
    read_at: float


class Callers:
    """The callers of one process.  For any event loop; keys that are nobody's are not remembered."""

    def __init__(self, database: Database) -> None:
        """Nobody is known yet."""
        self._database = database
        self._known: dict[str, _Believed] = {}  # as many as there are projects
        self._strangers = ThreadPoolExecutor(STRANGERS_AT_ONCE, "strangers")
        self._unsaid = 0
        self._said_at = float("-inf")

    async def by_key(self, api_key: str | None) -> Caller | None:
        """The project that carries this key, as it was a second ago at most; None for nobody's key."""
        # Postgres takes no NUL in a text, not even to look for it.
        if not api_key or "\0" in api_key:
            return None
        believed = self._known.get(api_key)
        if believed is None:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._strangers, self._read, api_key)
        if time.monotonic() - believed.read_at < BELIEVED_FOR_S:
            return believed.caller
        # One asks; whoever comes meanwhile believes a moment longer, or a burst would ask as one.
        believed.read_at = time.monotonic()
        return await to_thread.run_sync(self._read, api_key)

    def note_refusal(self, reason: str) -> None:
        """Say that somebody was refused, or how many were since that was last said."""
        self._unsaid += 1
        now = time.monotonic()
        if now - self._said_at < REFUSALS_SAID_EVERY_S:
            return
        extra = {"event": "not_authorized", "reason": reason, "refused": self._unsaid}
        self._unsaid, self._said_at = 0, now
        logger.warning("Refused a request.", extra=extra)

    def _read(self, api_key: str) -> Caller | None:
        read_at = time.monotonic()
        with self._database.transaction() as session:
            project = queries.project_by_key(session, api_key)
        if project is None:
            self._known.pop(api_key, None)
            return None
        caller = Caller(
            id=project.id,
            auth=project.auth,
            api_key=project.api_key,
            api_secret=project.api_secret,
            requests_per_minute=project.requests_per_minute,
        )
        self._known[api_key] = _Believed(caller, read_at)
        return caller
