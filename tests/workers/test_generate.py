"""One job's steps, with a provider that does as it is told and a real database."""

import threading
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, text, update
from sqlalchemy.exc import OperationalError

from catalogue import UnknownModel
from models import queries, transitions
from models.attempt import Attempt
from models.attempts import Assigned
from models.job import Job
from models.lifecycle import AttemptState, Outcome, Status, StopOutcome
from providers.base import CancelOutcome, Done, Failed, LostAnswer, RemoteOutput, Running
from providers.errors import (
    BadCredentials,
    Billed,
    ContentRefused,
    GenerationFailed,
    MalformedResponse,
    RateLimited,
    Unavailable,
)
from storage.errors import Unwritable
from workers import asking, stopping, stops
from workers.generate import generate
from workers.imprint import read_imprint
from workers.running import StopReason, StopSignal
from workers.turn import Ending

MODEL = "black-forest-labs/flux-pro-1-1"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(asking, "LONGEST_PAUSE_S", 0.001)


def _job(bench, claim) -> Job:
    with bench.database.transaction() as session:
        return queries.job(session, claim.job_id)


def _attempts(bench, claim) -> list[tuple[AttemptState, str | None]]:
    with bench.database.transaction() as session:
        return [(a.state, a.error_code) for a in queries.attempts(session, claim.job_id)]


def test_a_picture_ends_in_storage_with_its_story_written_into_it(bench, dispatched, worker_id):
    claim = dispatched()

    finish = generate(bench, claim, worker_id, StopSignal())

    job = _job(bench, claim)
    assert finish.ending is Ending.SUCCEEDED
    assert (job.outcome, job.cost_usd) == (Outcome.SUCCEEDED, Decimal("0.04"))
    with bench.database.transaction() as session:
        [output] = queries.outputs(session, claim.job_id)
    with bench.storage.open(output.storage_key) as file:
        story = read_imprint(file.read())
    assert (story["prompt"], story["seed"], story["job"]) == ("a lighthouse", 7, str(job.uuid))
    assert (story["model"], story["provider"]) == ("black-forest-labs/flux-pro-1-1", "sandbox")


def test_a_message_taken_twice_is_run_once(bench, provider, dispatched, worker_id):
    claim = dispatched()

    endings = [generate(bench, claim, worker_id, StopSignal()).ending for _ in range(2)]

    assert endings == [Ending.SUCCEEDED, Ending.LOST]
    assert len(provider.submitted) == 1


@pytest.mark.parametrize("is_at_once", [True, False])
def test_an_intent_whose_commit_nobody_heard_of_is_still_ours(
    provider, desk, enqueue, monkeypatch, is_at_once
):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue()
    if not is_at_once:
        monkeypatch.setattr(desk.bench.scribe, "begin", lambda _: None)
    _lose_the_first_answer(monkeypatch, desk.bench, job_id)

    finish = desk.run(job_id)

    assert finish.ending is Ending.SUCCEEDED
    assert [request.attempt for request in provider.submitted] == [1]


def _lose_the_first_answer(monkeypatch, bench, job_id) -> None:
    """Of the unit of work that commits the intent."""
    lost = []

    def losing(unit_of_work):
        @contextmanager
        def unheard():
            with unit_of_work() as connection:
                yield connection
            with way() as session:
                is_there = bool(queries.attempts(session, job_id))
            if is_there and not lost:
                lost.append(job_id)
                raise OperationalError("COMMIT", {}, ConnectionError("the server closed the connection"))

        return unheard

    way = bench.database.transaction
    for name in ("transaction", "statement"):
        monkeypatch.setattr(bench.database, name, losing(getattr(bench.database, name)))


def test_an_intent_is_committed_before_the_request_is_sent(bench, provider, dispatched, worker_id):
    claim = dispatched()
    seen = []
    provider.on_submit = lambda: seen.append(_attempts(bench, claim))

    generate(bench, claim, worker_id, StopSignal())

    assert seen == [[(AttemptState.INTENT, None)]]


def test_a_ticket_is_asked_and_not_bought_again(bench, provider, dispatched, worker_id):
    claim = dispatched()
    _die_after_submitting(bench, claim, worker_id)

    again = dispatched(claim.job_id)
    finish = generate(bench, again, worker_id, StopSignal())

    assert finish.ending is Ending.SUCCEEDED
    assert provider.submitted == []
    assert _attempts(bench, claim) == [(AttemptState.DONE, None)]


def _die_after_submitting(bench, claim, worker_id) -> None:
    attempt = _die_before_submitting(bench, claim, worker_id)
    with bench.database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "t"})


def _die_before_submitting(bench, claim, worker_id) -> Assigned:
    with bench.database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
    with bench.database.transaction() as session:
        transitions.rescue(session, Job.worker_id == worker_id, "worker was killed")
    return attempt


