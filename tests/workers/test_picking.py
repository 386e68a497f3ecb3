"""Which of the waiting jobs are handed out: in the fair turn, within limits and budgets."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from models import campaign_stops, limits, queries, transitions
from models.attempts import Cost, Failure
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import Outcome, StopOutcome
from models.limit import WHOLE, Limit
from models.project import AuthMode, Project
from models.transitions import Claim, NewJob
from models.worker import LOCK_NAMESPACE, Worker
from workers import dispatch as dispatching
from workers import picking
from workers.dispatch import dispatch

MODEL = "a/b"


@dataclass(frozen=True)
class Sold:
    """An offer with a flat price."""

    provider: str
    price_usd: Decimal | None = Decimal("0.04")

    def price(self, _parameters: Mapping[str, Any]) -> Decimal | None:
        return self.price_usd


ONE = {MODEL: [Sold("wiro")]}
UNPRICED = {MODEL: [Sold("wiro", None)]}
TWO = {MODEL: [Sold("wiro", Decimal("0.05")), Sold("runware")]}


class Hall:
    """A database with workers whose slots are handed out."""

    def __init__(self, database, project_id) -> None:
        self.database = database
        self.project_id = project_id

    def project(self, name, **columns) -> int:
        return self._add(Project(name=name, auth=AuthMode.KEY, api_key=name, api_secret="s", **columns))

    def campaign(self, name="c", project_id=None, **columns) -> int:
        return self._add(Campaign(name=name, project_id=project_id or self.project_id, **columns))

    def limit(self, provider="wiro", model_slug=WHOLE, **columns) -> None:
        with self.database.transaction() as session:
            session.merge(Limit(provider=provider, model_slug=model_slug, **columns))

    def change(self, table, number, **columns) -> None:
        with self.database.transaction() as session:
            session.execute(update(table).where(table.id == number).values(**columns))

    def enqueue(self, count=1, project_id=None, slug=MODEL, **columns) -> list[int]:
        new = NewJob(project_id or self.project_id, slug, {}, **columns)
        with self.database.transaction() as session:
            return [job.id for job in transitions.enqueue(session, [new] * count)]

    def dispatch(self, offers=ONE, **documented) -> int:
        """Until nothing more is handed out; how many."""
        handed_out = 0
        while some := dispatch(self.database, Deaf(), offers, documented):
            handed_out += some
        return handed_out

    def in_flight(self) -> set[int]:
        with self.database.transaction() as session:
            where = (Job.dispatched_at.is_not(None), Job.outcome.is_(None))
            return set(session.scalars(select(Job.id).where(*where)))

    def at(self) -> Counter[str]:
        with self.database.transaction() as session:
            uses = limits.in_use(session)
            return sum((Counter({use.provider: use.slots}) for use in uses), Counter())

    def run(self, job_id, worker_id) -> tuple[Claim, int]:
        """The dispatched job's attempt is committed as an intent."""
        with self.database.transaction() as session:
            job = queries.job(session, job_id)
            claim = Claim(job.id, job.claim)
            transitions.accept(session, claim, worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            return claim, transitions.assign(session, claim, provider=job.provider, remote_id="x").id

    def finish(self, job_id, worker_id, usd) -> None:
        """It has its picture, for so much."""
        claim, attempt_id = self.run(job_id, worker_id)
        with self.database.transaction() as session:
            transitions.record_ticket(session, attempt_id, {"id": "t"})
            transitions.start(session, claim, attempt_id)
            transitions.end(session, claim, attempt_id)
            transitions.start_postprocess(session, claim, attempt_id)
            transitions.succeed(session, claim, attempt_id, [], Cost(usd, is_estimate=False))

    def _add(self, record) -> int:
        with self.database.transaction() as session:
            session.add(record)
            session.flush()
            return record.id


class Deaf:
    """A broker that hears everything and tells nobody."""

    def was_wiped(self) -> bool:
        return False

    def publish(self, messages) -> None:
        pass


@pytest.fixture
def slots(request) -> int:
    return getattr(request, "param", 8)


@pytest.fixture
def hall(database, project_id, worker_id, slots):
    """One live worker with so many slots."""
    with database.transaction() as session:
        session.execute(update(Worker).values(concurrency=slots))
    with database.engine.connect() as connection:
        connection.execute(select(func.pg_advisory_lock(LOCK_NAMESPACE, worker_id)))
        connection.commit()
        yield Hall(database, project_id)
        connection.execute(select(func.pg_advisory_unlock(LOCK_NAMESPACE, worker_id)))


def _of(hall, jobs) -> int:
    """How many of these are in flight."""
    return len(hall.in_flight() & set(jobs))


# --- the fair turn -----------------------------------------------------------------------------------


def test_projects_share_the_slots_whoever_came_first(hall):
    crowd = hall.enqueue(50)
    other = hall.enqueue(50, project_id=hall.project("other"))

    assert hall.dispatch() == 8
    assert (_of(hall, crowd), _of(hall, other)) == (4, 4)


def test_what_one_project_does_not_use_the_other_gets(hall):
    few = hall.enqueue(2)
    other = hall.enqueue(50, project_id=hall.project("other"))

    assert hall.dispatch() == 8
    assert (_of(hall, few), _of(hall, other)) == (2, 6)


def test_a_weight_counts(hall):
    light = hall.enqueue(50)
    heavy = hall.enqueue(50, project_id=hall.project("heavy", weight=3))

    hall.dispatch()

    assert (_of(hall, light), _of(hall, heavy)) == (2, 6)


@pytest.mark.parametrize("slots", [1], indirect=True)
def test_the_single_job_of_another_project_gets_the_next_slot(hall, worker_id):
    hall.enqueue(300)
    for _ in range(5):
        hall.dispatch()
        [running] = hall.in_flight()
        hall.finish(running, worker_id, Decimal("0.04"))
    [single] = hall.enqueue(1, project_id=hall.project("other"))

    hall.dispatch()

    assert hall.in_flight() == {single}


def test_within_a_lane_the_oldest_goes_first_across_kinds(hall):
    jobs = [hall.enqueue(1, wanted_providers=("wiro",) if number % 2 else None)[0] for number in range(20)]

    hall.dispatch()

    assert hall.in_flight() == set(jobs[:8])


def test_a_million_rows_of_what_nobody_serves_hold_up_nobody(hall):
    hall.enqueue(40, wanted_providers=("bfl",), priority=9)
    served = hall.enqueue(3)

    assert hall.dispatch() == 3
    assert hall.in_flight() == set(served)


def test_the_turn_is_remembered_by_the_rows_of_lanes_alone(hall, worker_id):
    hall.enqueue(50)
    other = hall.enqueue(50, project_id=hall.project("other"))
    for _ in range(3):
        hall.dispatch()
        for job_id in hall.in_flight():
            hall.finish(job_id, worker_id, None)

    with hall.database.transaction() as session:
        lanes = dict(session.execute(text("SELECT key, recent_jobs FROM lanes")).all())

    assert lanes[f"{hall.project_id}"] == lanes[f"{hall.project_id}/0/0"]
    assert lanes["*"] == pytest.approx(2 * lanes[f"{hall.project_id}"])
    assert 6 < lanes[f"{hall.project_id}"] <= 12  # those of a while ago have faded
    assert sum(job.outcome is not None for job in _jobs(hall, other)) == 12


def _jobs(hall, job_ids) -> list[Job]:
    with hall.database.transaction() as session:
        return list(session.scalars(select(Job).where(Job.id.in_(job_ids))))


def test_suspects_run_one_at_a_time(hall):
    suspects, innocent = hall.enqueue(3), hall.enqueue(2)
    with hall.database.transaction() as session:
        session.execute(update(Job).where(Job.id.in_(suspects)).values(worker_deaths=2))

    hall.dispatch()

    assert hall.in_flight() == {suspects[0], *innocent}


def test_suspects_that_cannot_go_hold_up_no_other(hall):
    other = hall.project("other")
    paused = hall.enqueue(120)
    hall.enqueue(120, slug="c/d")  # nobody sells it
    [free] = hall.enqueue(1, project_id=other)
    with hall.database.transaction() as session:
        session.execute(update(Job).values(worker_deaths=2))
    hall.change(Project, hall.project_id, paused_at=func.now())

    hall.dispatch()

    assert paused[0] < free
    assert hall.in_flight() == {free}


# --- places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limited",
    [
        lambda hall: hall.limit(max_in_flight=3),
        lambda hall: hall.limit(model_slug=MODEL, max_in_flight=3),
        lambda hall: hall.limit(learnt_in_flight=3, learnt_at=func.clock_timestamp()),
        lambda hall: hall.change(Project, hall.project_id, max_in_flight=3),
    ],
    ids=["provider", "offer", "learnt", "project"],
)
def test_no_more_than_the_limit_are_in_flight(hall, limited):
    hall.enqueue(20)
    limited(hall)

    assert hall.dispatch() == 3
    assert hall.dispatch() == 0


