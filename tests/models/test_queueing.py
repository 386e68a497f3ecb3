"""Jobs begin: many at once, each with its names and its first event."""

import threading
from datetime import timedelta
from types import MappingProxyType

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from models import kinds, queries, transitions
from models.campaign import Campaign
from models.event import JobEvent
from models.job import Job
from models.lifecycle import OnUnknown, Route, Status
from models.transitions import NewJob
from models.transitions.queueing import JOBS_AT_ONCE

MODEL = "a/b"


@pytest.fixture
def campaign_id(database, project_id):
    with database.transaction() as session:
        campaign = Campaign(project_id=project_id, name="c")
        session.add(campaign)
        session.flush()
        return campaign.id


@pytest.fixture
def rows(project_id, campaign_id):
    """`rows(["a", "b"], **columns)`: jobs of one campaign, by what the caller calls them."""

    def make(custom_ids, **columns):
        return [
            NewJob(project_id, MODEL, {"prompt": one}, campaign_id=campaign_id, custom_id=one, **columns)
            for one in custom_ids
        ]

    return make


def enqueued(database, jobs):
    with database.transaction() as session:
        return transitions.enqueue(session, jobs)


def read(database, job_id):
    with database.transaction() as session:
        return queries.job(session, job_id)


def counted(database, record):
    with database.transaction() as session:
        return session.execute(select(func.count()).select_from(record)).scalar_one()


def test_nothing_to_enqueue_is_nothing_enqueued(database):
    assert enqueued(database, []) == []


def test_a_job_is_stored_as_it_was_asked_for(database, project_id, campaign_id):
    asked = NewJob(
        project_id,
        MODEL,
        MappingProxyType({"prompt": 'a "\\" and\na \ttab, ☃ and {nested: 1}', "size": [1, 2.5, None]}),
        priority=-7,
        wanted_providers=("bfl", 'odd,"name"'),
        route=Route.PRICE,
        on_unknown=OnUnknown.RESEND,
        excluded=MappingProxyType({"wiro": "it takes no seed"}),
        callback_url="https://example.org/?a=1&b='2'",
        campaign_id=campaign_id,
        custom_id="row 'one' \\N",
        start_within=timedelta(seconds=90.000001),
        deadline=timedelta(days=400, hours=1),
        retry={"max_attempts": 2},
        tags=("spring", 'odd,"tag"'),
    )

    [names] = enqueued(database, [asked])

    job = read(database, names.id)
    for name in ("priority", "route", "on_unknown", "callback_url", "campaign_id", "custom_id", "retry"):
        assert getattr(job, name) == getattr(asked, name)
    assert job.start_by_at - job.created_at == asked.start_within
    assert job.deadline_at - job.created_at == asked.deadline
    assert (job.parameters, job.excluded) == (dict(asked.parameters), dict(asked.excluded))
    assert job.wanted_providers == list(asked.wanted_providers)
    assert job.tags == list(asked.tags)
    assert job.kind == kinds.word_of(MODEL, asked.wanted_providers, asked.excluded)
    assert (job.uuid, job.socket_token, job.status) == (names.uuid, names.socket_token, Status.QUEUE)


def test_what_was_not_asked_for_is_null(database, project_id):
    [names] = enqueued(database, [NewJob(project_id, MODEL, {})])

    with database.transaction() as session:
        nulls = session.execute(
            text(
                "SELECT num_nulls(campaign_id, custom_id, callback_url, wanted_providers, start_by_at,"
                " deadline_at, retry, retry_of, tags, idempotency_key, request_sha256)"
                " FROM jobs WHERE id = :id"
            ),
            {"id": names.id},
        ).scalar_one()

    assert nulls == 11


def test_each_of_many_jobs_has_its_first_event(database, rows):
    names = enqueued(database, rows(map(str, range(JOBS_AT_ONCE + 1))))

    assert counted(database, Job) == counted(database, JobEvent) == JOBS_AT_ONCE + 1
    for one in (names[0], names[-1]):
        with database.transaction() as session:
            assert [(e.seq, e.status) for e in queries.trail(session, one.id)] == [(1, Status.QUEUE)]


def test_jobs_are_numbered_and_answered_in_the_order_they_came(database, rows):
    mixed = [job for pair in zip(rows("abcdefgh"), rows("ijklmnop", priority=3), strict=True) for job in pair]

    names = enqueued(database, mixed)

    assert [one.id for one in names] == sorted(one.id for one in names)
    assert [read(database, one.id).custom_id for one in names] == [job.custom_id for job in mixed]
    assert [read(database, one.id).priority for one in names] == [0, 3] * 8


def test_uuids_rise_with_the_order_and_say_so(database, rows):
    names = enqueued(database, rows("abcdefgh"))

    assert [one.uuid for one in names] == sorted(one.uuid for one in names)
    assert {one.uuid.version for one in names} == {7}


def test_a_row_that_was_there_is_that_job(database, rows):
    before = enqueued(database, rows(["a", "b"]))

    after = enqueued(database, rows(["b", "c", "a"]))

    assert [(one.id, one.is_new) for one in after[::2]] == [(before[1].id, False), (before[0].id, False)]
    assert (after[0].uuid, after[0].socket_token) == (before[1].uuid, before[1].socket_token)
    assert after[1].is_new
    assert counted(database, Job) == counted(database, JobEvent) == 3


def test_a_row_that_is_named_twice_in_one_call_is_one_job(database, rows):
    first, again = enqueued(database, rows(["a", "a"]))

    assert (first.id, first.is_new, again.is_new) == (again.id, True, False)
    assert counted(database, Job) == 1


def test_a_row_that_is_tried_again_is_still_the_first_job(database, rows):
    [first] = enqueued(database, rows(["a"]))
    with database.transaction() as session:
        transitions.cancel(session, first.id)
        again = transitions.Again(first.id, {}, read(database, first.id).kind)
        assert transitions.try_again(session, [again], even_if_paid=False)[first.id].is_new

    [sent_twice] = enqueued(database, rows(["a"]))

    assert (sent_twice.id, sent_twice.is_new) == (first.id, False)


def test_of_two_who_add_one_row_at_once_one_adds_it(database, rows):
    begin = threading.Barrier(4)
    answers = []

    def add():
        begin.wait()
        answers.extend(enqueued(database, rows(map(str, range(200)))))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 800
    assert sum(one.is_new for one in answers) == 200
    assert len({one.id for one in answers}) == 200


def test_what_is_rolled_back_leaves_nothing(database, rows):
    with database.transaction() as session:
        transitions.enqueue(session, rows("abc"))
        session.rollback()

    assert (counted(database, Job), counted(database, JobEvent)) == (0, 0)


def test_all_jobs_of_a_call_are_added_or_none(database, project_id):
    bad = NewJob(project_id + 1, MODEL, {})

    with pytest.raises(IntegrityError, match="fk_jobs_project_id"):
        enqueued(database, [NewJob(project_id, MODEL, {}), bad])

    assert (counted(database, Job), counted(database, JobEvent)) == (0, 0)
