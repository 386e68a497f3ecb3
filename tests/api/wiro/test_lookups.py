"""Lookups: who asks at the same moment is answered by one read."""

import asyncio
import threading

import pytest
from sqlalchemy.exc import OperationalError

from api.wiro import lookups
from api.wiro.lookups import Lookups


class Book:
    """What can be looked up; the first read waits until it is let go."""

    def __init__(self) -> None:
        self.read_at_once: list[set[str]] = []
        self.may_end = threading.Event()

    def __call__(self, session, keys) -> dict[str, int]:
        self.read_at_once.append(set(keys))
        self.may_end.wait(60)
        return {key: len(key) for key in keys if key != "nobody"}


@pytest.fixture
def book():
    return Book()


def test_who_asks_meanwhile_is_answered_together(database, book, eventually):
    shelf = Lookups(database, book)

    async def scene():
        first = asyncio.create_task(shelf.find("a"))
        await asyncio.to_thread(eventually, lambda: book.read_at_once)
        others = [asyncio.create_task(shelf.find(key)) for key in ("bb", "ccc", "bb", "nobody")]
        await asyncio.to_thread(eventually, lambda: len(shelf._asked) == len(others))
        book.may_end.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(scene()) == [1, 2, 3, 2, None]
    assert book.read_at_once == [{"a"}, {"bb", "ccc", "nobody"}]


def test_what_could_not_be_read_is_told_to_all_who_asked_and_asked_for_anew(database):
    failures = [OperationalError("", {}, Exception("away"))]

    def read(_session, keys):
        if failures:
            raise failures.pop()
        return dict.fromkeys(keys, 1)

    shelf = Lookups(database, read)

    async def scene():
        with pytest.raises(OperationalError):
            await shelf.find("a")
        return await shelf.find("a")

    assert asyncio.run(scene()) == 1


def test_who_goes_away_takes_no_answer_from_others(database, book, eventually):
    shelf = Lookups(database, book)

    async def scene():
        gone, there = asyncio.create_task(shelf.find("a")), asyncio.create_task(shelf.find("a"))
        await asyncio.to_thread(eventually, lambda: book.read_at_once)
        gone.cancel()
        book.may_end.set()
        return await there

    assert asyncio.run(scene()) == 1


def test_of_very_many_keys_so_many_are_read_at_once(database, book, monkeypatch):
    monkeypatch.setattr(lookups, "MOST_AT_ONCE", 10)
    book.may_end.set()
    shelf = Lookups(database, book)

    async def scene():
        return await asyncio.gather(*(shelf.find(str(number)) for number in range(100)))

    assert len(asyncio.run(scene())) == 100
    assert max(map(len, book.read_at_once)) <= 10
