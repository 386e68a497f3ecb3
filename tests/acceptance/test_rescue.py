"""Workers die and freeze, Redis forgets: every job ends once, and the trail says what happened."""

import signal

import pytest
import redis

from broker import WIPE_MARK
from models import queries, transitions
from models.lifecycle import Outcome, StopOutcome

pytestmark = pytest.mark.acceptance


def _all_succeeded(town, jobs) -> bool:
    return {job.outcome for job in town.jobs(jobs)} == {Outcome.SUCCEEDED}


def _submissions(town, jobs) -> list[int]:
    """Attempts of each job that reached the provider."""
    with town.database.transaction() as session:
        return [
            sum(attempt.ticket is not None for attempt in queries.attempts(session, job.id)) for job in jobs
        ]


def _are_running(town, jobs) -> bool:
    return {job.status.value for job in town.jobs(jobs)} <= {"task_start", "task_output"}


def test_twenty_slow_jobs_survive_the_kill_of_their_worker(town):
    town.start_control()
    worker = town.start_remote(latency="4-6")
    jobs = town.enqueue(20)
    town.eventually(lambda: _are_running(town, jobs))

    town.kill(worker)
    town.start_remote(latency="4-6")
    town.eventually(lambda: town.have_ended(jobs))

    assert _all_succeeded(town, jobs)
    assert _submissions(town, jobs) == [1] * 20
    accepted = town.accepted_tickets()
    assert len(accepted) == len(set(accepted)) == 20  # the provider's own count
    for job in jobs:
        reasons = [reason for _, reason in town.trail(job) if reason]
        assert any("was killed" in reason for reason in reasons)
        assert "taking over attempt 1, submitted, at sandbox" in reasons


def test_a_worker_killed_before_its_jobs_were_sent_costs_nothing(town):
    town.start_control()
    worker = town.start_remote()
    jobs = town.enqueue(20)
    town.eventually(lambda: any(job.claim for job in town.jobs(jobs)))

    town.kill(worker)
    town.start_remote()
    town.eventually(lambda: town.have_ended(jobs))

    assert _all_succeeded(town, jobs)
    assert _submissions(town, jobs) == [1] * 20
    assert len(set(town.accepted_tickets())) == 20


def test_twenty_jobs_survive_a_redis_that_forgets_everything(town, redis_url):
    town.start_control()
    town.start_remote(latency="1-2")
    jobs = town.enqueue(20)
    town.eventually(lambda: any(job.dispatched_at for job in town.jobs(jobs)))

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    town.eventually(lambda: town.have_ended(jobs))

    assert _all_succeeded(town, jobs)
    assert _submissions(town, jobs) == [1] * 20
    assert len(town.accepted_tickets()) == 20


def test_published_messages_that_redis_forgot_are_published_again(town, redis_url):
    [job] = town.enqueue(1)
    town.start_control()
    with redis.Redis.from_url(redis_url) as client:
        town.eventually(lambda: client.exists(WIPE_MARK))  # from now on a wipe is noticed
        town.publish(job)
        client.flushall()
    # At once: a message that is lost alone is missed only after ten seconds, or after a slow worker's start.
    town.eventually(lambda: ("task_queue", "Redis lost its messages") in town.trail(job))

    town.start_remote()
    town.eventually(lambda: town.have_ended([job]))

    assert _all_succeeded(town, [job])


def test_a_job_cancelled_while_every_worker_is_down_never_runs(town):
    cancelled, other = town.enqueue(2)
    town.publish(cancelled, other)

    with town.database.transaction() as session:
        assert transitions.cancel(session, cancelled.id)
    town.start_control()
    town.start_remote()
    town.eventually(lambda: town.have_ended([other]))

    assert _all_succeeded(town, [other])  # the message next to it was taken
    assert town.job(cancelled).stopped_how is StopOutcome.NEVER_STARTED
    assert [status for status, _ in town.trail(cancelled)] == ["task_queue", "task_cancel"]
    assert len(town.accepted_tickets()) == 1


def test_of_two_workers_offered_the_same_message_one_runs_it(town):
    town.start_remote("one")
    town.start_remote("two")
    jobs = town.enqueue(10)

    town.publish(*jobs, times=3)
    town.eventually(lambda: town.have_ended(jobs))

    assert _all_succeeded(town, jobs)
    for job in jobs:
        assert [status for status, _ in town.trail(job)].count("task_accept") == 1
    assert len(town.accepted_tickets()) == 10


def test_a_worker_that_ends_in_order_hands_its_jobs_over(town):
    town.start_control()
    worker = town.start_remote(latency="4-6")
    jobs = town.enqueue(5)
    town.eventually(lambda: _are_running(town, jobs))

    worker.send_signal(signal.SIGTERM)
    worker.wait(timeout=10)  # long before the jobs are done
    town.start_remote(latency="4-6")
    town.eventually(lambda: town.have_ended(jobs))

    assert _all_succeeded(town, jobs)
    assert _submissions(town, jobs) == [1] * 5
    assert {job.worker_deaths for job in town.jobs(jobs)} == {0}
    assert all(("task_queue", "its worker is shutting down") in town.trail(job) for job in jobs)


def test_a_frozen_workers_ghost_finishes_nothing(town):
    town.start_control()
    frozen = town.start_remote("frozen", latency="3")
    jobs = town.enqueue(5)
    town.eventually(lambda: _are_running(town, jobs))

    frozen.send_signal(signal.SIGSTOP)
    town.start_remote("other", latency="3")
    town.eventually(lambda: town.have_ended(jobs))
    trails = [town.trail(job) for job in jobs]
    frozen.send_signal(signal.SIGCONT)
    log = town.home / "frozen.log"
    town.eventually(lambda: log.read_text().count("event=job_left") == 5)

    assert _all_succeeded(town, jobs)
    assert [town.trail(job) for job in jobs] == trails
    assert log.read_text().count("ending=lost") == 5
    assert len(town.accepted_tickets()) == 5


def test_a_message_that_comes_twice_to_one_worker_disturbs_nothing(town):
    town.start_control()
    town.start_remote(latency="5")  # longer than the heartbeat needs to miss a job
    jobs = town.enqueue(5)

    town.publish(*jobs, times=2)
    town.eventually(lambda: town.have_ended(jobs))

    assert _all_succeeded(town, jobs)
    assert {job.worker_deaths for job in town.jobs(jobs)} == {0}