def test_an_intent_left_by_a_dead_worker_is_sent_again_where_one_key_is_one_purchase(
    bench, provider, dispatched, worker_id
):
    claim = dispatched()
    attempt = _die_before_submitting(bench, claim, worker_id)

    finish = generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    assert finish.ending is Ending.SUCCEEDED
    assert [request.key for request in provider.submitted] == [str(attempt.uuid)]


def test_what_was_not_taken_is_tried_again_later(bench, provider, dispatched, worker_id):
    claim = dispatched()

    def refuse() -> None:
        raise Unavailable("503")

    provider.on_submit = refuse

    finish = generate(bench, claim, worker_id, StopSignal())

    assert finish.ending is Ending.RETRYING
    assert _job(bench, claim).status is Status.QUEUE
    assert _attempts(bench, claim) == [(AttemptState.FAILED, "unavailable")]


def test_the_third_failure_is_the_last(bench, provider, dispatched, worker_id):
    claim = dispatched()
    failed = GenerationFailed("broke", billed=Billed.NO)
    provider.on_check = lambda: Failed(failed, None)

    endings = [generate(bench, claim, worker_id, StopSignal()).ending]
    endings += [generate(bench, dispatched(claim.job_id), worker_id, StopSignal()).ending for _ in range(2)]

    assert endings == [Ending.RETRYING, Ending.RETRYING, Ending.FAILED]
    assert len(provider.submitted) == 3


def test_a_rate_limit_uses_up_no_attempt(bench, provider, dispatched, worker_id):
    claim = dispatched()

    def refuse() -> None:
        raise RateLimited("slow down", retry_after_s=1)

    provider.on_submit = refuse

    endings = [generate(bench, claim, worker_id, StopSignal()).ending]
    endings += [generate(bench, dispatched(claim.job_id), worker_id, StopSignal()).ending for _ in range(5)]

    assert endings == [Ending.RETRYING] * 6


def test_what_may_have_been_billed_is_not_bought_again(bench, provider, dispatched, worker_id):
    claim = dispatched()
    failed = GenerationFailed("broke", billed=Billed.UNKNOWN)
    provider.on_check = lambda: Failed(failed, None)

    assert generate(bench, claim, worker_id, StopSignal()).ending is Ending.FAILED


def test_moderation_is_final(bench, provider, dispatched, worker_id):
    claim = dispatched()
    refused = ContentRefused("no")
    provider.on_check = lambda: Failed(refused, None)

    finish = generate(bench, claim, worker_id, StopSignal())

    assert finish.ending is Ending.FAILED
    assert _job(bench, claim).error_code == "content_refused"


def test_a_provider_that_answers_rubbish_fails_the_job_and_keeps_its_cost(
    bench, provider, dispatched, worker_id
):
    claim = dispatched()
    provider.on_fetch = lambda: b"<html>not a picture</html>"

    finish = generate(bench, claim, worker_id, StopSignal())

    job = _job(bench, claim)
    assert finish.ending is Ending.FAILED
    assert (job.error_code, job.cost_usd) == ("malformed_response", Decimal("0.04"))


def test_pictures_that_storage_refuses_are_not_lost(bench, provider, dispatched, worker_id, monkeypatch):
    claim = dispatched()

    def refuse(_key, _content):
        raise Unwritable("no space left on device")

    with monkeypatch.context() as full:
        full.setattr(type(bench.storage), "put", staticmethod(refuse))
        first = generate(bench, claim, worker_id, StopSignal())
    second = generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    assert (first.ending, second.ending) == (Ending.HANDED_OVER, Ending.SUCCEEDED)
    assert len(provider.submitted) == 1


def _forever() -> Running:
    return Running(progress=0.5, log="half", poll_after_s=60)


def test_a_kill_reaches_the_provider(bench, provider, dispatched, worker_id):
    claim = dispatched()
    stop = StopSignal()

    def check():
        stop.ask(StopReason.KILLED)
        return _forever()

    provider.on_check = check

    finish = generate(bench, claim, worker_id, stop)

    job = _job(bench, claim)
    assert finish.ending is Ending.STOPPED
    assert len(provider.cancelled) == 1
    assert (job.outcome, job.stopped_how) == (Outcome.KILLED, StopOutcome.CANCELLED)


def test_a_kill_before_anything_was_sent_costs_nothing(bench, provider, dispatched, worker_id):
    claim = dispatched()
    stop = StopSignal()
    stop.ask(StopReason.KILLED)

    generate(bench, claim, worker_id, stop)

    assert provider.submitted == []
    assert _job(bench, claim).stopped_how is StopOutcome.NEVER_STARTED


