"""Who gets a slot, and what becomes of a message."""

import itertools
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from sqlalchemy import func, select, update

from broker import Broker, create_app
from models import limits, queries, transitions
from models.attempt import Attempt
from models.attempts import Cost, Failure
from models.breaker import Breaker
from models.job import Job
from models.lifecycle import BreakerState, Route, Status
from models.transitions import Claim
from models.worker import LOCK_NAMESPACE
from workers import breakers
from workers.breaker import Sign
from workers.dispatch import dispatch, repeat_for_a_while
from workers.picking import WINDOW

MODEL = "black-forest-labs/flux-pro-1-1"


@dataclass(frozen=True)
class Sold:
    """An offer with a flat price."""

    provider: str
    price_usd: Decimal = Decimal("0.04")

    def price(self, _parameters: Mapping[str, Any]) -> Decimal:
        return self.price_usd


OFFERS = {MODEL: [Sold("sandbox")]}
TWO = {MODEL: [Sold("wiro", Decimal("0.05")), Sold("runware")]}


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
        query = select(func.count()).where(Job.dispatched_at.is_(None), Job.outcome.is_(None))
        return session.execute(query).scalar_one()


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


def test_while_jobs_come_and_go_dispatch_leaves_after_a_while_and_rings_for_the_rest():
    clock, calls, rings = itertools.count(step=0.2), [], []

    repeat_for_a_while(lambda: calls.append(1) or WINDOW, lambda: rings.append(1), lambda: next(clock))

    assert (len(calls), len(rings)) == (3, 1)


