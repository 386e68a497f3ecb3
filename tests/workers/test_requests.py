"""Which messages Redis keeps a record of when a worker takes them, and what is said of them to Redis."""

from uuid import uuid4

import pytest
import redis

from broker import LOCAL, REMOTE, Broker, GenerateMessage, create_app
from workers.requests import Request
from workers.tasks import generate_job


@pytest.fixture
def taken(redis_url):
    """Publishes a message for this provider, and takes it as Celery's worker would."""
    app = create_app(redis_url)

    def take(provider):
        Broker(app).publish([GenerateMessage(7, uuid4(), 3, "black-forest-labs/flux-pro-1-1", provider)])
        messages = []
        with app.connection_for_read() as connection:
            consumer = app.amqp.TaskConsumer(connection)
            consumer.register_callback(lambda _body, message: messages.append(message))
            with consumer:
                connection.drain_events(timeout=10)
        return messages[0]

    return take


def _request(message) -> Request:
    return Request(
        message, on_ack=lambda *_: pytest.fail("told Redis"), app=generate_job.app, task=generate_job
    )


def test_of_a_remote_job_redis_keeps_no_record_and_is_told_nothing(taken, redis_url):
    message = taken("wiro")
    request = _request(message)

    request.acknowledge()

    assert request.acknowledged
    assert message.delivery_info["routing_key"] == REMOTE
    with redis.Redis.from_url(redis_url) as client:
        assert not client.exists("unacked", "unacked_index", REMOTE)


def test_a_local_job_is_taken_back_until_it_is_acknowledged(taken, redis_url):
    message = taken("local")
    told = []
    request = Request(message, on_ack=lambda *_: told.append(1), app=generate_job.app, task=generate_job)

    request.acknowledge()

    assert message.delivery_info["routing_key"] == LOCAL
    assert told == [1]
