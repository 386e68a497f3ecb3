"""What is published is what Celery itself would publish, only faster."""

import base64
import json
from uuid import uuid4

import pytest
import redis

from broker import CONTROL, DISPATCH, GENERATE, LOCAL, REMOTE, Broker, GenerateMessage, create_app, queue_of


def _message(number=7, provider="wiro") -> GenerateMessage:
    return GenerateMessage(number, uuid4(), 3, "black-forest-labs/flux-pro-1-1", provider)


@pytest.fixture
def broker(redis_url):
    return Broker(create_app(redis_url))


def _taken(redis_url, queue=REMOTE) -> list[dict]:
    """As a worker takes them."""
    with redis.Redis.from_url(redis_url) as client:
        encoded = iter(lambda: client.rpop(queue), None)
        return [json.loads(one) for one in encoded]


def _opened(envelope) -> dict:
    """With its body read, and without what differs from one message to the next, or leads nowhere here."""
    opened = {**envelope, "body": json.loads(base64.b64decode(envelope["body"]))}
    del opened["properties"]["delivery_tag"], opened["properties"]["reply_to"]
    return opened


@pytest.mark.parametrize("provider", ["wiro", "local"])
def test_a_message_is_as_celery_would_make_it(broker, redis_url, provider):
    message, queue = _message(provider=provider), queue_of(provider)
    kwargs = {"job_id": 7, "claim": 3, "model": message.model, "provider": provider}
    sent = broker.app.send_task(
        GENERATE, task_id=str(message.uuid), kwargs=kwargs, queue=queue, ignore_result=True
    )

    broker.publish([message])

    [theirs, ours] = [_opened(one) for one in _taken(redis_url, queue)]
    assert sent.id == str(message.uuid)
    assert ours == theirs


def test_a_ring_is_as_celery_would_make_it(broker, redis_url):
    broker.app.send_task(DISPATCH, queue=CONTROL, ignore_result=True)

    assert broker.ring()

    [theirs, ours] = [_opened(one) for one in _taken(redis_url, CONTROL)]
    for one in (theirs, ours):
        # each is a task of its own
        assert (
            len(
                {
                    one["headers"].pop("id"),
                    one["headers"].pop("root_id"),
                    one["properties"].pop("correlation_id"),
                }
            )
            == 1
        )
    assert ours == theirs


def test_messages_keep_their_order_and_find_their_queues(broker, redis_url):
    messages = [_message(number) for number in range(1200)]

    broker.publish([*messages, _message(5000, "local")])

    assert [_opened(one)["body"][1]["job_id"] for one in _taken(redis_url)] == list(range(1200))
    assert [_opened(one)["body"][1]["job_id"] for one in _taken(redis_url, LOCAL)] == [5000]


def test_without_redis_publishing_says_so():
    with pytest.raises(redis.RedisError):
        Broker(create_app("redis://127.0.0.1:1/0")).publish([_message()])
