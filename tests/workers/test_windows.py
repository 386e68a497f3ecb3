"""A provider that has enough is left alone by everybody, and costs no job an attempt."""

import threading
from functools import partial

import pytest
from sqlalchemy import func, update

from models import queries
from models.lifecycle import Status
from models.limit import WHOLE, Limit
from providers.base import Failed, Running
from providers.errors import GenerationFailed, RateLimited
from workers import asking, windows
from workers.running import StopReason, StopSignal
from workers.turn import Ending


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(asking, "LONGEST_PAUSE_S", 0.001)


def _refuse(asked_s=None):
    def answer():
        raise RateLimited("too many at a time", retry_after_s=asked_s)

    return answer


def _window(desk) -> Limit | None:
    with desk.bench.database.transaction() as session:
        return session.get(Limit, ("sandbox", WHOLE))


def _left_there(desk, provider, enqueue, jobs) -> None:
    """So many requests are with the provider."""
    for _ in range(jobs):
        stop = StopSignal()
        provider.on_check = partial(_running_until_asked_to_leave, stop)
        desk.run(enqueue(), stop)


def _running_until_asked_to_leave(stop):
    stop.ask(StopReason.SHUTDOWN)
    return Running(None, None, 9)


def test_a_refused_job_waits_for_its_turn_again_and_has_lost_nothing(desk, provider, enqueue):
    provider.on_submit = _refuse(asked_s=20)
    job_id = enqueue()

    finish = desk.run(job_id)

    job, [attempt] = desk.read(job_id)
    assert (finish.ending, finish.delay.total_seconds()) == (Ending.RETRYING, 0)
    assert (job.status, job.is_due, job.reserved_usd) == (Status.QUEUE, True, None)
    assert attempt.error_code == "rate_limited"
    with desk.bench.database.transaction() as session:
        assert queries.counted_attempts(session, job_id) == 0


def test_the_provider_is_left_alone_for_as_long_as_it_asked(desk, provider, enqueue):
    provider.on_submit = _refuse(asked_s=20)

    desk.run(enqueue())

    window = _window(desk)
    assert (window.learnt_in_flight, window.refusals) == (1, 1)
    assert 19 < (window.quiet_until - window.learnt_at).total_seconds() < 21


def test_what_it_holds_is_its_window(desk, provider, enqueue, database):
    with database.transaction() as session:
        session.add(Limit(provider="sandbox", model_slug=WHOLE))
    _left_there(desk, provider, enqueue, jobs=3)
    provider.on_submit = _refuse()

    desk.run(enqueue())

    assert _window(desk).learnt_in_flight == 3


def test_a_burst_is_counted_once_by_any_number_of_workers(desk, provider, enqueue):
    provider.on_submit = _refuse()
    jobs = [enqueue() for _ in range(8)]

    threads = [threading.Thread(target=desk.run, args=(job_id,)) for job_id in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (_window(desk).learnt_in_flight, _window(desk).refusals) == (1, 1)


def test_a_picture_ends_a_row_of_refusals(desk, provider, enqueue, database):
    provider.on_submit = _refuse()
    for _ in range(3):
        desk.run(enqueue())
        with database.transaction() as session:
            earlier = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 1)
            session.execute(update(Limit).values(quiet_until=earlier, learnt_at=earlier))
    in_a_row = _window(desk).refusals
    provider.on_submit = lambda: None
    desk.run(enqueue())
    provider.on_submit = _refuse()

    desk.run(enqueue())

    assert (in_a_row, _window(desk).refusals) == (3, 1)


def test_a_refused_question_is_asked_again_and_keeps_new_ones_away(desk, provider, enqueue):
    answers = iter([_refuse(), provider.on_check])

    def check():
        return next(answers)()

    provider.on_check = check

    finish = desk.run(enqueue())

    window = _window(desk)
    assert finish.ending is Ending.SUCCEEDED
    assert (window.learnt_in_flight, window.refusals) == (None, 1)
    assert window.quiet_until is not None


def test_no_other_failure_narrows_it(desk, provider, enqueue):
    provider.on_check = lambda: Failed(GenerationFailed("broke", billed="no"), None)

    desk.run(enqueue())

    assert _window(desk) is None


def test_each_provider_has_a_window_of_its_own(desk, database):
    with database.transaction() as session:
        now = windows._now(session)
        windows.narrow(session, "wiro", now, None)

    with database.transaction() as session:
        assert session.get(Limit, ("wiro", WHOLE)) is not None
        assert session.get(Limit, ("bfl", WHOLE)) is None
