"""Cancel and kill go through Celery's revocation, and Flower's words for the end are right."""

import threading

import pytest
from celery import Celery

from models import transitions
from models.lifecycle import Outcome, StopOutcome

pytestmark = pytest.mark.acceptance


@pytest.fixture
def flower(town):
    """What Flower keeps: Celery's own picture of every task, from its events."""
    app = Celery(broker=town.redis_url, set_as_current=False)
    state = app.events.State()
    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": state.event})
        thread = threading.Thread(target=lambda: receiver.capture(wakeup=False))
        thread.start()
        yield state
        receiver.should_stop = True
        thread.join(timeout=10)
    app.close()


def _state(flower, job) -> str | None:
    task = flower.tasks.get(str(job.uuid))
    return None if task is None else task.state


def _kill(town, job) -> None:
    """As the API does it."""
    with town.database.transaction() as session:
        assert transitions.request_kill(session, job.id)
    town.broker.revoke([job.uuid], terminate=True)


def _is_running(town, job) -> bool:
    return town.job(job).status.value in {"task_start", "task_output"}


def test_flower_ends_on_success_failure_and_revoked(town, flower):
    town.start_control()
    town.start_remote()
    [good] = town.enqueue(1)
    [bad] = town.enqueue(1, moderate="true")
    [endless] = town.enqueue(1, hang="true")
    town.eventually(lambda: _is_running(town, endless))

    _kill(town, endless)
    town.eventually(lambda: town.have_ended([good, bad, endless]))

    town.eventually(lambda: _state(flower, good) == "SUCCESS")
    town.eventually(lambda: _state(flower, bad) == "FAILURE")
    town.eventually(lambda: _state(flower, endless) == "REVOKED")
    # It stays so when the task itself has ended.
    log = town.home / "remote.log"
    town.eventually(lambda: log.read_text().count("event=job_left") == 3)
    town.enqueue(1)
    town.eventually(lambda: log.read_text().count("event=job_left") == 4)
    assert _state(flower, endless) == "REVOKED"
    assert "Traceback" not in log.read_text()
    killed = town.job(endless)
    assert (killed.outcome, killed.stopped_how) == (Outcome.KILLED, StopOutcome.CANCELLED)
    shown = flower.tasks[str(good.uuid)].kwargs
    assert "flux-pro-1-1" in shown
    assert "lighthouse" not in shown
    assert {task.name for task in flower.tasks.values()} == {"jobs.generate"}


def test_a_kill_whose_revoke_was_lost_is_carried_out_all_the_same(town, flower):
    town.start_control()
    town.start_remote()
    [endless] = town.enqueue(1, hang="true")
    town.eventually(lambda: _is_running(town, endless))

    with town.database.transaction() as session:
        assert transitions.request_kill(session, endless.id)
    town.eventually(lambda: town.have_ended([endless]), deadline_s=15)

    assert town.job(endless).outcome is Outcome.KILLED
    town.eventually(lambda: _state(flower, endless) == "REVOKED")


def test_a_job_killed_while_its_worker_is_dead_is_ended_by_the_sweep(town):
    control = town.start_control()
    worker = town.start_remote()
    [endless] = town.enqueue(1, hang="true")
    town.eventually(lambda: _is_running(town, endless))
    town.kill(worker)

    _kill(town, endless)
    town.eventually(lambda: town.have_ended([endless]))

    assert control.poll() is None
    assert town.job(endless).stopped_how is StopOutcome.CANCELLED


def test_a_job_revoked_in_flower_is_killed(town):
    town.start_control()
    town.start_remote()
    [endless] = town.enqueue(1, hang="true")
    town.eventually(lambda: _is_running(town, endless))

    town.broker.revoke([endless.uuid], terminate=True)
    town.eventually(lambda: town.have_ended([endless]))

    assert town.job(endless).outcome is Outcome.KILLED


def test_a_failing_provider_is_tried_again_and_every_attempt_is_kept(town, flower):
    from models import queries

    town.start_control()
    town.start_remote()
    [job] = town.enqueue(1, unavailable="1")

    town.eventually(lambda: _state(flower, job) == "RETRY")
    town.eventually(lambda: town.have_ended([job]))

    with town.database.transaction() as session:
        states = [(a.state.value, a.error_code) for a in queries.attempts(session, job.id)]
    assert town.job(job).outcome is Outcome.SUCCEEDED
    assert states == [("failed", "unavailable"), ("done", None)]


def test_a_queued_job_revoked_in_flower_is_cancelled(town):
    worker = town.start_remote()
    [job] = town.enqueue(1)
    town.broker.revoke([job.uuid], terminate=False)
    town.publish(job)
    town.eventually(lambda: town.have_ended([job]))

    assert worker.poll() is None
    assert town.job(job).outcome is Outcome.CANCELLED
    assert town.accepted_tickets() == []