def test_a_campaign_may_have_a_limit_of_its_own(hall):
    campaign = hall.campaign(max_in_flight=2)
    limited, free = hall.enqueue(20, campaign_id=campaign), hall.enqueue(20)

    hall.dispatch()

    assert (_of(hall, limited), _of(hall, free)) == (2, 6)


def test_what_a_provider_documents_holds_until_an_operator_knows_better(hall):
    hall.enqueue(20)

    assert hall.dispatch(wiro=2) == 2
    hall.limit(max_in_flight=5)
    assert hall.dispatch(wiro=2) == 3


def test_what_does_not_fit_one_provider_goes_to_the_next(hall):
    hall.enqueue(20)
    hall.limit(max_in_flight=3)

    hall.dispatch(TWO)

    assert hall.at() == {"wiro": 3, "runware": 5}


def test_a_job_that_waits_with_an_open_attempt_keeps_its_place_and_needs_no_other(hall, worker_id):
    [begun] = hall.enqueue()
    hall.limit(max_in_flight=1)
    hall.dispatch()
    claim, attempt_id = hall.run(begun, worker_id)
    with hall.database.transaction() as session:
        transitions.record_ticket(session, attempt_id, {"id": "t"})
        transitions.hand_over(session, claim, attempt_id, "asked again later", timedelta(hours=1))
    hall.enqueue(5)

    assert hall.dispatch() == 0
    hall.change(Job, begun, is_due=True)
    assert hall.dispatch() == 1
    assert hall.in_flight() == {begun}


