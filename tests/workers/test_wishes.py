"""Deadlines and campaigns that are to stop, as the sweep carries them out."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from models import campaign_stops, queries, transitions
from models.attempts import Failure
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import AttemptState, Billed, Outcome, Status, StopOutcome
from models.transitions import Claim, NewJob
from providers.base import CancelOutcome
from workers import stops, sweep, wishes
from workers.generate import generate
from workers.running import StopSignal

A_SECOND_AGO, IN_AN_HOUR = timedelta(seconds=-1), timedelta(hours=1)
LOST = Failure("submission_unknown", "the connection broke", state=AttemptState.UNKNOWN)
BROKE = Failure("unavailable", "503", billed=Billed.NO)


class Scene:
    """Jobs, whoever has them, and the clock; `revoked` is what the workers were told."""

    def __init__(self, bench, dispatched, worker_id) -> None:
        self.bench = bench
        self.database = bench.database
        self.revoked = []
        self._dispatched = dispatched
        self._worker_id = worker_id

    def revoke(self, uuids, *, terminate) -> None:
        self.revoked.append((len(list(uuids)), terminate))

    def start(self, job_id=None) -> tuple[Claim, int]:
        """Its provider has it; its claim and its attempt's number."""
        claim = self._dispatched(job_id)
        with self.database.transaction() as session:
            transitions.accept(session, claim, self._worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
            transitions.record_ticket(session, attempt.id, {"id": str(claim.job_id)})
            transitions.start(session, claim, attempt.id)
        return claim, attempt.id

    def run(self, claim) -> None:
        generate(self.bench, claim, self._worker_id, StopSignal())

    def lose_the_worker(self) -> None:
        with self.database.transaction() as session:
            transitions.rescue(session, Job.worker_id == self._worker_id, "its worker was killed")

    def retry(self, claim, attempt_id, delay=timedelta(0), failure=BROKE) -> None:
        with self.database.transaction() as session:
            transitions.retry(session, claim, attempt_id, failure, delay)

    def pass_by(self, job_id, column="deadline_at", by=A_SECOND_AGO) -> None:
        """Its deadline passed a second ago."""
        with self.database.transaction() as session:
            session.execute(update(Job).where(Job.id == job_id).values({column: func.clock_timestamp() + by}))

    def expire_late(self) -> None:
        wishes.expire_late(self.database, self)

    def stop_campaigns(self) -> None:
        wishes.stop_campaigns(self.database, self)

    def finish_stops(self) -> int:
        return stops.finish_stops(self.database, self.bench.providers)

    def look(self, job_id) -> Job:
        with self.database.transaction() as session:
            return queries.job(session, job_id)

    def end_of(self, job_id) -> tuple:
        job = self.look(job_id)
        return job.status, job.outcome, job.stopped_how


@pytest.fixture
def scene(bench, dispatched, worker_id) -> Scene:
    return Scene(bench, dispatched, worker_id)


# --- deadlines: what nobody has begun --------------------------------------------------------------


@pytest.mark.parametrize("column", ["deadline_at", "start_by_at"])
def test_what_waits_too_long_expires(scene, enqueue, column):
    job_id, in_time = enqueue(), enqueue()
    scene.pass_by(job_id, column)
    scene.pass_by(in_time, column, IN_AN_HOUR)

    scene.expire_late()

    assert scene.end_of(job_id) == (Status.POSTPROCESS_END, Outcome.EXPIRED, StopOutcome.NEVER_STARTED)
    assert scene.look(in_time).outcome is None
    assert scene.revoked == []  # nobody had heard of it


def test_a_message_that_is_on_its_way_too_late_is_revoked(scene, dispatched):
    claim = dispatched()
    scene.pass_by(claim.job_id)

    scene.expire_late()

    assert scene.look(claim.job_id).outcome is Outcome.EXPIRED
    assert scene.revoked == [(1, False)]


def test_a_job_that_waits_for_another_attempt_expires_by_its_deadline_and_had_begun_in_time(scene):
    jobs = []
    for column in ("deadline_at", "start_by_at"):
        claim, attempt_id = scene.start()
        scene.retry(claim, attempt_id, IN_AN_HOUR)
        scene.pass_by(claim.job_id, column)
        jobs.append(claim.job_id)

    scene.expire_late()

    assert [scene.look(job_id).outcome for job_id in jobs] == [Outcome.EXPIRED, None]


def test_a_failed_attempt_that_may_have_cost_money_is_not_forgotten(scene):
    claim, attempt_id = scene.start()
    failure = Failure("generation_failed", "it broke", billed=Billed.UNKNOWN)
    scene.retry(claim, attempt_id, failure=failure)
    scene.pass_by(claim.job_id)

    scene.expire_late()

    assert scene.look(claim.job_id).stopped_how is StopOutcome.UNKNOWN


# --- deadlines: what somebody has begun --------------------------------------------------------------


def test_what_runs_too_long_is_asked_to_stop_and_ends_expired(scene, provider):
    claim, _ = scene.start()
    scene.pass_by(claim.job_id)

    scene.expire_late()
    assert (scene.look(claim.job_id).stop_as, scene.revoked) == (Outcome.EXPIRED, [(1, True)])
    scene.expire_late()  # asked once
    scene.lose_the_worker()
    scene.finish_stops()

    assert scene.revoked == [(1, True)]
    assert provider.cancelled == [{"id": str(claim.job_id)}]
    assert scene.end_of(claim.job_id) == (Status.POSTPROCESS_END, Outcome.EXPIRED, StopOutcome.CANCELLED)


def test_a_worker_ends_a_job_that_is_too_late_as_expired(scene, dispatched):
    claim = dispatched()
    scene.pass_by(claim.job_id)
    with scene.database.transaction() as session:
        transitions.request_expiry(session, Job.id == claim.job_id)

    scene.run(claim)

    assert scene.end_of(claim.job_id) == (
        Status.POSTPROCESS_END,
        Outcome.EXPIRED,
        StopOutcome.NEVER_STARTED,
    )


def test_a_held_job_expires_and_nobody_knows_what_it_cost(scene):
    claim, attempt_id = scene.start()
    with scene.database.transaction() as session:
        transitions.forget(session, claim, attempt_id, LOST)
    scene.pass_by(claim.job_id)

    scene.expire_late()
    scene.finish_stops()

    assert scene.end_of(claim.job_id) == (Status.POSTPROCESS_END, Outcome.EXPIRED, StopOutcome.UNKNOWN)
    assert scene.look(claim.job_id).held_at is None


def test_a_picture_that_is_being_fetched_is_kept_however_late(scene):
    claim, attempt_id = scene.start()
    with scene.database.transaction() as session:
        transitions.end(session, claim, attempt_id)
        transitions.start_postprocess(session, claim, attempt_id)
    scene.pass_by(claim.job_id)

    scene.expire_late()

    assert scene.look(claim.job_id).kill_requested_at is None


def test_a_picture_finished_before_the_deadline_was_noticed_is_kept(scene, provider, dispatched):
    provider.cancel_outcome = CancelOutcome.FINISHED_FIRST
    claim, _ = scene.start()
    scene.lose_the_worker()
    scene.pass_by(claim.job_id)

    scene.expire_late()
    assert scene.finish_stops() == 1
    scene.expire_late()  # does not think better of it
    scene.run(dispatched(claim.job_id))

    assert scene.end_of(claim.job_id) == (
        Status.POSTPROCESS_END,
        Outcome.SUCCEEDED,
        StopOutcome.FINISHED_FIRST,
    )


# --- campaigns ---------------------------------------------------------------------------------------


@pytest.fixture
def campaign_id(database, project_id) -> int:
    with database.transaction() as session:
        campaign = Campaign(project_id=project_id, name="c")
        session.add(campaign)
        session.flush()
        return campaign.id


@pytest.fixture
def rows(database, project_id, campaign_id):
    """`rows(3)`: so many jobs of the campaign."""

    def add(count):
        jobs = [NewJob(project_id, "a/b", {"prompt": "x"}, campaign_id=campaign_id) for _ in range(count)]
        with database.transaction() as session:
            return [job.id for job in transitions.enqueue(session, jobs)]

    return add


def _wish(database, campaign_id, stop_as) -> None:
    with database.transaction() as session:
        campaign_stops.wish(session, campaign_id, stop_as)


def _stands(database, campaign_id) -> bool:
    with database.transaction() as session:
        return session.get_one(Campaign, campaign_id).stop_as is not None


def test_what_a_request_did_not_come_to_is_stopped_batch_by_batch(
    scene, rows, campaign_id, enqueue, monkeypatch
):
    monkeypatch.setattr(wishes, "BATCH", 2)
    monkeypatch.setattr(wishes, "ENOUGH_S", 0)
    jobs, other = rows(7), enqueue()
    _wish(scene.database, campaign_id, Outcome.CANCELLED)

    def left() -> int:
        with scene.database.transaction() as session:
            return session.scalar(select(func.count()).where(Job.id.in_(jobs), Job.outcome.is_(None)))

    seen = []
    for _ in range(4):
        scene.stop_campaigns()
        seen.append(left())

    assert seen == [5, 3, 1, 0]
    assert scene.look(other).outcome is None


def test_a_campaign_that_a_request_is_stopping_is_left_to_it(scene, rows, campaign_id):
    [job_id] = rows(1)
    _wish(scene.database, campaign_id, Outcome.KILLED)

    with campaign_stops.in_hand(scene.database, campaign_id) as is_ours:
        scene.stop_campaigns()
        assert (is_ours, scene.look(job_id).outcome) == (True, None)

    scene.stop_campaigns()
    assert scene.look(job_id).outcome is Outcome.CANCELLED


@pytest.mark.parametrize(("stop_as", "is_asked"), [(Outcome.CANCELLED, False), (Outcome.KILLED, True)])
def test_what_runs_of_it_is_asked_only_if_all_is_to_stop(scene, rows, campaign_id, stop_as, is_asked):
    [job_id] = rows(1)
    scene.start(job_id)
    _wish(scene.database, campaign_id, stop_as)

    scene.stop_campaigns()

    assert (scene.look(job_id).kill_requested_at is not None) == is_asked
    assert scene.revoked == ([(1, True)] if is_asked else [])


def test_a_running_job_that_comes_back_for_another_attempt_is_cancelled_with_its_campaign(
    scene, rows, campaign_id
):
    [job_id] = rows(1)
    claim, attempt_id = scene.start(job_id)
    _wish(scene.database, campaign_id, Outcome.CANCELLED)
    scene.stop_campaigns()
    scene.retry(claim, attempt_id, IN_AN_HOUR)

    scene.stop_campaigns()

    assert scene.look(job_id).outcome is Outcome.CANCELLED


def test_the_wish_is_taken_back_when_nothing_lives(scene, rows, campaign_id, monkeypatch):
    rows(1)
    _wish(scene.database, campaign_id, Outcome.KILLED)

    scene.stop_campaigns()
    assert _stands(scene.database, campaign_id)  # rows may have been on their way in
    monkeypatch.setattr(campaign_stops, "SETTLES_AFTER", timedelta(0))
    scene.stop_campaigns()

    assert not _stands(scene.database, campaign_id)


def test_the_sweep_does_all_of_it(scene, rows, campaign_id, enqueue):
    [row], lonely = rows(1), enqueue()
    scene.pass_by(lonely)
    _wish(scene.database, campaign_id, Outcome.KILLED)

    sweep.sweep(scene.database, scene.bench.broker)

    assert (scene.look(row).outcome, scene.look(lonely).outcome) == (
        Outcome.CANCELLED,
        Outcome.EXPIRED,
    )
