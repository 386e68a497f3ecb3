"""Cancel and kill go through Celery's revocation, and Flower's words for the end are right."""

import threading
import warnings
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from celery import Celery
from sqlalchemy import select

import providers
import simulator
from api.app import create_app
from models import campaign_stops, transitions
from models.attempt import Attempt
from models.campaign import Campaign
from models.lifecycle import Outcome, StopOutcome
from models.transitions import Claim
from models.worker import Worker
from providers.base import GenerationRequest
from settings import Settings

with warnings.catch_warnings():
    # It would rather have httpx2; with httpx it works as well.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

pytestmark = pytest.mark.acceptance

SLOTS = 40
"""Of the town's worker."""


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


def _revoked_at_workers(town) -> set[str]:
    told = town.broker.app.control.inspect(timeout=1).revoked() or {}
    return {uuid for of_one in told.values() for uuid in of_one}


def test_a_queued_job_revoked_in_flower_is_cancelled(town):
    worker = town.start_remote()
    [job] = town.enqueue(1)
    town.broker.revoke([job.uuid], terminate=False)
    # A revocation and a message go their own ways to the worker; one may overtake the other.
    town.eventually(lambda: str(job.uuid) in _revoked_at_workers(town))
    town.publish(job)
    town.eventually(lambda: town.have_ended([job]))

    assert worker.poll() is None
    assert town.job(job).outcome is Outcome.CANCELLED
    assert town.accepted_tickets() == []


# --- a campaign ------------------------------------------------------------------------------------------


@pytest.fixture
def vendors(town):
    """The four vendors on loopback, and a town whose processes know them."""
    with simulator.running(latency="0.1-0.3") as running:
        town.environment.update(running.environment)
        yield running


@pytest.fixture
def campaign(town) -> Campaign:
    with town.database.transaction() as session:
        added = Campaign(project_id=town.project_id, name="two thousand")
        session.add(added)
        session.flush()
        session.refresh(added)
        return added


@pytest.fixture
def api(town):
    """The API over the town's servers, as the town's project."""
    app = create_app(
        Settings(
            _env_file=None,
            DATABASE_URL=town.database_url,
            REDIS_URL=town.redis_url,
            DARKROOM_HOME=town.home,
            **town.environment,
        )
    )
    with TestClient(app, headers={"x-api-key": "key"}) as client:
        yield client


def _endless(town, count, campaign):
    prompts = [(f"an endless lighthouse, number {number} [[fault:hang]]", {}) for number in range(count)]
    return town.order(prompts, campaign_id=campaign.id, wanted_providers=("wiro",))


def _stop_as(town, campaign) -> str | None:
    with town.database.transaction() as session:
        return session.get_one(Campaign, campaign.id).stop_as


def test_a_campaign_of_two_thousand_is_killed_and_the_books_agree(town, vendors, campaign, api):
    town.start_control()
    town.start_remote()
    jobs = _endless(town, 2000, campaign)
    town.eventually(lambda: sum(_runs(job) for job in town.jobs(jobs)) >= SLOTS)
    others = town.order([(f"another lighthouse, number {number}", {}) for number in range(20)])

    told = api.post(f"/api/campaigns/{campaign.uuid}/kill", params={"wait_s": 10}).json()
    town.eventually(lambda: town.have_ended([*jobs, *others]))

    ends = Counter((job.outcome.value, job.stopped_how.value) for job in town.jobs(jobs))
    assert ends == {
        ("cancelled", "never_started"): 2000 - SLOTS,
        ("killed", "provider_cancelled"): SLOTS,
    }
    assert (told["matched"], told["is_complete"], told["going_on"]) == (2000, True, 0)
    assert sum(told["stopped"].values()) + told["stopping"] == 2000
    # Whoever got the slots was hit by nothing.
    assert {job.outcome for job in town.jobs(others)} == {Outcome.SUCCEEDED}
    _compare_books(town, vendors, jobs)
    town.eventually(lambda: _stop_as(town, campaign) is None)


def _runs(job) -> bool:
    return job.status.value in {"task_start", "task_output"}


def _compare_books(town, vendors, jobs) -> None:
    """Each request at the vendor is one attempt of ours, stopped there and not charged."""
    entries = [entry for entry in vendors.ledger() if "[[fault:hang]]" in entry["prompt"]]
    with town.database.transaction() as session:
        ours = session.scalars(select(Attempt).where(Attempt.job_id.in_([job.id for job in jobs]))).all()
    assert Counter(entry["state"] for entry in entries) == {"cancelled": SLOTS}
    assert {Decimal(str(entry["charged_usd"])) for entry in entries} == {Decimal(0)}
    assert Counter(attempt.state.value for attempt in ours) == {"cancelled": SLOTS}


def test_what_runs_of_a_cancelled_campaign_is_finished(town, campaign, api):
    town.start_control()
    town.start_remote(latency="5")
    jobs = town.order([("a lighthouse", {})] * 200, campaign_id=campaign.id)
    town.eventually(lambda: sum(_runs(job) for job in town.jobs(jobs)) >= SLOTS)

    api.post(f"/api/campaigns/{campaign.uuid}/cancel")
    town.eventually(lambda: town.have_ended(jobs))

    ends = Counter(job.outcome.value for job in town.jobs(jobs))
    assert ends == {"succeeded": SLOTS, "cancelled": 200 - SLOTS}


def test_a_wish_whose_api_died_is_carried_out_by_the_sweep(town, vendors, campaign):
    town.start_control()
    worker = town.start_remote()
    jobs = _endless(town, 500, campaign)
    town.eventually(lambda: sum(_runs(job) for job in town.jobs(jobs)) >= SLOTS)
    town.kill(worker)

    with town.database.transaction() as session:
        campaign_stops.wish(session, campaign.id, Outcome.KILLED)
    town.eventually(lambda: town.have_ended(jobs))

    _compare_books(town, vendors, jobs)
    town.eventually(lambda: _stop_as(town, campaign) is None)


def test_a_picture_that_was_finished_first_is_fetched_by_a_worker_that_heard_the_revoke(town):
    town.start_remote()
    [job] = town.enqueue(1)
    town.broker.revoke([job.uuid], terminate=False)
    town.eventually(lambda: str(job.uuid) in _revoked_at_workers(town))
    _finish_at_the_provider(town, job)

    town.start_control()
    town.eventually(lambda: town.have_ended([job]), deadline_s=45)

    assert "its message was revoked" in [reason for _, reason in town.trail(job)]
    assert town.job(job).outcome is Outcome.SUCCEEDED


def _finish_at_the_provider(town, job) -> None:
    """The job waits with its ticket, as after the death of its worker; the picture is there."""
    provider = providers.load("sandbox")(latency_s=(0, 0))
    with town.database.transaction() as session:
        ghost = Worker(name="ghost@here", host="here", pid=1, queues=["remote"], concurrency=1)
        session.add(ghost)
        session.flush()
        [row] = transitions.dispatch(session, "sandbox", [job.id])
        claim = Claim(row.id, row.claim)
        transitions.accept(session, claim, ghost.id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
        size = {"width": 256, "height": 256, "output_format": "png"}
        parameters = {"prompt": "a lighthouse", "seed": 1, **size}
        ticket = provider.submit(GenerationRequest(str(attempt.uuid), 1, "sandbox", parameters, {}))
        transitions.record_ticket(session, attempt.id, ticket)
        transitions.start(session, claim, attempt.id)
        transitions.hand_over(session, claim, attempt.id, "its worker died", timedelta(0))
