"""A job that takes down its workers is quarantined; those that ran beside it are not."""

from collections import Counter
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from models import queries, transitions
from models.job import Job
from models.lifecycle import MAX_WORKER_DEATHS, Outcome
from models.transitions import Claim
from models.worker import LOCK_NAMESPACE, Worker
from workers.dispatch import dispatch
from workers.generate import generate
from workers.running import StopSignal

INNOCENTS = 20


@pytest.fixture
def fleet(database):
    """Workers that live, each with its lock, until the test is over."""
    with database.engine.connect() as connection:

        def hire(number) -> int:
            with database.transaction() as session:
                hired = Worker(
                    name=f"remote{number}@here", host="here", pid=number, queues=["remote"], concurrency=40
                )
                session.add(hired)
                session.flush()
                worker_id = hired.id
            connection.execute(select(func.pg_advisory_lock(LOCK_NAMESPACE, worker_id)))
            connection.commit()
            return worker_id

        yield hire
        connection.execute(select(func.pg_advisory_unlock_all()))


class Hall:
    """Workers that die whenever the poison is among their jobs, after each of the others was paid for."""

    def __init__(self, bench, fleet, poison) -> None:
        self.paid: Counter[int] = Counter()
        self.deaths = 0
        self._bench = bench
        self._fleet = fleet
        self._poison = poison
        self._worker_id = fleet(0)

    def has_jobs(self) -> bool:
        """Whether anything is left to do."""
        with self._bench.database.transaction() as session:
            return session.scalar(select(func.count()).where(Job.outcome.is_(None))) > 0

    def turn(self) -> None:
        """What is dispatched now is run to its end, or dies with its worker."""
        dispatch(self._bench.database, self._bench.broker, self._bench.offers())
        with self._bench.database.transaction() as session:
            is_in_flight = Job.dispatched_at.is_not(None) & Job.outcome.is_(None)
            rows = session.execute(select(Job.id, Job.claim).where(is_in_flight))
            claims = [Claim(*row) for row in rows]
        if any(claim.job_id == self._poison for claim in claims):
            self._die(claims)
        else:
            for claim in claims:
                generate(self._bench, claim, self._worker_id, StopSignal())

    def _die(self, claims) -> None:
        for claim in claims:
            if claim.job_id != self._poison:
                self._pay(claim)
        with self._bench.database.transaction() as session:
            for claim in claims:
                if claim.job_id == self._poison:
                    transitions.accept(session, claim, self._worker_id)
            reason = f"worker remote{self.deaths}@here was killed"
            transitions.rescue(session, Job.worker_id == self._worker_id, reason)
            session.get_one(Worker, self._worker_id).ended_at = func.clock_timestamp()
        self.deaths += 1
        self._worker_id = self._fleet(self.deaths)

    def _pay(self, claim) -> None:
        with self._bench.database.transaction() as session:
            transitions.accept(session, claim, self._worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            attempt = transitions.assign(session, claim, provider="sandbox", remote_id="m")
            if attempt.ticket is None:
                self.paid[claim.job_id] += 1
                transitions.record_ticket(session, attempt.id, {"id": str(attempt.uuid)})


def test_the_neighbours_of_a_poisonous_job_are_paid_for_once_and_succeed(bench, provider, enqueue, fleet):
    innocents = [enqueue() for _ in range(INNOCENTS)]
    poison = enqueue()
    hall = Hall(bench, fleet, poison)

    turns = 0
    while hall.has_jobs() and turns < 5 * INNOCENTS:
        hall.turn()
        turns += 1

    with bench.database.transaction() as session:
        outcomes = Counter(queries.job(session, job_id).outcome for job_id in innocents)
        culprit = queries.job(session, poison)
        attempts = [queries.attempts(session, job_id) for job_id in innocents]
    assert outcomes == {Outcome.SUCCEEDED: INNOCENTS}
    assert (culprit.outcome, culprit.error_code) == (Outcome.FAILED, "quarantined")
    assert hall.deaths == culprit.worker_deaths == MAX_WORKER_DEATHS
    assert [len(own) for own in attempts] == [1] * INNOCENTS
    assert all(own[0].cost_usd == Decimal("0.04") for own in attempts)
    assert set(hall.paid.values()) == {1}
    assert not provider.bought  # what was paid for is asked for


def test_a_quarantined_job_tells_its_story(bench, enqueue, fleet):
    poison = enqueue()
    hall = Hall(bench, fleet, poison)

    for _ in range(MAX_WORKER_DEATHS):
        hall.turn()

    with bench.database.transaction() as session:
        story = queries.job(session, poison).error_message
    assert story is not None
    assert [f"worker remote{n}@here was killed at 20" in story for n in range(3)] == [True] * 3
    assert story.count("UTC") == MAX_WORKER_DEATHS
