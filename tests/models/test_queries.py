"""What the surfaces ask about offers and held jobs."""

from datetime import timedelta

import pytest

from models import queries, transitions
from models.attempts import Failure
from models.lifecycle import AttemptState
from models.project import AuthMode, create_project
from models.session import Database
from models.transitions import Claim, NewJob

LOST = Failure("submission_unknown", "the connection broke", state=AttemptState.UNKNOWN)


@pytest.fixture
def begin(database: Database, worker_id: int):
    """`begin(project_id, provider) -> (claim, attempt_id)` of a new job with an intent there."""

    def make(project_id: int, provider: str = "wiro", job_id: int | None = None) -> tuple[Claim, int]:
        with database.transaction() as session:
            job_id = job_id or transitions.enqueue(session, [NewJob(project_id, "a/b", {})])[0].id
            [row] = transitions.dispatch(session, provider, [job_id])
            claim = Claim(row.id, row.claim)
            transitions.accept(session, claim, worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            return claim, transitions.assign(session, claim, provider=provider, remote_id="x").id

    return make


@pytest.fixture
def hold(database: Database, begin):
    """`hold(project_id, provider) -> id` of a held job."""

    def make(project_id: int, provider: str = "wiro") -> int:
        claim, attempt_id = begin(project_id, provider)
        with database.transaction() as session:
            transitions.hold(session, claim, attempt_id, LOST)
        return claim.job_id

    return make


def test_held_jobs_are_listed_longest_first_with_what_was_lost(database, project_id, hold, job_id):
    first, second, third = hold(project_id), hold(project_id, "bfl"), hold(project_id)

    with database.transaction() as session:
        held = queries.held_jobs(session, 2)
        count = queries.held_count(session)

    assert [(job.id, attempt.provider) for job, attempt in held] == [(first, "wiro"), (second, "bfl")]
    assert held[0][1].error_message == "the connection broke"
    assert (count, third > second) == (3, True)


def test_a_project_sees_its_own_held_jobs(database, project_id, hold):
    with database.transaction() as session:
        other = create_project(session, "other", AuthMode.KEY).id
    hold(other)
    own = hold(project_id)

    with database.transaction() as session:
        assert [job.id for job, _ in queries.held_jobs(session, 10, project_id)] == [own]
        assert queries.held_count(session, project_id) == 1


def test_held_jobs_are_counted_by_the_offer_that_did_not_answer(database, project_id, hold):
    for provider in ("wiro", "bfl", "wiro"):
        hold(project_id, provider)

    with database.transaction() as session:
        assert queries.held_by_offer(session) == {("wiro", "a/b"): 2, ("bfl", "a/b"): 1}


def test_failures_are_counted_by_offer(database, project_id, begin):
    claim, attempt_id = begin(project_id)
    with database.transaction() as session:
        transitions.retry(session, claim, attempt_id, Failure("unsupported", "x"), timedelta(0))
    claim, attempt_id = begin(project_id, job_id=claim.job_id)
    with database.transaction() as session:
        transitions.retry(session, claim, attempt_id, Failure("unavailable", "x"), timedelta(0))
    begin(project_id, "runware", claim.job_id)  # open: no failure

    with database.transaction() as session:
        failures = queries.failures_by_offer(session, [claim.job_id])

    assert failures == {claim.job_id: {"wiro": 2}}


@pytest.mark.parametrize("code", ["rate_limited", "bad_credentials", "insufficient_balance"])
def test_what_was_written_off_used_up_an_attempt_and_a_429_did_not(database, project_id, begin, code):
    claim, attempt_id = begin(project_id)
    with database.transaction() as session:
        failure = Failure("submission_unknown", "x", state=AttemptState.WRITTEN_OFF)
        transitions.retry(session, claim, attempt_id, failure, timedelta(0))
    claim, attempt_id = begin(project_id, job_id=claim.job_id)
    with database.transaction() as session:
        transitions.retry(session, claim, attempt_id, Failure(code, "x"), timedelta(0))

    with database.transaction() as session:
        assert queries.counted_attempts(session, claim.job_id) == 1
        assert queries.failures_by_offer(session, [claim.job_id])[claim.job_id]["wiro"] == 2
