"""Ending what is to stop and no worker holds, however many and however slow their providers."""

import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from models import queries, transitions
from models.job import Job
from models.lifecycle import Outcome, Status, StopOutcome
from models.session import Database
from models.worker import STOP_LOCK, Worker
from providers.base import CancelOutcome
from workers import stops, sweep


@pytest.fixture
def unheld(bench, dispatched, worker_id):
    """`unheld(3)`: so many jobs that are to stop, that their provider has and no worker."""

    def make(count):
        jobs = []
        for _ in range(count):
            claim = dispatched()
            with bench.database.transaction() as session:
                transitions.accept(session, claim, worker_id)
                transitions.start_preprocess(session, claim)
                transitions.end_preprocess(session, claim)
                attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
                transitions.record_ticket(session, attempt.id, {"id": str(claim.job_id)})
                transitions.hand_over(session, claim, attempt.id, "shutting down", timedelta(0))
                transitions.request_kill(session, claim.job_id)
            jobs.append(claim.job_id)
        return jobs

    return make


def _living(database, jobs) -> int:
    with database.transaction() as session:
        return session.scalar(select(func.count()).where(Job.id.in_(jobs), Job.outcome.is_(None)))


def test_all_of_them_are_ended_page_by_page(bench, provider, unheld, monkeypatch):
    monkeypatch.setattr(stops, "PAGE", 2)
    jobs = unheld(5)

    stops.finish_stops(bench.database, bench.providers)

    assert _living(bench.database, jobs) == 0
    assert sorted(int(ticket["id"]) for ticket in provider.cancelled) == jobs


def test_those_that_cannot_be_ended_yet_do_not_hold_up_those_behind_them(
    bench, provider, unheld, monkeypatch
):
    monkeypatch.setattr(stops, "PAGE", 2)
    jobs = unheld(5)
    stubborn = set(map(str, jobs[:3]))

    def cancel(ticket):
        if ticket["id"] in stubborn:
            raise KeyError("a bug in the provider")
        return CancelOutcome.CANCELLED

    provider.cancel = cancel

    stops.finish_stops(bench.database, bench.providers)

    assert (_living(bench.database, jobs[:3]), _living(bench.database, jobs[3:])) == (3, 0)


def test_several_are_ended_at_a_time_once_their_provider_has_answered(bench, provider, unheld):
    jobs = unheld(1 + stops.HANDS)
    together = threading.Barrier(stops.HANDS)
    first = []

    def cancel(ticket):
        if not first:
            first.append(ticket)
        else:
            together.wait(timeout=60)  # breaks unless all the others are here
        return CancelOutcome.CANCELLED

    provider.cancel = cancel

    stops.finish_stops(bench.database, bench.providers)

    assert _living(bench.database, jobs) == 0


def test_it_stops_for_a_while_when_it_has_gone_on_long_enough(bench, unheld, monkeypatch):
    monkeypatch.setattr(stops, "PAGE", 2)
    jobs = unheld(4)
    now = iter([0.0, 0.0, stops.ENOUGH_S])  # the beginning, and before each page

    def clock() -> float:
        return next(now) if threading.current_thread() is threading.main_thread() else 0.0

    stops.finish_stops(bench.database, bench.providers, clock)

    assert _living(bench.database, jobs) == 2


def test_a_provider_that_hangs_holds_up_no_dead_workers_jobs(
    bench, provider, unheld, dispatched, monkeypatch
):
    monkeypatch.setattr(queries, "RESTART_GRACE", timedelta(0))
    unheld(1)
    hangs, may_answer = threading.Event(), threading.Event()

    def cancel(_ticket):
        hangs.set()
        may_answer.wait(60)
        return CancelOutcome.CANCELLED

    provider.cancel = cancel
    claim = dispatched()
    with bench.database.transaction() as session:
        transitions.accept(session, claim, session.scalars(select(Worker.id)).one())
        session.execute(update(Worker).values(seen_at=func.clock_timestamp() - timedelta(seconds=60)))
    stopper = threading.Thread(target=stops.finish_stops, args=(bench.database, bench.providers))
    stopper.start()
    assert hangs.wait(60)

    sweep.sweep(bench.database, bench.broker)

    with bench.database.transaction() as session:
        assert queries.job(session, claim.job_id).status is Status.QUEUE
    may_answer.set()
    stopper.join()


def test_one_at_a_time(bench, unheld):
    jobs = unheld(1)
    with bench.database.engine.connect() as other:
        other.execute(select(func.pg_advisory_lock(STOP_LOCK)))

        assert stops.finish_stops(bench.database, bench.providers) == 0
        other.execute(text("SELECT pg_advisory_unlock_all()"))

    assert _living(bench.database, jobs) == 1


def test_what_nobody_began_ends_without_a_question(bench, provider, enqueue):
    job_id = enqueue()
    with bench.database.transaction() as session:
        transitions.request_kill(session, job_id)

    stops.finish_stops(bench.database, {})

    with bench.database.transaction() as session:
        job = queries.job(session, job_id)
    assert (job.outcome, job.stopped_how) == (Outcome.KILLED, StopOutcome.NEVER_STARTED)
    assert provider.cancelled == []


def test_when_postgres_goes_away_meanwhile_each_is_a_line_and_no_traceback(
    bench, unheld, monkeypatch, caplog
):
    jobs = unheld(2)
    nobody = Database("postgresql+psycopg://darkroom@127.0.0.1:1/darkroom")
    round_ = stops._Round(bench.database, bench.providers, time.monotonic)
    page = round_._page(None)
    monkeypatch.setattr(round_, "_database", nobody)

    spared = [round_._end(job) for job in page]

    lines = [record for record in caplog.records if record.event in {"postgres_away", "kill_failed"}]
    assert spared == [False, False]
    assert [(line.event, line.job_id, line.exc_info) for line in lines] == [
        ("postgres_away", job_id, None) for job_id in jobs
    ]
    nobody.dispose()
