"""What becomes of a job when the answer to a paid request was lost, or its worker died around it."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from models import transitions
from models.job import Job
from models.lifecycle import AttemptState, Billed, OnUnknown, Outcome, Status, StopOutcome
from providers.base import CancelOutcome, Failed, LostAnswer, Running
from providers.errors import BadCredentials, GenerationFailed, SubmissionUnknown, Unavailable
from workers import asking, lost_answers, stopping
from workers.generate import generate
from workers.running import StopReason, StopSignal
from workers.turn import Ending


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(asking, "LONGEST_PAUSE_S", 0.001)
    monkeypatch.setattr(stopping, "CANCEL_AGAIN_S", 0)


@pytest.fixture
def _nothing_is_on_its_way(monkeypatch):
    monkeypatch.setattr(lost_answers, "ON_ITS_WAY", timedelta(0))


def _lose(*_) -> None:
    raise SubmissionUnknown("the connection broke", request_id="r-1")


def _lose_once(provider) -> None:
    def lose() -> None:
        provider.on_answer = lambda: None
        _lose()

    provider.on_answer = lose


def _unavailable(*_) -> None:
    raise Unavailable("502")


# --- where one key is one purchase ---------------------------------------------------------------------


def test_a_lost_answer_is_sent_again_where_one_key_is_one_purchase(desk, provider, enqueue):
    job_id = enqueue()
    _lose_once(provider)

    endings = [desk.run(job_id).ending for _ in range(2)]

    assert endings == [Ending.HANDED_OVER, Ending.SUCCEEDED]
    assert len({request.key for request in provider.submitted}) == 1
    assert list(provider.bought.values()) == [1]


# --- where it can be asked for -------------------------------------------------------------------------


def test_a_lost_answer_is_asked_for_where_the_id_was_ours(desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.ASK
    job_id = enqueue()
    _lose_once(provider)

    first = desk.run(job_id)
    _, [in_doubt] = desk.read(job_id)
    second = desk.run(job_id)

    assert (first.ending, first.delay) == (Ending.HANDED_OVER, lost_answers.ASK_AFTER)
    assert (in_doubt.state, in_doubt.finished_at) == (AttemptState.UNKNOWN, None)
    assert second.ending is Ending.SUCCEEDED
    assert len(provider.submitted) == 1


def test_what_may_still_be_on_its_way_is_not_sent_again(desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.ASK
    job_id = enqueue()
    desk.leave(job_id)

    finish = desk.run(job_id)

    assert (finish.ending, finish.delay) == (Ending.HANDED_OVER, lost_answers.ON_ITS_WAY)
    assert provider.submitted == []


@pytest.mark.usefixtures("_nothing_is_on_its_way")
def test_what_never_arrived_is_sent_again_under_the_same_key(desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.ASK
    job_id = enqueue()
    key = desk.leave(job_id)

    finish = desk.run(job_id)

    assert finish.ending is Ending.SUCCEEDED
    assert provider.bought == Counter([key])


@pytest.mark.usefixtures("_nothing_is_on_its_way")
@pytest.mark.parametrize(
    ("at_last", "ending"), [("never heard of", Ending.RETRYING), ("arrived", Ending.SUCCEEDED)]
)
def test_what_is_sent_again_in_vain_goes_elsewhere_some_time(desk, provider, enqueue, at_last, ending):
    provider.on_lost_answer = LostAnswer.ASK
    provider.on_submit = _lose
    job_id = enqueue()
    for _ in range(lost_answers.MOST_SENDS):
        desk.run(job_id)
    [attempt] = desk.read(job_id)[1]
    if at_last == "arrived":
        provider.bought[str(attempt.uuid)] += 1

    finish = desk.run(job_id)

    assert (finish.ending, len(provider.submitted)) == (ending, lost_answers.MOST_SENDS)
    if ending is Ending.RETRYING:
        [attempt] = desk.read(job_id)[1]
        assert (attempt.state, attempt.billed) == (AttemptState.FAILED, Billed.NO)


@pytest.mark.usefixtures("_nothing_is_on_its_way")
def test_what_was_not_asked_for_lately_is_only_sent_again_under_its_key(desk, provider, enqueue, monkeypatch):
    monkeypatch.setattr(lost_answers, "LATELY", timedelta(0))
    provider.on_lost_answer = LostAnswer.ASK
    provider.on_submit = _lose
    job_id = enqueue()

    endings = {desk.run(job_id).ending for _ in range(lost_answers.MOST_SENDS + 2)}

    assert endings == {Ending.HANDED_OVER}
    assert len({request.key for request in provider.submitted}) == 1


@pytest.mark.usefixtures("_nothing_is_on_its_way")
def test_what_arrives_just_before_it_is_sent_again_is_found(desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.ASK
    job_id = enqueue()
    key = desk.leave(job_id)
    provider.on_submit = lambda: provider.bought.update([key])

    finish = desk.run(job_id)

    assert finish.ending is Ending.SUCCEEDED
    assert provider.bought == Counter([key])


@pytest.mark.usefixtures("_nothing_is_on_its_way")
@pytest.mark.parametrize("error", [Unavailable("502"), BadCredentials("401")])
def test_while_nobody_answers_the_question_nothing_is_sent_again(desk, provider, enqueue, error):
    provider.on_lost_answer = LostAnswer.ASK
    job_id = enqueue()
    desk.leave(job_id)

    def refuse() -> None:
        raise error

    provider.on_find = refuse

    finish = desk.run(job_id)

    assert finish.ending is Ending.HANDED_OVER
    assert provider.submitted == []
    assert list(desk.breakers()) == ["sandbox"]


# --- where nobody knows --------------------------------------------------------------------------------


@pytest.fixture(params=["lost", "left"])
def unheard(request, desk, provider):
    """`unheard(job_id)`: the answer is lost in the next turn, or was when a worker died."""
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS

    def happen(job_id) -> None:
        if request.param == "lost":
            _lose_once(provider)
        else:
            desk.leave(job_id)

    return happen


def test_a_lost_answer_is_held_for_a_person(desk, enqueue, unheard):
    job_id = enqueue()
    unheard(job_id)

    finish = desk.run(job_id)

    job, [attempt] = desk.read(job_id)
    assert finish.ending is Ending.HELD
    assert (job.status, job.outcome, job.held_at is None) == (Status.QUEUE, None, False)
    assert (attempt.state, attempt.error_code, attempt.finished_at) == (
        AttemptState.UNKNOWN,
        "submission_unknown",
        None,
    )


def test_by_policy_a_lost_answer_fails_the_job(desk, enqueue, unheard):
    job_id = enqueue(on_unknown=OnUnknown.FAIL)
    unheard(job_id)

    finish = desk.run(job_id)

    job, [attempt] = desk.read(job_id)
    assert (finish.ending, job.error_code) == (Ending.FAILED, "submission_unknown")
    assert (attempt.state, attempt.billed) == (AttemptState.UNKNOWN, "unknown")


def test_by_policy_a_lost_answer_is_bought_again_as_another_attempt(desk, provider, enqueue, unheard):
    job_id = enqueue(on_unknown=OnUnknown.RESEND)
    unheard(job_id)

    endings = [desk.run(job_id).ending for _ in range(2)]

    _, attempts = desk.read(job_id)
    assert endings == [Ending.RETRYING, Ending.SUCCEEDED]
    assert [attempt.state for attempt in attempts] == [AttemptState.WRITTEN_OFF, AttemptState.DONE]
    assert set(provider.bought.values()) == {1}


def test_even_by_policy_it_is_not_bought_for_ever(desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    provider.on_answer = _lose
    job_id = enqueue(on_unknown=OnUnknown.RESEND)

    endings = [desk.run(job_id).ending for _ in range(3)]

    _, attempts = desk.read(job_id)
    assert endings == [Ending.RETRYING, Ending.RETRYING, Ending.FAILED]
    assert [attempt.state for attempt in attempts] == [
        AttemptState.WRITTEN_OFF,
        AttemptState.WRITTEN_OFF,
        AttemptState.UNKNOWN,
    ]


def test_the_policy_is_the_one_of_now(desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue()

    def change_it_and_lose() -> None:
        with desk.bench.database.transaction() as session:
            session.get_one(Job, job_id).on_unknown = OnUnknown.FAIL
        _lose()

    provider.on_answer = change_it_and_lose

    assert desk.run(job_id).ending is Ending.FAILED


def test_an_answer_that_comes_late_leaves_nothing_to_be_held(desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue()

    def come_by_another_way() -> None:
        _, [attempt] = desk.read(job_id)
        with desk.bench.database.transaction() as session:
            transitions.record_ticket(session, attempt.id, {"id": "late"})
        _lose()

    provider.on_answer = come_by_another_way

    endings = [desk.run(job_id).ending for _ in range(2)]

    assert endings == [Ending.HANDED_OVER, Ending.SUCCEEDED]
    assert len(provider.submitted) == 1


def test_what_a_person_found_is_asked_for_and_not_bought_again(desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue()
    _lose_once(provider)
    desk.run(job_id)
    with desk.bench.database.transaction() as session:
        transitions.adopt(session, job_id, provider.adopt("found"))

    assert desk.run(job_id).ending is Ending.SUCCEEDED
    assert len(provider.submitted) == 1


def test_a_lost_answer_is_trouble_and_a_dead_worker_is_none_of_the_offers(desk, enqueue, unheard):
    job_id = enqueue()
    unheard(job_id)
    was_left = bool(desk.read(job_id)[1])

    desk.run(job_id)

    assert desk.breakers() == ({} if was_left else {"sandbox": 1})


# --- a job that is to be killed ------------------------------------------------------------------------


@pytest.fixture
def killed():
    stop = StopSignal()
    stop.ask(StopReason.KILLED)
    return stop


@pytest.mark.parametrize("answer", [CancelOutcome.CANCELLED, CancelOutcome.CANNOT_CANCEL])
def test_a_kill_asks_first_for_what_may_have_been_sent(desk, provider, enqueue, killed, answer):
    provider.on_lost_answer = LostAnswer.ASK
    provider.cancel_outcome = answer
    provider.on_check = lambda: Running(None, None, 60)
    job_id = enqueue()
    key = desk.leave(job_id)
    provider.bought[key] += 1

    desk.run(job_id, killed)

    job, _ = desk.read(job_id)
    assert provider.cancelled == [{"id": key}]
    assert job.stopped_how == StopOutcome(answer)


@pytest.mark.parametrize("kind", list(LostAnswer))
def test_a_kill_of_what_nobody_knows_of_ends_as_unknown(desk, provider, enqueue, killed, kind):
    provider.on_lost_answer = kind
    job_id = enqueue()
    desk.leave(job_id)

    desk.run(job_id, killed)

    job, [attempt] = desk.read(job_id)
    assert (job.stopped_how, attempt.state) == (StopOutcome.UNKNOWN, AttemptState.UNKNOWN)
    assert provider.submitted == []


def test_a_kill_does_not_wait_for_a_provider_that_gives_no_answer(desk, provider, enqueue, killed):
    provider.on_lost_answer = LostAnswer.ASK
    provider.on_find = _unavailable
    job_id = enqueue()
    desk.leave(job_id)

    finish = desk.run(job_id, killed)

    job, _ = desk.read(job_id)
    assert (finish.ending, job.stopped_how) == (Ending.STOPPED, StopOutcome.UNKNOWN)


def test_a_kill_between_two_purchases_does_not_say_that_nothing_was_bought(desk, provider, enqueue, killed):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue(on_unknown=OnUnknown.RESEND)
    _lose_once(provider)
    desk.run(job_id)

    desk.run(job_id, killed)

    job, _ = desk.read(job_id)
    assert job.stopped_how is StopOutcome.UNKNOWN
    assert len(provider.submitted) == 1


def test_a_kill_after_a_failure_that_may_have_cost_money_does_not_say_that_nothing_was_bought(
    desk, provider, enqueue, killed
):
    job_id = enqueue(on_unknown=OnUnknown.RESEND)
    provider.on_check = lambda: Failed(GenerationFailed("it broke"), None)
    desk.run(job_id)

    desk.run(job_id, killed)

    job, _ = desk.read(job_id)
    assert job.stopped_how is StopOutcome.UNKNOWN


@pytest.mark.parametrize("answer", [CancelOutcome.CANCELLED, CancelOutcome.CANNOT_CANCEL])
def test_a_ticket_that_comes_after_its_attempt_was_written_off_is_stopped_and_told(
    desk, provider, enqueue, answer, caplog
):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    provider.cancel_outcome = answer
    job_id = enqueue(on_unknown=OnUnknown.RESEND)

    def taken_for_dead() -> None:
        provider.on_answer = lambda: None
        with desk.bench.database.transaction() as session:
            transitions.rescue(session, Job.id == job_id, "worker was silent")
        desk.run(job_id)  # the next worker writes it off

    provider.on_answer = taken_for_dead

    finish = desk.run(job_id)

    job, attempts = desk.read(job_id)
    [first] = attempts
    assert (finish.ending, job.outcome, first.state) == (Ending.LOST, None, AttemptState.WRITTEN_OFF)
    assert provider.cancelled == [{"id": str(first.uuid)}]
    assert [record.ticket for record in caplog.records if hasattr(record, "ticket")] == provider.cancelled


def test_two_tickets_for_one_purchase_are_both_wanted(desk, provider, enqueue, caplog):
    job_id = enqueue()

    def answered_before() -> None:
        [attempt] = desk.read(job_id)[1]
        with desk.bench.database.transaction() as session:
            transitions.rescue(session, Job.id == job_id, "worker was silent")
            transitions.record_ticket(session, attempt.id, {"id": str(attempt.uuid), "submitted_at": 1})

    provider.on_answer = answered_before

    finish = desk.run(job_id)

    assert (finish.ending, provider.cancelled) == (Ending.LOST, [])
    assert [record for record in caplog.records if hasattr(record, "ticket")] == []


# --- kill -9 at every line -----------------------------------------------------------------------------


class _Killed(BaseException):
    """What `kill -9` is to the lines that come after: they do not."""


class _Fuse:
    """Burns a little whenever the outside is touched; at its end the worker is killed."""

    def __init__(self, length: int) -> None:
        self.left = length

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise _Killed


class _Fragile:
    """A database that burns the fuse before and after each unit of work."""

    def __init__(self, database, fuse: _Fuse) -> None:
        self._database = database
        self._fuse = fuse

    @contextmanager
    def transaction(self):
        self._fuse.burn()
        with self._database.transaction() as session:
            yield session
        self._fuse.burn()

    @contextmanager
    def statement(self):
        self._fuse.burn()
        with self._database.statement() as connection:
            yield connection
        self._fuse.burn()


KINDS = [
    (LostAnswer.SEND_AGAIN, OnUnknown.HOLD),
    (LostAnswer.ASK, OnUnknown.HOLD),
    (LostAnswer.NOBODY_KNOWS, OnUnknown.HOLD),
    (LostAnswer.NOBODY_KNOWS, OnUnknown.FAIL),
    (LostAnswer.NOBODY_KNOWS, OnUnknown.RESEND),
]


@pytest.fixture
def to_the_end(desk, provider, dispatched, worker_id):
    """`to_the_end(fuse, job_id) -> Job` after all its turns; the worker is killed when the fuse has burnt."""
    check, fetch = provider.on_check, provider.on_fetch

    def run(fuse, job_id) -> Job:
        provider.on_submit = provider.on_find = fuse.burn
        provider.on_check = lambda: (fuse.burn(), check())[1]
        provider.on_fetch = lambda: (fuse.burn(), fetch())[1]
        fragile = replace(desk.bench, database=_Fragile(desk.bench.database, fuse))
        claim = dispatched(job_id)
        while True:
            try:
                generate(fragile, claim, worker_id, StopSignal())
            except _Killed:
                with desk.bench.database.transaction() as session:
                    transitions.rescue(session, Job.id == job_id, "worker was killed")
            job, _ = desk.read(job_id)
            if job.outcome is not None or job.held_at is not None:
                return job
            claim = claim if job.dispatched_at is not None else dispatched(job_id)

    return run


@pytest.mark.usefixtures("_nothing_is_on_its_way")
@pytest.mark.parametrize("kind_and_policy", KINDS, ids="-".join)
def test_wherever_a_worker_is_killed_the_books_agree(desk, provider, enqueue, to_the_end, kind_and_policy):
    provider.on_lost_answer, policy = kind_and_policy
    for length in range(1, 100):
        fuse = _Fuse(length)
        provider.bought.clear()
        provider.on_answer = fuse.burn

        job = to_the_end(fuse, enqueue(on_unknown=policy))

        _assert_books_agree(desk, provider, job)
        if fuse.left > 0:
            return
    pytest.fail("the job never came to its end unharmed")


@pytest.mark.usefixtures("_nothing_is_on_its_way")
@pytest.mark.parametrize("kind_and_policy", KINDS, ids="-".join)
def test_wherever_it_is_killed_over_a_lost_answer_the_books_agree(
    desk, provider, enqueue, to_the_end, kind_and_policy
):
    provider.on_lost_answer, policy = kind_and_policy
    for length in range(1, 100):
        fuse = _Fuse(length)
        provider.bought.clear()
        _lose_once(provider)

        job = to_the_end(fuse, enqueue(on_unknown=policy))

        _assert_books_agree(desk, provider, job)
        if fuse.left > 0:
            return
    pytest.fail("the job never came to its end unharmed")


def _assert_books_agree(desk, provider, job) -> None:
    """Every charge is one attempt's, nobody says of it that it cost nothing, and no job has two in vain."""
    _, attempts = desk.read(job.id)
    states = {str(attempt.uuid): attempt.state for attempt in attempts}
    may_have_cost = {AttemptState.DONE, AttemptState.UNKNOWN, AttemptState.WRITTEN_OFF}
    assert set(provider.bought.values()) <= {1}
    assert all(states[key] in may_have_cost for key in provider.bought)
    if provider.on_lost_answer is not LostAnswer.NOBODY_KNOWS:
        assert (job.outcome, len(attempts)) == (Outcome.SUCCEEDED, 1)
    elif job.on_unknown is OnUnknown.RESEND:
        assert job.outcome is Outcome.SUCCEEDED
    else:
        assert len(attempts) == 1
