"""Celery's events, many in one message."""

import pytest

from broker import create_app
from workers import events
from workers.events import buffer

LIFE = ("task-received", "task-started", "task-succeeded")


@pytest.fixture
def published():
    """What was published: an event, or a list of them."""
    return []


@pytest.fixture
def dispatcher(redis_url, published, monkeypatch):
    """A worker's, that buffers; what it publishes goes nowhere."""
    app = create_app(redis_url)
    with app.connection_for_write() as connection:
        built = app.events.Dispatcher(connection, hostname="here")
        buffer(built)
        monkeypatch.setattr(built, "_publish", lambda body, *_, **__: published.append(body))
        yield built
        built.close()


def test_what_is_sent_in_one_moment_is_one_message_in_order(dispatcher, published, monkeypatch):
    monkeypatch.setattr(events, "FLUSH_EVERY_S", 3600)
    for kind in LIFE * 10:
        dispatcher.send(kind, uuid="u")
    assert published == []

    dispatcher.flush()

    [together] = published
    assert [event["type"] for event in together] == list(LIFE * 10)


def test_what_is_buffered_is_sent_by_itself(dispatcher, published, monkeypatch, eventually):
    monkeypatch.setattr(events, "FLUSH_EVERY_S", 0.01)

    for _ in range(2):
        published.clear()
        dispatcher.send("task-started", uuid="u")
        eventually(lambda: published)


def test_a_full_buffer_is_sent_at_once(dispatcher, published, monkeypatch):
    monkeypatch.setattr(events, "FLUSH_EVERY_S", 3600)

    for _ in range(events.MOST_AT_ONCE):
        dispatcher.send("task-started", uuid="u")

    assert [len(together) for together in published] == [events.MOST_AT_ONCE]


def test_a_workers_heartbeat_is_not_held_back(dispatcher, published, monkeypatch):
    monkeypatch.setattr(events, "FLUSH_EVERY_S", 3600)

    dispatcher.send("worker-heartbeat")

    assert [event["type"] for event in published] == ["worker-heartbeat"]