def test_the_place_of_a_held_job_is_free(hall, worker_id):
    [held, other] = hall.enqueue(2)
    hall.limit(max_in_flight=1)
    hall.dispatch()
    claim, attempt_id = hall.run(held, worker_id)
    with hall.database.transaction() as session:
        transitions.hold(session, claim, attempt_id, Failure("submission_unknown", "lost"))

    hall.dispatch()

    assert hall.in_flight() == {other}


def test_the_slots_of_dead_workers_come_back(hall, worker_id):
    jobs = hall.enqueue(8)
    hall.dispatch()
    for job_id in jobs:
        hall.run(job_id, worker_id)
    more = hall.enqueue(3)
    assert hall.dispatch() == 0

    with hall.database.transaction() as session:
        transitions.rescue(session, Job.worker_id == worker_id, "its worker was killed")
    hall.limit(max_in_flight=9)

    assert hall.dispatch() == 8  # on another worker, where they were begun; they keep their places
    assert _of(hall, more) == 0


def test_a_provider_with_a_pace_gets_no_more_than_it_can_soon_take(hall, worker_id):
    jobs = hall.enqueue(20)
    hall.limit(per_second=1.0)

    assert hall.dispatch() == 3
    claim, attempt_id = hall.run(jobs[0], worker_id)
    with hall.database.transaction() as session:
        transitions.record_ticket(session, attempt_id, {"id": "t"})
        transitions.start(session, claim, attempt_id)

    assert hall.dispatch() == 1