def test_a_kill_asked_before_the_worker_took_the_job_is_heeded(bench, provider, dispatched, worker_id):
    claim = dispatched()
    with bench.database.transaction() as session:
        transitions.request_kill(session, claim.job_id)

    finish = generate(bench, claim, worker_id, StopSignal())

    assert (finish.ending, provider.submitted) == (Ending.STOPPED, [])


def test_a_picture_that_was_finished_first_is_kept(bench, provider, dispatched, worker_id):
    claim = dispatched()
    stop = StopSignal()
    provider.cancel_outcome = CancelOutcome.FINISHED_FIRST
    answers = iter([_forever(), Done((RemoteOutput("0", None, 7),), Decimal("0.04"))])

    def check():
        stop.ask(StopReason.KILLED)
        return next(answers)

    provider.on_check = check

    assert generate(bench, claim, worker_id, stop).ending is Ending.SUCCEEDED


def test_a_worker_taken_for_dead_writes_nothing(bench, provider, dispatched, worker_id):
    claim = dispatched()
    stop = StopSignal()

    def check():
        with bench.database.transaction() as session:
            transitions.rescue(session, Job.id == claim.job_id, "worker was silent")
        stop.ask(StopReason.BURIED)
        return _forever()

    provider.on_check = check

    finish = generate(bench, claim, worker_id, stop)

    assert finish.ending is Ending.LOST
    assert _job(bench, claim).status is Status.QUEUE


def test_a_deadline_ends_what_never_ends(bench, provider, dispatched, worker_id, monkeypatch):
    claim = dispatched()
    _shorten_deadline(bench, monkeypatch, 0.05)
    provider.on_check = lambda: Running(progress=None, log=None, poll_after_s=0.01)

    finish = generate(bench, claim, worker_id, StopSignal())

    assert finish.ending is Ending.FAILED
    assert _job(bench, claim).error_code == "timed_out"
    assert len(provider.cancelled) == 1


def _shorten_deadline(bench, monkeypatch, seconds) -> None:
    spec = bench.catalogue.find(MODEL)
    offers = tuple(offer.model_copy(update={"deadline_s": seconds}) for offer in spec.offers)
    hasty = spec.model_copy(update={"offers": offers})
    monkeypatch.setattr(type(bench.catalogue), "find", lambda *_: hasty)


def test_a_rescued_job_does_not_start_its_deadline_anew(bench, provider, dispatched, worker_id):
    claim = dispatched()
    _die_after_submitting(bench, claim, worker_id)
    _submitted_long_ago(bench, claim, timedelta(seconds=601))
    provider.on_check = lambda: Running(progress=None, log=None, poll_after_s=60)

    finish = generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    assert finish.ending is Ending.FAILED
    assert _job(bench, claim).error_message == "not finished within 600 s"
    assert len(provider.cancelled) == 1


def test_a_picture_that_was_finished_while_nobody_looked_is_kept_however_late(
    bench, provider, dispatched, worker_id
):
    claim = dispatched()
    _die_after_submitting(bench, claim, worker_id)
    _submitted_long_ago(bench, claim, timedelta(days=1))

    assert generate(bench, dispatched(claim.job_id), worker_id, StopSignal()).ending is Ending.SUCCEEDED


def _submitted_long_ago(bench, claim, age) -> None:
    with bench.database.transaction() as session:
        session.execute(
            update(Attempt)
            .where(Attempt.job_id == claim.job_id)
            .values(submitted_at=func.clock_timestamp() - age)
        )


def test_a_provider_that_stumbles_while_asked_is_asked_again(bench, provider, dispatched, worker_id):
    claim = dispatched()
    answers = iter([Unavailable("502", retry_after_s=0.01), None])
    done = provider.on_check

    def check():
        error = next(answers)
        if error is not None:
            raise error
        return done()

    provider.on_check = check

    assert generate(bench, claim, worker_id, StopSignal()).ending is Ending.SUCCEEDED
    assert len(provider.submitted) == 1


def test_a_ticket_survives_a_postgres_that_goes_away(bench, provider, dispatched, worker_id):
    claim = dispatched()

    def cut_every_connection() -> None:
        bench.database.engine.pool.dispose()
        _terminate_backends(bench)

    provider.on_submit = cut_every_connection

    finish = generate(bench, claim, worker_id, StopSignal())

    assert finish.ending is Ending.SUCCEEDED
    assert len(provider.submitted) == 1


def _terminate_backends(bench) -> None:
    with bench.database.engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def test_a_stop_signal_wakes_whoever_waits():
    stop = StopSignal()
    threading.Timer(0.01, lambda: stop.ask(StopReason.KILLED)).start()

    assert stop.wait(30)


