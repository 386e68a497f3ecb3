"""Finished pictures: what they cost, how they come into our storage, and what is done when they do not."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, update

from models import queries, transitions
from models.attempt import Attempt
from models.job import Job
from models.lifecycle import AttemptState, Outcome
from providers.base import Done, Failed, RemoteOutput
from providers.errors import Forgotten, MalformedResponse, OutputExpired
from workers import asking, keeping
from workers.turn import Ending

OUTPUT = RemoteOutput("https://vendor/0", "image/png", 7)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(asking, "LONGEST_PAUSE_S", 0.001)


def _one_by_one(*answers):
    """The first answer, then the second, and so on."""
    left = iter(answers)

    def answer():
        answer_now = next(left)
        return answer_now()

    return answer


def _outputs(desk, job_id):
    with desk.bench.database.transaction() as session:
        return queries.outputs(session, job_id)


# --- costs ---------------------------------------------------------------------------------------------


def _costs(record) -> tuple[Decimal | None, bool]:
    return record.cost_usd, record.cost_is_estimate


def test_a_cost_that_the_provider_tells_is_none_of_our_guesses(desk, enqueue):
    job_id = enqueue()

    desk.run(job_id)

    job, [attempt] = desk.read(job_id)
    assert _costs(job) == _costs(attempt) == (Decimal("0.04"), False)
    assert attempt.billed == "yes"


def test_a_cost_that_nobody_tells_is_the_catalogues_and_says_so(desk, provider, enqueue):
    silent = type(provider)("bfl")
    silent.on_check = lambda: Done((OUTPUT,), None)
    desk.bench = replace(desk.bench, providers={"bfl": silent})
    job_id = enqueue()

    desk.run(job_id, at="bfl")

    job, [attempt] = desk.read(job_id)
    assert _costs(job) == _costs(attempt) == (Decimal("0.04"), True)


def test_a_cost_that_not_even_the_catalogue_knows_is_unknown(desk, provider, enqueue):
    silent = type(provider)("vtrix")
    silent.on_check = lambda: Done((OUTPUT,), None)
    desk.bench = replace(desk.bench, providers={"vtrix": silent})
    job_id = enqueue()

    desk.run(job_id, at="vtrix")

    job, _ = desk.read(job_id)
    assert _costs(job) == (None, False)


def test_the_trail_tells_why_there_are_fewer_pictures_than_asked_for(desk, provider, enqueue):
    provider.on_check = lambda: Done((OUTPUT,), Decimal("0.04"), shortfall="1 of 2 was mod\0erated")
    job_id = enqueue()

    desk.run(job_id)

    with desk.bench.database.transaction() as session:
        reasons = [event.reason for event in queries.trail(session, job_id)]
    assert "1 of 2 was moderated" in reasons


# --- addresses that lead nowhere any more --------------------------------------------------------------


def _expire(*_):
    raise OutputExpired("HTTP 403")


def test_an_address_that_has_expired_is_asked_for_afresh(desk, provider, enqueue):
    fetch = provider.on_fetch
    checks = []
    check = provider.on_check
    provider.on_check = lambda: (checks.append(1), check())[1]
    provider.on_fetch = _one_by_one(_expire, fetch)
    job_id = enqueue()

    finish = desk.run(job_id)

    assert finish.ending is Ending.SUCCEEDED
    assert (len(checks), len(provider.submitted), len(_outputs(desk, job_id))) == (2, 1, 1)


def test_a_picture_that_is_not_there_yet_is_waited_for(desk, provider, enqueue):
    fetch = provider.on_fetch
    provider.on_fetch = _expire
    job_id = enqueue()
    first = desk.run(job_id)
    provider.on_fetch = fetch

    second = desk.run(job_id)

    assert (first.ending, second.ending) == (Ending.HANDED_OVER, Ending.SUCCEEDED)
    assert (len(provider.submitted), len(_outputs(desk, job_id))) == (1, 1)


def test_a_picture_that_stays_gone_fails_the_job_and_keeps_its_cost(desk, provider, enqueue, monkeypatch):
    monkeypatch.setattr(keeping, "NOT_THERE_YET", timedelta(0))
    provider.on_fetch = _expire
    job_id = enqueue()

    finish = desk.run(job_id)

    job, [attempt] = desk.read(job_id)
    assert (finish.ending, job.error_code, job.cost_usd) == (
        Ending.FAILED,
        "output_expired",
        Decimal("0.04"),
    )
    assert (attempt.state, attempt.billed) == (AttemptState.FAILED, "yes")


def test_a_request_forgotten_with_its_pictures_is_not_asked_for_again(desk, provider, enqueue, monkeypatch):
    monkeypatch.setattr(keeping, "NOT_THERE_YET", timedelta(0))
    answers = iter([provider.on_check(), Failed(Forgotten("no such task"), None)])
    provider.on_check = lambda: next(answers)
    provider.on_fetch = _expire
    job_id = enqueue()

    desk.run(job_id)

    job, _ = desk.read(job_id)
    assert job.error_code == "output_expired"


# --- what is no picture --------------------------------------------------------------------------------


def _rubbish(*_):
    raise MalformedResponse("17 bytes that are no picture", request_id="r-1")


def test_what_is_no_picture_now_may_be_one_later(desk, provider, enqueue):
    fetch = provider.on_fetch
    provider.on_fetch = _rubbish
    job_id = enqueue()

    first = desk.run(job_id)
    provider.on_fetch = fetch
    second = desk.run(job_id)

    assert (first.ending, second.ending) == (Ending.HANDED_OVER, Ending.SUCCEEDED)


def test_what_has_been_no_picture_for_an_hour_fails_the_job_and_keeps_its_cost(desk, provider, enqueue):
    provider.on_fetch = _rubbish
    job_id = enqueue()
    desk.run(job_id)
    with desk.bench.database.transaction() as session:
        session.execute(
            update(Attempt).values(submitted_at=func.clock_timestamp() - timedelta(hours=1, seconds=1))
        )

    finish = desk.run(job_id)

    job, [attempt] = desk.read(job_id)
    assert (finish.ending, job.error_code, job.cost_usd) == (
        Ending.FAILED,
        "malformed_response",
        Decimal("0.04"),
    )
    assert (attempt.billed, attempt.request_id) == ("yes", "r-1")


# --- kill -9 around the download -----------------------------------------------------------------------


class _Killed(BaseException):
    """What `kill -9` is to the lines that come after: they do not."""


@pytest.mark.parametrize("where", ["before", "during", "after"])
def test_a_job_whose_worker_died_over_a_download_is_fetched_again_and_stored_once(
    desk, provider, enqueue, monkeypatch, where
):
    job_id = enqueue()

    def die(*_):
        raise _Killed

    with monkeypatch.context() as doomed:
        if where == "before":
            doomed.setattr(provider, "on_fetch", die)
        elif where == "during":
            fetch = provider.on_fetch
            two = Done((OUTPUT, OUTPUT), Decimal("0.08"))
            provider.on_check = lambda: two
            doomed.setattr(provider, "on_fetch", _one_by_one(fetch, die))
        else:
            doomed.setattr(desk.bench.scribe, "succeed", die)
        with pytest.raises(_Killed):
            desk.run(job_id)
    with desk.bench.database.transaction() as session:
        transitions.rescue(session, Job.id == job_id, "worker was killed")

    finish = desk.run(job_id)

    job, attempts = desk.read(job_id)
    stored = _outputs(desk, job_id)
    assert (finish.ending, job.outcome, len(attempts)) == (Ending.SUCCEEDED, Outcome.SUCCEEDED, 1)
    assert len(provider.submitted) == 1
    assert [output.position for output in stored] == list(range(2 if where == "during" else 1))
    assert all(desk.bench.storage.exists(output.storage_key) for output in stored)