# --- pauses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "paused",
    [
        lambda hall: hall.limit(paused_at=func.now()),
        lambda hall: hall.limit(model_slug=MODEL, paused_at=func.now()),
        lambda hall: hall.limit(quiet_until=func.now() + timedelta(minutes=1)),
        lambda hall: hall.change(Project, hall.project_id, paused_at=func.now()),
    ],
    ids=["provider", "offer", "quiet", "project"],
)
def test_nothing_new_is_sent_where_there_is_a_pause_and_what_is_begun_goes_on(hall, worker_id, paused):
    [begun, *_] = hall.enqueue(1)
    hall.dispatch()
    claim, attempt_id = hall.run(begun, worker_id)
    with hall.database.transaction() as session:
        transitions.record_ticket(session, attempt_id, {"id": "t"})
        transitions.hand_over(session, claim, attempt_id, "shutting down", timedelta(0))
    hall.enqueue(5)
    paused(hall)

    assert hall.dispatch() == 1
    assert hall.in_flight() == {begun}


@pytest.mark.parametrize("columns", [{"paused_at": func.now()}, {"stop_as": "cancelled"}])
def test_a_paused_or_stopping_campaign_holds_up_nobody(hall, columns):
    paused = hall.enqueue(5, campaign_id=hall.campaign(**columns))
    free = hall.enqueue(2)

    hall.dispatch()

    assert (_of(hall, paused), _of(hall, free)) == (0, 2)


def test_a_held_job_that_is_sent_again_while_its_campaign_is_stopped_is_not_bought(hall, worker_id):
    campaign_id = hall.campaign()
    [held] = hall.enqueue(1, campaign_id=campaign_id)
    hall.dispatch()
    claim, attempt_id = hall.run(held, worker_id)
    with hall.database.transaction() as session:
        transitions.hold(session, claim, attempt_id, Failure("submission_unknown", "lost"))
        campaign_stops.wish(session, campaign_id, Outcome.CANCELLED)
        assert transitions.resend(session, held, "somebody decided so")

    assert hall.dispatch() == 0
    with hall.database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        assert not campaign_stops.end_if_nothing_lives(session, campaign)
        jobs = campaign_stops.jobs_of(hall.project_id, campaign_id)
        [ended] = transitions.cancel_waiting(session, jobs)
    assert ended.stopped_how is StopOutcome.UNKNOWN


# --- budgets -----------------------------------------------------------------------------------------


def _spent(hall) -> Decimal:
    with hall.database.transaction() as session:
        return session.get_one(Project, hall.project_id).spent_usd


def test_no_more_is_handed_out_than_the_budget_can_pay(hall):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.13"))
    jobs = hall.enqueue(20)

    assert hall.dispatch() == 3
    assert {job.reserved_usd for job in _jobs(hall, jobs[:3])} == {Decimal("0.04")}
    assert hall.dispatch() == 0


def test_what_was_settled_for_less_can_be_spent_again(hall, worker_id):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.13"))
    jobs = hall.enqueue(20)
    hall.dispatch()
    for job_id in jobs[:3]:
        hall.finish(job_id, worker_id, Decimal("0.03"))

    assert _spent(hall) == Decimal("0.09")
    assert hall.dispatch() == 1


def test_what_costs_more_than_was_reserved_stops_the_next(hall, worker_id):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.13"))
    [first, *_] = hall.enqueue(20)
    hall.limit(max_in_flight=1)
    hall.dispatch()
    hall.finish(first, worker_id, Decimal("0.10"))

    assert hall.dispatch() == 0


