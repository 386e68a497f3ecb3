"""The bell: nobody waits for Redis, and nothing is told twice for nothing."""

import threading
import time
from uuid import uuid4

import pytest

from api.bell import WAITING_MAX, Bell
from broker import Broker, create_app


class SlowBroker:
    """A broker whose Redis does not answer until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.began = threading.Event()
        self.told: list[object] = []

    def ring(self) -> None:
        self.began.set()
        self.let_go.wait(10)
        self.told.append("ring")

    def revoke(self, uuids, *, terminate) -> None:
        self.told.append((uuids, terminate))
        raise RuntimeError("what nobody expected")


@pytest.fixture
def broker():
    slow = SlowBroker()
    yield slow
    slow.let_go.set()


@pytest.fixture
def bell(broker):
    made = Bell(broker)
    made.start()
    return made


def test_a_ring_returns_at_once_while_redis_is_silent(bell, broker):
    began_at = time.monotonic()

    bell.ring()

    assert time.monotonic() - began_at < 0.5
    assert broker.told == []


def test_many_rings_that_wait_are_one(bell, broker):
    bell.ring()
    broker.began.wait(10)
    for _ in range(100):
        bell.ring()
    broker.let_go.set()
    bell.stop(10)

    assert broker.told == ["ring", "ring"]  # the first was on its way when the others came


def test_a_failure_does_not_silence_the_bell(bell, broker, caplog):
    uuid = uuid4()
    broker.let_go.set()

    bell.revoke([uuid], terminate=True)
    bell.ring()
    bell.stop(10)

    assert broker.told == [((uuid,), True), "ring"]
    assert [record.event for record in caplog.records] == ["bell_failed"]


def test_what_a_silent_redis_cannot_take_is_dropped(bell, broker, caplog):
    bell.ring()
    broker.began.wait(10)

    for _ in range(WAITING_MAX + 1):
        bell.revoke([uuid4()], terminate=False)

    assert [record.event for record in caplog.records] == ["bell_full"]


def test_it_rings_in_a_real_redis(redis_url):
    broker = Broker(create_app(redis_url))
    bell = Bell(broker)
    bell.start()

    bell.ring()
    bell.stop(10)

    assert broker._redis.llen("control") == 1
