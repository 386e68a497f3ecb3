"""What the comparison of the books finds when something is wrong with them."""

import json

import pytest
import redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from broker import Broker, GenerateMessage, create_app
from chaos import invariants
from models import transitions, webhooks
from models.attempt import Attempt
from models.output import Output
from models.transitions import NewJob

MODEL = "black-forest-labs/flux-pro-1-1"
CHARGE = {"vendor": "bfl", "id": "b-1", "prompt": "a fox", "state": "succeeded", "charged_usd": "0.04"}
PICTURE = {"name": "0.png", "access_key": "k", "content_type": "image/png", "width_px": 8, "height_px": 8}


@pytest.fixture
def job(database, project_id):
    """A job that waits."""
    with database.transaction() as session:
        [queued] = transitions.enqueue(session, [NewJob(project_id, MODEL, {"prompt": "a fox"})])
    return queued


@pytest.fixture
def broken(database, redis_url, tmp_path):
    """The names of the invariants that are broken, given the vendors' ledger and the promised prompts."""

    def look(ledger=(), prompts=("a fox",)) -> set[str]:
        with database.engine.connect() as connection, redis.Redis.from_url(redis_url) as queue:
            # Nothing stays of it, so that it can look again.
            found = invariants.broken(Session(connection), json.dumps(list(ledger)), prompts, tmp_path, queue)
            return set(found)

    return look


def test_a_job_that_waits_is_not_at_rest(job, broken):
    assert broken() == {"every_job_is_final_or_explained"}


def test_an_end_that_nobody_is_told_of_is_found(database, project_id, job, broken):
    with database.transaction() as session:
        webhooks.add(session, project_id, "https://studio.example/done", None)
        transitions.cancel(session, job.id)
    assert "every_end_is_told" not in broken()

    with database.transaction() as session:
        session.execute(text("DELETE FROM deliveries"))

    assert "every_end_is_told" in broken()


def test_a_charge_of_which_we_know_nothing_is_found(job, broken):
    assert "every_charge_is_an_attempt" in broken([CHARGE])


def test_two_charges_for_one_prompt_are_found(job, broken):
    assert "nothing_is_charged_twice" in broken([CHARGE, {**CHARGE, "id": "b-2"}])
    assert "nothing_is_charged_twice" not in broken([CHARGE, {**CHARGE, "id": "b-2", "charged_usd": "0"}])


def test_a_job_that_was_promised_and_is_not_there_is_found(job, broken):
    assert "no_job_is_lost" in broken(prompts=("a fox", "another fox"))


def test_a_message_that_a_worker_would_take_is_found(database, redis_url, job, broken):
    with database.transaction() as session:
        [row] = transitions.dispatch(session, "bfl", [job.id])
    Broker(create_app(redis_url)).publish([GenerateMessage(row.id, row.uuid, row.claim, MODEL, "bfl")])

    assert {"no_message_would_run", "no_slot_leaked"} <= broken()


def test_a_picture_that_is_not_there_is_found(database, job, broken):
    with database.transaction() as session:
        attempt = Attempt(job_id=job.id, number=1, provider="bfl", remote_id="a/b")
        session.add(attempt)
        session.flush()
        file = {"position": 0, "storage_key": "aa/0.png", "size_bytes": 5, "sha256": "00" * 32}
        session.add(Output(job_id=job.id, attempt_id=attempt.id, **file, **PICTURE))

    assert "pictures_match_their_checksums" in broken()