def test_dispatch_ends_without_a_ring_when_it_has_handed_out_all_that_could_go():
    handed_out, rings = iter([WINDOW, WINDOW - 1, WINDOW // 2]), []

    repeat_for_a_while(lambda: next(handed_out), lambda: rings.append(1), lambda: 0.0)

    assert (list(handed_out), rings) == ([], [])


def test_a_ring_is_rung_once_until_it_is_answered(bench):
    assert [bench.broker.ring(), bench.broker.ring()] == [True, False]

    bench.broker.answer("jobs.dispatch")

    assert bench.broker.ring()


def test_a_ring_without_redis_is_quiet():
    assert Broker(create_app("redis://127.0.0.1:1/0")).ring() is False


def _dispatch(bench, offers=TWO) -> int:
    """Until it hands out nothing more, as the task does; how many."""
    handed_out = 0
    while some := dispatch(bench.database, bench.broker, offers):
        handed_out += some
    return handed_out


def _where(database) -> Counter[str | None]:
    """The jobs in flight, by provider."""
    with database.transaction() as session:
        return Counter({use.provider: use.slots for use in limits.in_use(session)})


def _shut(database, provider="wiro", *, is_due=False) -> None:
    breakers.tell(database, provider, MODEL, Sign.SHUT, "no money left")
    if is_due:
        with database.transaction() as session:
            session.execute(update(Breaker).values(retry_at=Breaker.retry_at - timedelta(seconds=15)))


def _begun(database, job_id, worker_id, provider="wiro") -> tuple[Claim, int]:
    """The job runs: its attempt's intent is committed."""
    with database.transaction() as session:
        job = queries.job(session, job_id)
        if job.dispatched_at is None:
            [row] = transitions.dispatch(session, provider, [job_id])
            claim = Claim(row.id, row.claim)
        else:
            claim = Claim(job.id, job.claim)
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        return claim, transitions.assign(session, claim, provider=provider, remote_id="x").id


def test_jobs_go_elsewhere_while_a_breaker_is_open(bench, database, enqueue, live_worker):
    _shut(database)
    for _ in range(3):
        enqueue()

    assert _dispatch(bench) == 3
    assert _where(database) == {"runware": 3}


def test_one_job_tries_an_offer_that_was_shut(bench, database, enqueue, live_worker):
    _shut(database, is_due=True)
    for _ in range(3):
        enqueue()

    assert _dispatch(bench) == 3
    assert _where(database) == {"wiro": 1, "runware": 2}
    with database.transaction() as session:
        assert [row.state for row in queries.breakers(session)] == [BreakerState.HALF_OPEN]


def test_of_many_dispatchers_one_lets_one_job_try(bench, database, enqueue, live_worker):
    _shut(database, is_due=True)
    for _ in range(4):
        enqueue(wanted_providers=("wiro",))

    threads = [threading.Thread(target=_dispatch, args=(bench,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert _where(database) == {"wiro": 1}


def test_when_it_shows_life_everybody_goes_there_again(bench, database, enqueue, live_worker):
    _shut(database, is_due=True)
    for _ in range(3):
        enqueue(wanted_providers=("wiro",))
    assert _dispatch(bench) == 1

    breakers.tell(database, "wiro", MODEL, Sign.ALIVE, "took a request")

    assert _dispatch(bench) == 2


def test_jobs_for_what_is_shut_or_being_tried_hold_up_nobody(bench, database, enqueue, live_worker):
    _shut(database, is_due=True)
    for _ in range(20):
        enqueue(wanted_providers=("wiro",), priority=9)
    others = [enqueue(wanted_providers=("runware",)) for _ in range(3)]

    assert _dispatch(bench) == 4
    assert _where(database) == {"wiro": 1, "runware": len(others)}


def test_a_job_with_a_ticket_goes_where_its_ticket_is_breaker_or_not(bench, database, enqueue, live_worker):
    job = enqueue()
    claim, attempt_id = _begun(database, job, live_worker)
    with database.transaction() as session:
        transitions.record_ticket(session, attempt_id, {"id": "t"})
        transitions.hand_over(session, claim, attempt_id, "shutting down", timedelta(0))
    _shut(database)

    assert _dispatch(bench) == 1
    assert _where(database) == {"wiro": 1}


def test_a_job_that_failed_at_one_offer_goes_to_the_other_at_once(bench, database, enqueue, live_worker):
    job = enqueue()
    _dispatch(bench)
    claim, attempt_id = _begun(database, job, live_worker)
    with database.transaction() as session:
        transitions.retry(session, claim, attempt_id, Failure("unavailable", "503"), timedelta(0))

    assert _dispatch(bench) == 1
    assert _where(database) == {"runware": 1}


def test_what_an_offer_cannot_express_is_not_sent_there(bench, database, enqueue, live_worker):
    enqueue(excluded={"wiro": "takes no seed"})

    _dispatch(bench)

    assert _where(database) == {"runware": 1}


def test_the_providers_of_a_job_go_in_its_own_order(bench, database, enqueue, live_worker):
    enqueue(wanted_providers=("runware", "wiro"))

    _dispatch(bench)

    assert _where(database) == {"runware": 1}


def test_by_price_the_cheapest_offer_is_taken(bench, database, enqueue, live_worker):
    enqueue(route=Route.PRICE)

    _dispatch(bench)

    assert _where(database) == {"runware": 1}


def test_by_latency_the_offer_is_taken_that_was_fastest_lately(bench, database, enqueue, live_worker):
    for provider, took in (("wiro", 9), ("runware", 3)):
        claim, attempt_id = _begun(database, enqueue(), live_worker, provider)
        with database.transaction() as session:
            transitions.record_ticket(session, attempt_id, {"id": "t"})
            transitions.start(session, claim, attempt_id)
            transitions.end(session, claim, attempt_id)
            transitions.start_postprocess(session, claim, attempt_id)
            transitions.succeed(session, claim, attempt_id, [], Cost(None, is_estimate=False))
            attempt = session.get_one(Attempt, attempt_id)
            attempt.intended_at = attempt.finished_at - timedelta(seconds=took)
    with database.transaction() as session:
        measured = queries.latencies(session)
    enqueue(route=Route.LATENCY)

    _dispatch(bench)

    assert {offer: round(seconds) for offer, seconds in measured.items()} == {
        ("wiro", MODEL): 9,
        ("runware", MODEL): 3,
    }
    assert _where(database) == {"runware": 1}


def test_the_message_names_the_provider_that_was_chosen(database, enqueue, live_worker):
    enqueue(wanted_providers=("runware",))
    published = []

    class Ear:
        def was_wiped(self) -> bool:
            return False

        def publish(self, messages) -> None:
            published.extend(messages)

    dispatch(database, Ear(), TWO)

    assert [(message.model, message.provider) for message in published] == [(MODEL, "runware")]


def test_a_held_job_is_passed_over(bench, database, enqueue, live_worker):
    claim, attempt_id = _begun(database, enqueue(), live_worker)
    with database.transaction() as session:
        transitions.hold(session, claim, attempt_id, Failure("submission_unknown", "lost"))

    assert _dispatch(bench) == 0
