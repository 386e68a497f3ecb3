"""What waits, and what is read to find it."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models import transitions, turns
from models.attempts import Failure
from models.job import Job
from models.lifecycle import AttemptState, Route
from models.session import Database
from models.transitions import Claim, NewJob
from models.turns import Excerpt

pytestmark = pytest.mark.plans

WIRO = ("wiro", "a/b")
LOST = Failure("submission_unknown", "the connection broke", state=AttemptState.UNKNOWN)


@pytest.fixture
def enqueue(database: Database, project_id: int):
    """`enqueue(**columns) -> id` of a new job."""

    def make(slug: str = "a/b", **columns) -> int:
        with database.transaction() as session:
            return transitions.enqueue(session, [NewJob(project_id, slug, {"n": 1}, **columns)])[0].id

    return make


def _ready(database, most=10) -> list[int]:
    """The oldest of every stream."""
    with database.transaction() as session:
        found = turns.streams(session)
        return [row.id for row in turns.ready_jobs(session, [Excerpt(one, 0, most) for one in found])]


def _begun(database, job_id, worker_id, provider="wiro") -> tuple[Claim, int]:
    """With an intent at the provider."""
    with database.transaction() as session:
        [row] = transitions.dispatch(session, provider, [job_id])
        claim = Claim(row.id, row.claim)
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        return claim, transitions.assign(session, claim, provider=provider, remote_id="x").id


def _handed_over(database, job_id, worker_id, provider="wiro") -> None:
    claim, attempt_id = _begun(database, job_id, worker_id, provider)
    with database.transaction() as session:
        transitions.record_ticket(session, attempt_id, {"id": "t"})
        transitions.hand_over(session, claim, attempt_id, "shutting down", timedelta(0))


def _campaign(database, project_id, name) -> int:
    with database.transaction() as session:
        return session.execute(
            text("INSERT INTO campaigns (project_id, name) VALUES (:project_id, :name) RETURNING id"),
            {"project_id": project_id, "name": name},
        ).scalar_one()


def test_streams_are_kept_apart_by_campaign_priority_and_kind(database, project_id, enqueue):
    campaign = _campaign(database, project_id, "c")
    plain = enqueue()
    enqueue()
    urgent, pinned = enqueue(priority=5), enqueue(wanted_providers=("wiro",))
    of_campaign, low = enqueue(campaign_id=campaign), enqueue(campaign_id=campaign, priority=-3)

    with database.transaction() as session:
        found = turns.streams(session)

    assert [(one.campaign_id, one.priority, one.kind, one.head_id) for one in found] == [
        (0, 5, "a/b|*|", urgent),
        (0, 0, "a/b|*|", plain),
        (0, 0, "a/b|wiro|", pinned),
        (campaign, 0, "a/b|*|", of_campaign),
        (campaign, -3, "a/b|*|", low),
    ]
    assert {one.project_id for one in found} == {project_id}


def test_where_nothing_waits_there_is_no_stream(database):
    with database.transaction() as session:
        assert turns.streams(session) == []


def test_an_excerpt_is_the_oldest_jobs_after_one(database, enqueue):
    jobs = [enqueue() for _ in range(5)]

    with database.transaction() as session:
        [stream] = turns.streams(session)
        rows = turns.ready_jobs(session, [Excerpt(stream, jobs[0], 2)])

    assert [row.id for row in rows] == jobs[1:3]


def test_a_row_tells_what_routing_needs(database, project_id, enqueue):
    enqueue(wanted_providers=("runware", "wiro"), route=Route.PRICE, excluded={"bfl": "too large"})

    with database.transaction() as session:
        [row] = turns.ready_jobs(session, [Excerpt(one, 0, 9) for one in turns.streams(session)])

    assert (row.model_slug, row.wanted_providers, row.route) == ("a/b", ["runware", "wiro"], Route.PRICE)
    assert row.route is Route.PRICE  # and no mere word
    assert (row.excluded, row.open_provider, row.parameters) == ({"bfl": "too large"}, None, {"n": 1})
    assert (row.project_id, row.campaign_id) == (project_id, 0)


def test_what_is_not_due_or_to_be_killed_does_not_wait(database, enqueue):
    later, doomed, now = enqueue(), enqueue(), enqueue()
    with database.transaction() as session:
        session.execute(
            text("UPDATE jobs SET run_at = now() + interval '1 h', is_due = false WHERE id = :id"),
            {"id": later},
        )
        transitions.request_kill(session, doomed)

    assert _ready(database) == [now]


def test_what_has_become_due_waits(database, enqueue):
    due, later = enqueue(), enqueue()
    with database.transaction() as session:
        session.execute(text("UPDATE jobs SET is_due = false"))
        session.execute(text("UPDATE jobs SET run_at = now() + interval '1 h' WHERE id = :id"), {"id": later})

    with database.transaction() as session:
        turns.make_due(session)

    assert _ready(database) == [due]


def test_a_job_that_somebody_is_stopping_is_not_waited_for_when_it_becomes_due(database, enqueue):
    stopped, due = enqueue(), enqueue()
    with database.transaction() as session:
        session.execute(text("UPDATE jobs SET is_due = false"))
    with database.engine.connect() as stopper:
        stopper.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": stopped})

        with database.transaction() as session:
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
            turns.make_due(session)

    assert _ready(database) == [due]


def test_what_is_begun_is_apart_and_goes_on_where_it_was_begun(database, enqueue, worker_id):
    begun, fresh = enqueue(), enqueue()
    _handed_over(database, begun, worker_id)

    with database.transaction() as session:
        at_wiro = turns.begun_jobs(session, [WIRO], 10)
        elsewhere = turns.begun_jobs(session, [("runware", "a/b"), ("wiro", "c/d")], 10)

    assert [(row.id, row.open_provider) for row in at_wiro] == [(begun, "wiro")]
    assert elsewhere == []
    assert _ready(database) == [fresh]


def test_an_attempt_in_doubt_waits_like_one_that_was_handed_over(database, enqueue, worker_id):
    job = enqueue()
    _, attempt_id = _begun(database, job, worker_id)
    with database.transaction() as session:
        transitions.doubt(session, attempt_id)
        transitions.rescue(session, Job.worker_id == worker_id, "its worker was killed")

    with database.transaction() as session:
        assert [row.id for row in turns.begun_jobs(session, [WIRO], 10)] == [job]


def test_a_suspect_waits_apart(database, enqueue):
    suspect, innocent = enqueue(), enqueue()
    with database.transaction() as session:
        session.execute(text("UPDATE jobs SET worker_deaths = 2 WHERE id = :id"), {"id": suspect})

    with database.transaction() as session:
        assert [row.id for row in turns.suspects(session)] == [suspect]
    assert _ready(database) == [innocent]


def test_a_held_job_has_no_turn(database, enqueue, worker_id):
    job = enqueue()
    claim, attempt_id = _begun(database, job, worker_id)
    with database.transaction() as session:
        transitions.hold(session, claim, attempt_id, LOST)

    with database.transaction() as session:
        assert turns.begun_jobs(session, [WIRO], 10) == []
    assert _ready(database) == []


@pytest.mark.parametrize("analyzed", [True, False])
def test_of_ten_thousand_waiting_and_finished_jobs_a_few_rows_are_read(
    database, project_id, enqueue, worker_id, analyzed
):
    first = enqueue()
    _fill(database, project_id, waiting=10_000)
    if analyzed:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE jobs"))

    found, read = _looked_and_rows_read(database)

    assert found[0] == first
    assert len(found) == 10
    assert read < 60


def _fill(database, project_id, waiting) -> None:
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO jobs (socket_token, project_id, model_slug, parameters, kind)"
                " SELECT 'w' || n, :project_id, 'a/b', '{}', 'a/b|*|' FROM generate_series(1, :waiting) AS n"
            ),
            {"project_id": project_id, "waiting": waiting},
        )


def _looked_and_rows_read(database) -> tuple[list[int], int]:
    """What waits, ten of it, and how many rows of `jobs` were read to tell."""
    before = _rows_read(database)
    with database.transaction() as session:
        turns.decide_alone(session)
        turns.make_due(session)
        found = [
            row.id
            for row in turns.ready_jobs(session, [Excerpt(one, 0, 10) for one in turns.streams(session)])
        ]
        turns.begun_jobs(session, [WIRO], 10)
        turns.suspects(session)
        session.execute(text("SELECT pg_stat_force_next_flush()"))  # this connection's counts, at its commit
    return found, _rows_read(database) - before


def _rows_read(database) -> int:
    query = text(
        "SELECT sum(idx_tup_read) + (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'jobs')"
        " FROM pg_stat_user_indexes WHERE relname = 'jobs'"
    )
    with database.transaction() as session:
        return int(session.execute(query).scalar_one())
