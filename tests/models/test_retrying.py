"""A job that brought nothing is tried again as another job; what it was stays as it was."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from models import kinds, queries, retries, transitions
from models.attempts import Cost, Failure
from models.campaign import Campaign
from models.job import Job
from models.lifecycle import Billed, OnUnknown, Outcome, Route, Status
from models.queries import JobFilter
from models.transitions import Again, NewJob

ANY = JobFilter(outcomes=(Outcome.FAILED, Outcome.EXPIRED))


@pytest.fixture
def enqueue(database, project_id):
    """`enqueue(**columns) -> id` of a job of `a/b`."""

    def make(**columns) -> int:
        with database.transaction() as session:
            [job] = transitions.enqueue(session, [NewJob(project_id, "a/b", {"prompt": "x"}, **columns)])
            return job.id

    return make


@pytest.fixture
def fail(database, worker_id):
    """`fail(job_id, billed)` ends a job by a failed attempt."""

    def end(job_id: int, billed: Billed | None = Billed.NO) -> int:
        with database.transaction() as session:
            [row] = transitions.dispatch(session, "sandbox", [job_id])
            claim = transitions.Claim(row.id, row.claim)
            transitions.accept(session, claim, worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
            transitions.fail(session, claim, Failure("broke", "it broke", billed=billed), attempt.id)
            if billed is None:  # as an attempt that ended before the column was there
                session.execute(text("UPDATE attempts SET billed = NULL"))
        return job_id

    return end


def _try(database, *job_ids, even_if_paid=False, excluded=None):
    excluded = excluded or {}
    wanted = [Again(job_id, excluded, kinds.word_of("a/b", None, excluded)) for job_id in job_ids]
    with database.transaction() as session:
        return transitions.try_again(session, wanted, even_if_paid=even_if_paid)


def _job(database, job_id) -> Job:
    with database.transaction() as session:
        return queries.job(session, job_id)


def _whole(database, job_id) -> list[object]:
    """Everything that is written of a job."""
    statements = (
        "SELECT to_jsonb(jobs) FROM jobs WHERE id = :id",
        "SELECT jsonb_agg(attempts ORDER BY id) FROM attempts WHERE job_id = :id",
        "SELECT jsonb_agg(job_events ORDER BY seq) FROM job_events WHERE job_id = :id",
    )
    with database.transaction() as session:
        return [session.scalar(text(statement), {"id": job_id}) for statement in statements]


def test_a_retry_is_a_new_job_with_the_same_terms_and_its_own_trail(database, enqueue, fail):
    terms = {
        "priority": 7,
        "route": Route.PRICE,
        "on_unknown": OnUnknown.FAIL,
        "retry": {"max_attempts": 2},
        "callback_url": "https://example.com/",
        "webhook_url": "https://example.com/hook",
        "webhook_events": ["job.failed"],
    }
    old_id = fail(enqueue(**terms))

    made = _try(database, old_id, excluded={"wiro": "it takes no x"})[old_id]

    new = _job(database, made.id)
    assert made.is_new
    assert (new.retry_of, new.status, new.outcome, new.claim) == (old_id, Status.QUEUE, None, 0)
    assert {name: getattr(new, name) for name in terms} == terms
    assert (new.parameters, new.excluded, new.kind) == (
        {"prompt": "x"},
        {"wiro": "it takes no x"},
        "a/b|*|wiro",
    )
    with database.transaction() as session:
        [began] = queries.trail(session, new.id)
    assert (began.seq, began.status, began.reason) == (1, Status.QUEUE, f"tries job {old_id} again")


def test_the_old_job_its_attempts_and_its_trail_stay_as_they_are(database, enqueue, fail):
    old_id = fail(enqueue())
    before = _whole(database, old_id)

    _try(database, old_id)

    assert _whole(database, old_id) == before


def test_asked_twice_it_is_tried_once(database, enqueue, fail):
    old_id = fail(enqueue())

    first, second = _try(database, old_id)[old_id], _try(database, old_id)[old_id]

    assert (first.id, first.uuid, first.socket_token) == (second.id, second.uuid, second.socket_token)
    assert (first.is_new, second.is_new) == (True, False)


def test_of_two_who_ask_at_once_one_makes_the_job(database, enqueue, fail, eventually):
    old_id = fail(enqueue())
    answers = []

    def ask() -> None:
        answers.append(_try(database, old_id)[old_id])

    with database.transaction() as session:
        again = Again(old_id, {}, "a/b|*|")
        first = transitions.try_again(session, [again], even_if_paid=False)[old_id]
        other = threading.Thread(target=ask)
        other.start()
        eventually(lambda: _waits_for_a_lock(database))
    other.join()

    assert [(one.id, one.is_new) for one in (first, *answers)] == [(first.id, True), (first.id, False)]


def _waits_for_a_lock(database) -> bool:
    with database.transaction() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


@pytest.mark.parametrize("billed", [Billed.UNKNOWN, Billed.YES, None])
def test_what_may_have_cost_money_is_bought_again_only_on_demand(database, enqueue, fail, billed):
    old_id = fail(enqueue(), billed)

    careless, wanted = _try(database, old_id), _try(database, old_id, even_if_paid=True)

    assert careless == {}
    assert wanted[old_id].is_new


def test_what_has_not_ended_or_succeeded_is_not_tried_again(
    database, enqueue, worker_id, dispatched_to_the_end
):
    waiting, done = enqueue(), dispatched_to_the_end(enqueue())

    assert _try(database, waiting, done, even_if_paid=True) == {}


@pytest.fixture
def dispatched_to_the_end(database, worker_id):
    """`dispatched_to_the_end(job_id)`: it succeeds."""

    def succeed(job_id: int) -> int:
        with database.transaction() as session:
            [row] = transitions.dispatch(session, "sandbox", [job_id])
            claim = transitions.Claim(row.id, row.claim)
            transitions.accept(session, claim, worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
            transitions.start(session, claim, attempt.id)
            transitions.end(session, claim, attempt.id)
            transitions.start_postprocess(session, claim, attempt.id)
            transitions.succeed(session, claim, attempt.id, [], Cost(None, is_estimate=False))
        return job_id

    return succeed


def test_a_deadline_is_as_far_away_as_it_was(database, enqueue):
    old_id = enqueue(deadline=timedelta(hours=2), start_within=timedelta(hours=1))
    with database.transaction() as session:
        session.execute(
            text(
                "UPDATE jobs SET created_at = created_at - interval '1 day',"
                " deadline_at = deadline_at - interval '1 day',"
                " start_by_at = start_by_at - interval '1 day'"
            )
        )
        transitions.expire(session, Job.id == old_id, "too late")

    made = _try(database, old_id)[old_id]

    new = _job(database, made.id)
    assert (new.deadline_at - new.created_at, new.start_by_at - new.created_at) == (
        timedelta(hours=2),
        timedelta(hours=1),
    )
    assert new.created_at > _job(database, old_id).deadline_at


def test_the_row_of_a_campaign_is_the_newest_of_its_chain(database, project_id, enqueue, fail):
    campaign_id = _campaign(database, project_id)
    row_1, row_2 = (
        enqueue(campaign_id=campaign_id, custom_id=name, deadline=None) for name in ("row-1", "row-2")
    )
    first = _try(database, fail(row_1))[row_1].id
    second = _try(database, fail(first))[first].id

    with database.transaction() as session:
        counts = queries.campaign_counts(session, [campaign_id])
        retried = queries.retried_by_campaign(session, [campaign_id])

    assert counts == {campaign_id: {"task_queue": 2}}
    assert retried == {campaign_id: 2}
    assert _job(database, second).custom_id == "row-1"
    assert _job(database, row_2).retry_of is None


def test_a_row_that_is_sent_again_is_its_first_job(database, project_id, enqueue, fail):
    campaign_id = _campaign(database, project_id)
    row = {"campaign_id": campaign_id, "custom_id": "row-1"}
    old_id = fail(enqueue(**row))
    _try(database, old_id)

    assert enqueue(**row) == old_id


def _campaign(database, project_id) -> int:
    with database.transaction() as session:
        campaign = Campaign(project_id=project_id, name="c")
        session.add(campaign)
        session.flush()
        return campaign.id


def test_what_is_left_is_what_brought_nothing_and_was_not_tried_again(
    database, project_id, enqueue, fail, dispatched_to_the_end
):
    tried, paid, free = fail(enqueue()), fail(enqueue(), Billed.UNKNOWN), fail(enqueue())
    enqueue()
    dispatched_to_the_end(enqueue())
    _try(database, tried)

    with database.transaction() as session:
        found = retries.left(session, project_id, ANY, 10)
        count = retries.count_left(session, project_id, ANY)

    assert [(old.id, old.may_have_cost) for old in found] == [(free, False), (paid, True)]
    assert (count.jobs, count.may_have_cost) == (2, 1)


def test_by_error_code_and_model(database, project_id, enqueue, fail):
    broke = fail(enqueue())
    with database.transaction() as session:
        by_code = [
            [old.id for old in retries.left(session, project_id, JobFilter(error_codes=(code,)), 10)]
            for code in ("broke", "expired")
        ]

    assert by_code == [[broke], []]


def test_many_are_tried_again_by_a_statement_and_an_interrupted_one_is_simply_repeated(database, project_id):
    job_ids = _many_failed(database, project_id, 300)

    first = _try(database, *job_ids[:200])
    all_of_them = _try(database, *job_ids)

    assert sum(job.is_new for job in first.values()) == 200
    assert sum(job.is_new for job in all_of_them.values()) == 100
    assert {old: all_of_them[old].id for old in first} == {old: job.id for old, job in first.items()}
    with database.transaction() as session:
        assert retries.count_left(session, project_id, ANY).jobs == 0


def _many_failed(database, project_id, count) -> list[int]:
    with database.transaction() as session:
        jobs = [NewJob(project_id, "a/b", {"prompt": "x"}) for _ in range(count)]
        ids = [job.id for job in transitions.enqueue(session, jobs)]
        transitions.expire(session, Job.id.in_(ids), "too late")
    return ids