def test_a_job_that_goes_back_without_an_attempt_gives_back_what_was_reserved(hall, worker_id):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.05"))
    [refused, other] = hall.enqueue(2)
    hall.dispatch()
    claim, attempt_id = hall.run(refused, worker_id)
    with hall.database.transaction() as session:
        failure = Failure("rate_limited", "429", billed="no")
        transitions.retry(session, claim, attempt_id, failure, timedelta(hours=1))

    hall.dispatch()

    assert hall.in_flight() == {other}


def test_what_may_have_cost_something_counts_as_it_was_reserved(hall, worker_id):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.05"))
    [lost, _] = hall.enqueue(2)
    hall.dispatch()
    claim, attempt_id = hall.run(lost, worker_id)
    with hall.database.transaction() as session:
        transitions.fail(session, claim, Failure("timed_out", "late", billed="unknown"), attempt_id)

    assert _spent(hall) == Decimal("0.04")
    assert hall.dispatch() == 0


def test_a_held_job_keeps_what_is_reserved_for_it(hall, worker_id):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.05"))
    [held, _] = hall.enqueue(2)
    hall.dispatch()
    claim, attempt_id = hall.run(held, worker_id)
    with hall.database.transaction() as session:
        transitions.hold(session, claim, attempt_id, Failure("submission_unknown", "lost"))

    assert hall.dispatch() == 0


def test_a_campaign_has_a_budget_of_its_own(hall):
    poor = hall.enqueue(20, campaign_id=hall.campaign(budget_usd=Decimal("0.09")))
    rich = hall.enqueue(20)

    hall.dispatch()

    assert (_of(hall, poor), _of(hall, rich)) == (2, 6)


def test_a_job_goes_where_the_budget_reaches(hall):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.09"))
    hall.enqueue(5)

    hall.dispatch(TWO)

    assert hall.at() == {"wiro": 1, "runware": 1}


def test_without_a_known_price_nothing_is_bought_under_a_budget(hall, worker_id):
    hall.change(Project, hall.project_id, budget_usd=Decimal(1))
    free = hall.project("free")
    jobs = hall.enqueue(3)

    assert hall.dispatch(UNPRICED) == 0

    [known] = hall.enqueue(1, project_id=free)
    assert hall.dispatch(UNPRICED) == 1
    hall.finish(known, worker_id, Decimal("0.70"))
    assert hall.dispatch(UNPRICED) == 1  # of three: it may cost 0.70 again

    hall.limit(price_usd=Decimal("0.10"))
    assert hall.dispatch(UNPRICED) == 2
    assert hall.in_flight() == set(jobs)


@pytest.fixture
def unpriced_in_flight(hall):
    """Three jobs that were sent without a budget, at a price that nobody knows."""
    jobs = hall.enqueue(3)
    hall.dispatch(UNPRICED)
    return jobs


def test_a_budget_that_comes_later_waits_for_what_may_cost_anything(hall, unpriced_in_flight, worker_id):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.30"))
    hall.enqueue(20)

    assert hall.dispatch() == 0
    for job_id in unpriced_in_flight:
        hall.finish(job_id, worker_id, Decimal("0.09"))

    assert hall.dispatch() == 0  # 0.03 are left


def test_what_is_free_does_not_wait_for_what_may_cost_anything(hall, unpriced_in_flight):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.30"))
    hall.enqueue(2)

    assert unpriced_in_flight
    assert hall.dispatch({MODEL: [Sold("wiro", Decimal(0))]}) == 2


