"""A worker that waits for messages looks up often."""

import socket
from types import SimpleNamespace

import pytest

from broker import create_app
from workers import waking
from workers.waking import WakesOften


@pytest.mark.parametrize(("asked", "waited"), [(2.0, waking.STRETCH_S), (None, waking.STRETCH_S), (0.1, 0.1)])
def test_no_stretch_of_waiting_is_long(asked, waited):
    stretches = []
    transport = SimpleNamespace(drain_events=lambda _connection, timeout: stretches.append(timeout))
    consumer = SimpleNamespace(hub=None, connection=SimpleNamespace(transport=transport))

    WakesOften(consumer).start(consumer)
    transport.drain_events("a connection", timeout=asked)

    assert stretches == [waited]


def test_kombu_asks_its_transport_and_takes_silence_for_a_timeout(redis_url):
    """What the step relies on."""
    app = create_app(redis_url)
    with app.connection_for_read() as connection:
        consumer = SimpleNamespace(hub=None, connection=connection)
        WakesOften(consumer).start(consumer)
        with app.amqp.TaskConsumer(connection), pytest.raises(socket.timeout):
            connection.drain_events(timeout=3600)
