"""Who gets a slot, and what becomes of a message."""

import pytest
import redis
from sqlalchemy import func, select

from broker import Broker, create_app
from models import queries
from models.lifecycle import Status
from models.worker import LOCK_NAMESPACE
from workers.dispatch import dispatch

OFFERS = {"black-forest-labs/flux-pro-1-1": ("sandbox",)}


@pytest.fixture
def live_worker(database, worker_id):
    """A worker with four slots that holds its lock."""
    with database.engine.connect() as connection:
        connection.execute(select(func.pg_advisory_lock(LOCK_NAMESPACE, worker_id)))
        connection.commit()
        yield worker_id
        connection.execute(select(func.pg_advisory_unlock(LOCK_NAMESPACE, worker_id)))


def _waiting(database) -> int:
    with database.transaction() as session:
        return len(queries.ready_jobs(session, OFFERS, ["sandbox"], 1000))


def test_without_a_worker_nothing_is_published(bench, enqueue, redis_url):
    enqueue()

    assert dispatch(bench.database, bench.broker, OFFERS) == 0
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("remote") == 0


def test_no_more_is_published_than_the_workers_can_run(bench, enqueue, live_worker, redis_url):
    for _ in range(10):
        enqueue()

    handed_out = [dispatch(bench.database, bench.broker, OFFERS) for _ in range(3)]

    assert handed_out == [4, 0, 0]
    assert _waiting(bench.database) == 6
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("remote") == 4


def test_the_higher_priority_goes_first(bench, database, enqueue, live_worker):
    low = [enqueue() for _ in range(4)]
    high = enqueue(priority=10)

    dispatch(bench.database, bench.broker, OFFERS)

    with database.transaction() as session:
        assert queries.job(session, high).dispatched_at is not None
        assert queries.job(session, low[-1]).dispatched_at is None


def test_jobs_pinned_to_a_provider_that_is_off_wait_and_hold_up_nobody(bench, database, enqueue, live_worker):
    pinned = [enqueue(wanted_providers=("bfl",)) for _ in range(20)]
    free = enqueue()

    assert dispatch(bench.database, bench.broker, OFFERS) == 1
    with database.transaction() as session:
        assert queries.job(session, free).dispatched_at is not None
        assert queries.job(session, pinned[0]).status is Status.QUEUE


def test_a_dispatch_without_redis_keeps_the_job(bench, database, enqueue, live_worker):
    job_id = enqueue()
    deaf = Broker(create_app("redis://127.0.0.1:1/0"))

    dispatch(database, deaf, OFFERS)

    with database.transaction() as session:
        assert queries.job(session, job_id).status is Status.QUEUE


def test_a_ring_is_rung_once_until_it_is_answered(bench):
    assert [bench.broker.ring(), bench.broker.ring()] == [True, False]

    bench.broker.answer("jobs.dispatch")

    assert bench.broker.ring()


def test_a_ring_without_redis_is_quiet():
    assert Broker(create_app("redis://127.0.0.1:1/0")).ring() is False