@pytest.mark.parametrize("second", list(StopReason))
def test_the_first_reason_to_stop_stays(second):
    stop = StopSignal()

    stop.ask(StopReason.KILLED)
    stop.ask(second)

    assert stop.reason is StopReason.KILLED


def _raise(error):
    def answer(*_):
        raise error

    return answer


@pytest.mark.parametrize(
    "error", [RateLimited("slow"), Unavailable("502"), BadCredentials("key"), MalformedResponse("?")]
)
def test_a_ticket_is_never_given_up_because_of_a_question(bench, provider, dispatched, worker_id, error):
    done = provider.on_check
    provider.on_check = _raise(error)
    claim = dispatched()

    first = generate(bench, claim, worker_id, StopSignal())
    provider.on_check = done
    second = generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    assert (first.ending, second.ending) == (Ending.HANDED_OVER, Ending.SUCCEEDED)
    assert len(provider.submitted) == 1


def test_a_paid_picture_that_cannot_be_fetched_now_is_fetched_later(bench, provider, dispatched, worker_id):
    fetch = provider.on_fetch
    provider.on_fetch = _raise(Unavailable("502"))
    claim = dispatched()

    first = generate(bench, claim, worker_id, StopSignal())
    provider.on_fetch = fetch
    second = generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    assert (first.ending, second.ending) == (Ending.HANDED_OVER, Ending.SUCCEEDED)
    assert len(provider.submitted) == 1


def test_a_shutdown_while_the_provider_is_away_hands_over(bench, provider, dispatched, worker_id):
    claim = dispatched()
    stop = StopSignal()

    def check():
        stop.ask(StopReason.SHUTDOWN)
        raise Unavailable("502")

    provider.on_check = check

    finish = generate(bench, claim, worker_id, stop)

    assert (finish.ending, finish.reason) == (Ending.HANDED_OVER, "its worker is shutting down")
    assert _attempts(bench, claim) == [(AttemptState.SUBMITTED, None)]


def test_a_shutdown_before_anything_was_sent_leaves_no_attempt(bench, provider, dispatched, worker_id):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    claim = dispatched()
    stop = StopSignal()
    stop.ask(StopReason.SHUTDOWN)

    first = generate(bench, claim, worker_id, stop)
    second = generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    assert (first.ending, second.ending) == (Ending.HANDED_OVER, Ending.SUCCEEDED)


def test_a_model_this_worker_does_not_know_waits_for_one_that_does(bench, dispatched, worker_id, monkeypatch):
    claim = dispatched()
    _die_after_submitting(bench, claim, worker_id)
    again = dispatched(claim.job_id)

    with monkeypatch.context() as other_version:
        other_version.setattr(type(bench.catalogue), "find", _raise(UnknownModel("x", "no such model", ())))
        finish = generate(bench, again, worker_id, StopSignal())

    assert finish.ending is Ending.HANDED_OVER
    assert _attempts(bench, claim) == [(AttemptState.SUBMITTED, None)]


def test_a_ticket_that_comes_after_the_job_was_killed_is_cancelled(bench, provider, dispatched, worker_id):
    claim = dispatched()

    def killed_meanwhile() -> None:
        with bench.database.transaction() as session:
            transitions.rescue(session, Job.id == claim.job_id, "worker was silent")
            transitions.request_kill(session, claim.job_id)
        stops.finish_stops(bench.database, bench.providers)

    provider.on_submit = killed_meanwhile

    finish = generate(bench, claim, worker_id, StopSignal())

    assert finish.ending is Ending.LOST
    assert len(provider.cancelled) == 1
    assert _attempts(bench, claim) == [(AttemptState.CANCELLED, None)]


def test_a_cancel_is_asked_for_more_than_once(bench, provider, dispatched, worker_id, monkeypatch):
    monkeypatch.setattr(stopping, "CANCEL_AGAIN_S", 0)
    claim = dispatched()
    stop = StopSignal()
    answers = iter([Unavailable("502"), None])

    def check():
        stop.ask(StopReason.KILLED)
        return _forever()

    def cancel(_ticket):
        error = next(answers)
        if error:
            raise error
        return CancelOutcome.CANCELLED

    provider.on_check, provider.cancel = check, cancel

    generate(bench, claim, worker_id, stop)

    assert _job(bench, claim).stopped_how is StopOutcome.CANCELLED


def test_a_nul_in_what_a_provider_says_is_no_trouble(bench, provider, dispatched, worker_id):
    claim = dispatched()
    answers = iter([Running(0.5, "half\0way", 0.01), Failed(ContentRefused("n\0o"), None)])
    provider.on_check = lambda: next(answers)

    finish = generate(bench, claim, worker_id, StopSignal())

    assert finish.ending is Ending.FAILED
    assert _job(bench, claim).error_message == "no"