@pytest.mark.parametrize("by", ["the operator", "experience"])
def test_a_budget_that_comes_later_counts_what_is_in_flight_at_its_highest_price(
    hall, unpriced_in_flight, worker_id, by
):
    if by == "the operator":
        hall.limit(price_usd=Decimal("0.05"))
    else:
        [known] = hall.enqueue(1, project_id=hall.project("free"))
        hall.dispatch(UNPRICED)
        hall.finish(known, worker_id, Decimal("0.05"))
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.30"))
    hall.enqueue(20)

    assert hall.dispatch(UNPRICED) == 3  # at 0.05 each, as the three before
    assert unpriced_in_flight


def test_a_campaign_does_not_wait_for_what_its_project_has_in_flight(hall, unpriced_in_flight):
    hall.enqueue(20, campaign_id=hall.campaign(budget_usd=Decimal("0.09")))

    assert unpriced_in_flight
    assert hall.dispatch() == 2


def test_dispatchers_at_once_spend_no_dollar_twice(hall):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.20"))
    hall.enqueue(50)

    _at_once(hall.dispatch, times=4)

    assert len(hall.in_flight()) == 5


# --- races -------------------------------------------------------------------------------------------


def _at_once(*work, times=1) -> None:
    threads = [threading.Thread(target=one) for one in work * times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_dispatchers_at_once_keep_the_limit(hall):
    hall.enqueue(50)
    hall.limit(max_in_flight=5)

    _at_once(hall.dispatch, times=4)

    assert len(hall.in_flight()) == 5


def test_a_job_that_somebody_is_just_stopping_is_left_to_them(hall):
    stopped, *others = hall.enqueue(3)
    with hall.database.engine.connect() as stopper:
        stopper.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": stopped})

        assert hall.dispatch() == 2

    assert hall.in_flight() == set(others)


def test_of_a_cancel_and_a_dispatch_at_once_either_is_whole(hall):
    jobs = hall.enqueue(8)

    def cancel() -> None:
        for job_id in jobs:
            with hall.database.transaction() as session:
                transitions.cancel(session, job_id)

    _at_once(cancel, hall.dispatch)

    ended = {job.id for job in _jobs(hall, jobs) if job.outcome is not None}
    assert ended | hall.in_flight() == set(jobs)
    assert not ended & hall.in_flight()


def test_after_a_pause_is_committed_nothing_new_is_handed_out(hall):
    hall.enqueue(50)
    hall.limit(max_in_flight=1)
    hall.dispatch()

    hall.change(Project, hall.project_id, paused_at=func.now())
    hall.limit(max_in_flight=8)

    assert hall.dispatch() == 0


def test_what_was_not_bought_after_all_is_not_handed_out_as_begun(hall, worker_id, monkeypatch):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.04"))
    [begun] = hall.enqueue(1)
    hall.dispatch()
    claim, attempt_id = hall.run(begun, worker_id)
    with hall.database.transaction() as session:
        transitions.rescue(session, Job.id == claim.job_id, "worker was silent")
    hall.change(Project, hall.project_id, paused_at=func.now())

    real_picks = picking.picks

    def picks(*told):
        picked = real_picks(*told)
        with hall.database.transaction() as session:
            transitions.record_unbought(session, attempt_id, "its worker was frozen")
        return picked

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(dispatching.picking, "picks", picks)
        hall.dispatch()

    assert hall.in_flight() == set()


def test_a_settlement_between_two_looks_is_never_missed(hall, worker_id):
    hall.change(Project, hall.project_id, budget_usd=Decimal("0.13"))
    jobs = hall.enqueue(40)
    hall.dispatch()

    def settle() -> None:
        for job_id in jobs[:3]:
            hall.finish(job_id, worker_id, Decimal("0.04"))

    _at_once(settle, hall.dispatch, hall.dispatch)
    hall.dispatch()

    with hall.database.transaction() as session:
        reserved = session.execute(
            select(func.coalesce(func.sum(Job.reserved_usd), 0)).where(Job.outcome.is_(None))
        ).scalar_one()
    assert _spent(hall) + reserved <= Decimal("0.13")
