"""Reading for many who ask at the same moment: a few statements for all of them, and no thread for each.

When hundreds of watched jobs end in one second, their sockets ask the same things of Postgres.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from models.session import Database

MOST_AT_ONCE = 500
"""Keys of one read: what is asked for behind them waits for the next."""

Key = TypeVar("Key")
Found = TypeVar("Found")


class Lookups(Generic[Key, Found]):
    """One kind of question.  Whoever asks alone is answered at once; who asks meanwhile, together."""

    def __init__(
        self, database: Database, read: Callable[[Session, Collection[Key]], Mapping[Key, Found]]
    ) -> None:
        """Nothing is read yet.

        Args:
            database: where from.
            read: what is found of these keys.
        """
        self._database = database
        self._read = read
        self._lock = threading.Lock()
        self._asked: list[tuple[Key, asyncio.Future[Found | None]]] = []
        self._is_reading = False

    async def find(self, key: Key) -> Found | None:
        """What there is of a key; None when there is nothing.

        Raises:
            SQLAlchemyError: it could not be read.
        """
        answer: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._asked.append((key, answer))
            begins = not self._is_reading
            self._is_reading = True
        if begins:
            # A daemon: a read that hangs on a silent Postgres must not keep the process alive.
            threading.Thread(target=self._read_all, name="lookups", daemon=True).start()
        return await answer

    def _read_all(self) -> None:
        """Until nobody asks."""
        while True:
            with self._lock:
                asked, self._asked = self._asked[:MOST_AT_ONCE], self._asked[MOST_AT_ONCE:]
                if not asked:
                    self._is_reading = False
                    return
            _tell(asked, self._answers({key for key, _ in asked}))

    def _answers(self, keys: Collection[Key]) -> Callable[[Key, "asyncio.Future[Found | None]"], None]:
        """How each of those who asked is answered."""
        try:
            with self._database.reading() as session:
                found = self._read(session, keys)
        except Exception as exc:  # noqa: BLE001 - it is raised where it was asked
            error = exc
            return lambda _, answer: answer.set_exception(error)
        return lambda key, answer: answer.set_result(found.get(key))


def _tell(
    asked: Collection[tuple[Key, "asyncio.Future[Found | None]"]],
    give: Callable[[Key, "asyncio.Future[Found | None]"], None],
) -> None:
    """Each in its own loop, with one call into it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Key, asyncio.Future[Found | None]]]] = defaultdict(
        list
    )
    for key, answer in asked:
        by_loop[answer.get_loop()].append((key, answer))

    def give_all(those: Collection[tuple[Key, "asyncio.Future[Found | None]"]]) -> None:
        for key, answer in those:
            if not answer.done():  # who asked may have gone
                give(key, answer)

    for loop, those in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed, and with it whoever asked there
            loop.call_soon_threadsafe(give_all, those)
