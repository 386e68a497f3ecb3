"""Whose turn it is, and who must not hold it up."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models import transitions
from models.attempts import Failure
from models.job import Job
from models.lifecycle import AttemptState, Route
from models.session import Database
from models.transitions import Claim, NewJob
from models.turns import ready_jobs

WIRO, RUNWARE = ("wiro", "a/b"), ("runware", "a/b")
LOST = Failure("submission_unknown", "the connection broke", state=AttemptState.UNKNOWN)


@pytest.fixture
def enqueue(database: Database, project_id: int):
    """`enqueue(**columns) -> id` of a new job."""

    def make(slug: str = "a/b", **columns) -> int:
        with database.transaction() as session:
            return transitions.enqueue(session, [NewJob(project_id, slug, {"n": 1}, **columns)])[0].id

    return make


def _turns(database, available=(WIRO, RUNWARE), resumable=(WIRO, RUNWARE), limit=10) -> list[int]:
    with database.transaction() as session:
        return [row.id for row in ready_jobs(session, available, resumable, limit)]


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


def _failed(database, job_id, worker_id, code, provider="wiro") -> None:
    claim, attempt_id = _begun(database, job_id, worker_id, provider)
    with database.transaction() as session:
        transitions.retry(session, claim, attempt_id, Failure(code, "x"), timedelta(0))


def test_turns_go_by_priority_then_age_across_models_and_pins(database, enqueue):
    low = enqueue()
    high = enqueue(priority=5, wanted_providers=("wiro",))
    also_high = enqueue("c/d", priority=5)
    highest = enqueue(priority=9, wanted_providers=("runware", "wiro"))

    turns = _turns(database, available=[WIRO, ("wiro", "c/d")])

    assert turns == [highest, high, also_high, low]


def test_no_more_is_given_than_asked_for(database, enqueue):
    jobs = [enqueue() for _ in range(5)]

    assert _turns(database, limit=2) == jobs[:2]


def test_a_row_tells_what_routing_needs(database, enqueue):
    enqueue(wanted_providers=("runware", "wiro"), route=Route.PRICE, excluded={"bfl": "too large"})

    with database.transaction() as session:
        [row] = ready_jobs(session, [WIRO], [], 10)

    assert (row.model_slug, row.wanted_providers, row.route) == ("a/b", ["runware", "wiro"], Route.PRICE)
    assert row.route is Route.PRICE  # and no mere word
    assert (row.excluded, row.on_unknown, row.open_provider) == ({"bfl": "too large"}, "hold", None)
    assert row.parameters == {"n": 1}


def test_parameters_are_told_only_where_the_price_decides(database, enqueue):
    enqueue()

    with database.transaction() as session:
        [row] = ready_jobs(session, [WIRO], [], 10)

    assert row.parameters is None


@pytest.mark.parametrize(
    "columns",
    [
        {"wanted_providers": ("bfl",)},
        {"slug": "c/d"},
        {"excluded": {"wiro": "no seed", "runware": "no seed"}},
        {"wanted_providers": ("wiro", "bfl"), "excluded": {"wiro": "no seed"}},
    ],
)
def test_what_cannot_be_served_now_is_passed_over(database, enqueue, columns):
    enqueue(priority=9, **columns)
    servable = enqueue()

    assert _turns(database, limit=1) == [servable]


def test_what_is_not_due_or_to_be_killed_is_passed_over(database, enqueue):
    later, doomed, now = enqueue(), enqueue(), enqueue()
    with database.transaction() as session:
        session.execute(text("UPDATE jobs SET run_at = now() + interval '1 h' WHERE id = :id"), {"id": later})
        transitions.request_kill(session, doomed)

    assert _turns(database) == [now]


@pytest.mark.parametrize(
    ("code", "goes_back"), [("unsupported", False), ("bad_credentials", True), ("unavailable", True)]
)
def test_a_job_does_not_wait_for_where_it_is_out(database, enqueue, worker_id, code, goes_back):
    job = enqueue()
    _failed(database, job, worker_id, code)

    assert _turns(database, available=[WIRO]) == ([job] if goes_back else [])
    assert _turns(database, available=[RUNWARE]) == [job]


def test_what_is_begun_goes_on_where_it_was_begun_breaker_or_not(database, enqueue, worker_id):
    begun, fresh = enqueue(), enqueue()
    _handed_over(database, begun, worker_id)

    with database.transaction() as session:
        rows = ready_jobs(session, [RUNWARE], [WIRO, RUNWARE], 10)

    assert [(row.id, row.open_provider) for row in rows] == [(begun, "wiro"), (fresh, None)]
    assert _turns(database, available=[RUNWARE], resumable=[RUNWARE]) == [fresh]


def test_an_attempt_in_doubt_waits_like_one_that_was_handed_over(database, enqueue, worker_id):
    job = enqueue()
    _, attempt_id = _begun(database, job, worker_id)
    with database.transaction() as session:
        transitions.doubt(session, attempt_id)
        transitions.rescue(session, Job.worker_id == worker_id, "its worker was killed")

    assert _turns(database, available=[]) == [job]


def test_a_held_job_has_no_turn(database, enqueue, worker_id):
    job = enqueue()
    claim, attempt_id = _begun(database, job, worker_id)
    with database.transaction() as session:
        transitions.hold(session, claim, attempt_id, LOST)

    assert _turns(database) == []


def test_ten_thousand_jobs_for_a_provider_that_is_down_hold_up_nobody_and_are_not_read(
    database, project_id, enqueue
):
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO jobs"
                " (socket_token, project_id, model_slug, parameters, priority, wanted_providers)"
                " SELECT 'down' || n, :project_id, 'a/b', '{}', 9, ARRAY['bfl']"
                " FROM generate_series(1, 10000) AS n"
            ),
            {"project_id": project_id},
        )
    others = [enqueue(), enqueue(wanted_providers=("runware", "bfl"))]
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE jobs"))

    turns, read = _turns_and_rows_read(database)

    assert turns == others
    assert read < 50


def _turns_and_rows_read(database) -> tuple[list[int], int]:
    """Whose turn it is, and how many rows of `jobs` were read to tell."""
    before = _rows_read(database)
    with database.transaction() as session:
        turns = [row.id for row in ready_jobs(session, [WIRO, RUNWARE], [], 10)]
        session.execute(text("SELECT pg_stat_force_next_flush()"))  # this connection's counts, at its commit
    return turns, _rows_read(database) - before


def _rows_read(database) -> int:
    query = text(
        "SELECT sum(idx_tup_read) + (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'jobs')"
        " FROM pg_stat_user_indexes WHERE relname = 'jobs'"
    )
    with database.transaction() as session:
        return int(session.execute(query).scalar_one())
