"""Each check finds what breaks its sentence, and nothing in a healthy job's records."""

import pytest
from sqlalchemy import text

from models import queries, retention, soundness, transitions
from models.attempts import Cost
from models.soundness import CHECKS
from models.transitions import NewOutput

PICTURE = NewOutput("0.png", "access", "aa/0.png", "image/png", 5, "00" * 32, 8, 8, 1)

BREAK = {
    "begins_in_the_queue": "UPDATE job_events SET status = 'task_accept' WHERE seq = 1",
    "no_gap_in_seq": "DELETE FROM job_events WHERE seq = 3",
    "last_event_is_the_status": "UPDATE jobs SET last_seq = last_seq - 1",
    "no_illegal_arrow": "UPDATE job_events SET status = 'task_output' WHERE seq = 2",
    "no_claim_goes_back": "UPDATE job_events SET claim = 9 WHERE seq = 2",
    "one_worker_for_a_claim": "UPDATE job_events SET worker_id = worker_id + 1 WHERE seq = 4",
    "no_claim_runs_twice": "UPDATE job_events SET status = 'task_accept' WHERE seq = 3",
    "ended_jobs_have_nothing_open": "UPDATE attempts SET state = 'submitted', finished_at = NULL",
    "final_status_has_an_outcome": "ALTER TABLE jobs DROP CONSTRAINT ck_jobs_outcome_fits_status;"
    " UPDATE jobs SET status = 'task_queue'",
    "running_jobs_are_in_hands": "UPDATE jobs SET worker_id = NULL, status = 'task_start', outcome = NULL,"
    " finished_at = NULL",
    "what_was_begun_is_known": "UPDATE jobs SET status = 'task_queue', outcome = NULL, finished_at = NULL,"
    " dispatched_at = NULL, worker_id = NULL, open_provider = 'bfl'",
    "held_jobs_are_in_doubt": "UPDATE jobs SET status = 'task_queue', outcome = NULL, finished_at = NULL,"
    " dispatched_at = NULL, worker_id = NULL, held_at = now()",
    "callers_are_told": "INSERT INTO deliveries (project_id, job_id, kind, event, url, created_at)"
    " SELECT project_id, id, 'webhook', 'job.failed', 'https://a.example', now() - interval '1 h' FROM jobs;"
    " UPDATE jobs SET callback_url = 'https://a.example'",
    "one_open_attempt": "DROP INDEX uq_attempts_open;"
    " INSERT INTO attempts (job_id, number, provider, remote_id)"
    " SELECT job_id, n, provider, remote_id FROM attempts, generate_series(2, 3) AS n",
    "closed_attempts_have_ended": "UPDATE attempts SET finished_at = NULL",
    "a_picture_has_its_attempt": "UPDATE attempts SET state = 'failed'",
    "a_picture_costs_what_its_attempt_cost": "UPDATE jobs SET cost_usd = 9",
    "pictures_are_of_jobs_that_succeeded": "DELETE FROM outputs",
    "no_request_has_two_owners": "INSERT INTO attempts (job_id, number, provider, remote_id, state, ticket,"
    " finished_at) SELECT job_id, 2, provider, remote_id, 'failed', ticket, finished_at FROM attempts",
    "nothing_is_reserved_for_nothing": "UPDATE jobs SET status = 'task_queue', outcome = NULL,"
    " finished_at = NULL, dispatched_at = NULL, worker_id = NULL, reserved_usd = 1",
    "projects_have_spent_the_sum": "UPDATE projects SET spent_usd = 9",
    "campaigns_have_spent_the_sum": "INSERT INTO campaigns (project_id, name, spent_usd)"
    " SELECT id, 'c', 1 FROM projects",
}


@pytest.fixture
def succeeded(database, claim, worker_id) -> int:
    """The number of a job that went the whole way."""
    with database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="wiro", remote_id="a/b")
        transitions.record_ticket(session, attempt.id, {"taskid": "1"})
        transitions.start(session, claim, attempt.id)
        transitions.end(session, claim, attempt.id)
        transitions.start_postprocess(session, claim, attempt.id)
        transitions.succeed(session, claim, attempt.id, [PICTURE], Cost(None, is_estimate=False))
    return claim.job_id


def test_a_job_that_went_the_whole_way_breaks_nothing(database, succeeded):
    with database.transaction() as session:
        assert queries.job(session, succeeded).outcome == "succeeded"
        assert soundness.violations(session, CHECKS) == {}


def test_what_retention_has_deleted_breaks_nothing_though_more_is_kept_since(database, project_id, succeeded):
    with database.transaction() as session:
        job = queries.job(session, succeeded)
        ended = retention.EndedJob(job.id, job.uuid, job.finished_at)
        retention.delete_events(session, project_id, [ended])  # while it kept them for some days

    with database.transaction() as session:
        assert soundness.violations(session, CHECKS) == {}


def test_every_check_is_tried():
    assert BREAK.keys() == {check.name for check in CHECKS}


@pytest.mark.parametrize("name", BREAK)
def test_a_check_finds_what_breaks_its_sentence(database, succeeded, name):
    with database.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # past our own triggers
        for statement in BREAK[name].split(";"):
            connection.execute(text(statement))

    with database.transaction() as session:
        assert name in soundness.violations(session, CHECKS)
