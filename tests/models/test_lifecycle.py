"""The arrows, on paper and in the database."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from models import lifecycle, transitions
from models.lifecycle import ARROWS, FINAL, Outcome, Status, is_way
from models.session import Database

HOW_IT_ENDS = {Status.POSTPROCESS_END: Outcome.FAILED, Status.CANCEL: Outcome.KILLED}


def test_every_arrow_has_a_verb_of_its_name():
    missing = [arrow.verb for arrow in ARROWS if not callable(getattr(transitions, arrow.verb, None))]

    assert missing == []


def test_no_arrow_leaves_a_final_status():
    assert not any(arrow.sources & FINAL for arrow in ARROWS)


def test_every_status_but_the_first_can_be_reached():
    assert {arrow.target for arrow in ARROWS} == set(Status)


@pytest.mark.parametrize("source", Status)
def test_the_database_knows_the_same_ways(database: Database, job_id: int, source: Status):
    ways = {(target, rows) for target in set(Status) - {source} for rows in range(11)}

    allowed = {way for way in ways if _database_allows(database, job_id, source, *way)}

    assert allowed == {(target, rows) for target, rows in ways if is_way(source, target, rows)}


@pytest.mark.parametrize(
    ("source", "target", "rows"),
    [
        (Status.QUEUE, Status.ASSIGN, 4),
        (Status.START, Status.POSTPROCESS_END, 3),  # nothing was heard before the end
        (Status.START, Status.POSTPROCESS_END, 4),
        (Status.OUTPUT, Status.POSTPROCESS_START, 2),
        (Status.ASSIGN, Status.QUEUE, 1),
    ],
)
def test_several_arrows_are_one_way(source, target, rows):
    assert is_way(source, target, rows)


@pytest.mark.parametrize(
    ("source", "target", "rows"),
    [
        (Status.QUEUE, Status.ASSIGN, 3),
        (Status.QUEUE, Status.ASSIGN, 5),
        (Status.START, Status.END, 0),
        (Status.END, Status.START, 1),
        (Status.START, Status.QUEUE, 2),
        (Status.POSTPROCESS_END, Status.QUEUE, 1),
    ],
)
def test_a_way_has_a_row_for_each_arrow(source, target, rows):
    assert not is_way(source, target, rows)


def _database_allows(database, job_id, source, target, rows) -> bool:
    with database.engine.connect() as connection, connection.begin() as whole:
        # The trigger is put aside to set the scene, and back for the way under test.
        connection.execute(text("ALTER TABLE jobs DISABLE TRIGGER jobs_arrow"))
        _put(connection, job_id, source, 0)
        connection.execute(text("ALTER TABLE jobs ENABLE TRIGGER jobs_arrow"))
        try:
            _put(connection, job_id, target, rows)
        except IntegrityError:
            return False
        finally:
            whole.rollback()
    return True


def _put(connection, job_id, status, rows) -> None:
    outcome = HOW_IT_ENDS.get(status)
    connection.execute(
        text(
            "UPDATE jobs SET status = :status, outcome = :outcome, finished_at = :at,"
            " last_seq = last_seq + :rows WHERE id = :id"
        ),
        {
            "status": status,
            "outcome": outcome,
            "at": "2026-01-01" if outcome else None,
            "rows": rows,
            "id": job_id,
        },
    )


def test_a_job_begins_in_the_queue_and_nowhere_else(database: Database, project_id: int):
    statement = text(
        "INSERT INTO jobs (socket_token, project_id, model_slug, parameters, status)"
        " VALUES ('t', :project, 'a/b', '{}', 'task_start')"
    )

    with pytest.raises(IntegrityError, match="begins in task_queue"), database.transaction() as session:
        session.execute(statement, {"project": project_id})


def test_a_final_status_needs_its_outcome(database: Database, job_id: int):
    statement = text("UPDATE jobs SET status = 'task_cancel', last_seq = 2 WHERE id = :id")

    with pytest.raises(IntegrityError, match="outcome_fits_status"), database.transaction() as session:
        session.execute(statement, {"id": job_id})


def test_a_claim_never_goes_back(database: Database, claim: transitions.Claim):
    statement = text("UPDATE jobs SET claim = claim - 1 WHERE id = :id")

    with pytest.raises(IntegrityError, match="cannot go back"), database.transaction() as session:
        session.execute(statement, {"id": claim.job_id})


def test_attempts_that_may_cost_money_are_called_open():
    assert {"intent", "submitted", "unknown"} == lifecycle.OPEN_ATTEMPTS
