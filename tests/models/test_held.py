"""What becomes of a job when the answer to a paid request was lost."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from models import queries, transitions
from models.attempt import Attempt
from models.attempts import Assigned, Failure
from models.errors import StaleTransition
from models.job import Job
from models.lifecycle import AttemptState, Billed, Outcome, Status, StopOutcome
from models.session import Database
from models.transitions import Claim

LOST = Failure("submission_unknown", "the connection broke", request_id="r-1", state=AttemptState.UNKNOWN)
WRITTEN_OFF = Failure("submission_unknown", "the connection broke", state=AttemptState.WRITTEN_OFF)


@pytest.fixture
def attempt(database: Database, claim: Claim, worker_id: int) -> Assigned:
    """Intended, and maybe sent."""
    return _assigned(database, claim, worker_id)


@pytest.fixture
def held(database: Database, claim: Claim, attempt: Assigned) -> int:
    """A held job's number."""
    with database.transaction() as session:
        transitions.hold(session, claim, attempt.id, LOST)
    return claim.job_id


def _assigned(database: Database, claim: Claim, worker_id: int) -> Assigned:
    with database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        return transitions.assign(session, claim, provider="wiro", remote_id="a/b")


def _dispatched(database: Database, job_id: int) -> Claim:
    with database.transaction() as session:
        [row] = transitions.dispatch(session, "wiro", [job_id])
        return Claim(row.id, row.claim)


def _job(database: Database, job_id: int) -> Job:
    with database.transaction() as session:
        return queries.job(session, job_id)


def _attempts(database: Database, job_id: int) -> list[Attempt]:
    with database.transaction() as session:
        return list(queries.attempts(session, job_id))


def _reasons(database: Database, job_id: int) -> list[str | None]:
    with database.transaction() as session:
        return [event.reason for event in queries.trail(session, job_id)]


def _at_once(*acts) -> list[object]:
    """What each says, all begun at the same moment on connections of their own."""
    said: list[object] = []
    gate = threading.Barrier(len(acts))

    def run(act) -> None:
        gate.wait()
        try:
            said.append(act())
        except StaleTransition:
            said.append("stale")

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def test_a_lost_answer_is_held(database, held):
    job = _job(database, held)
    [attempt] = _attempts(database, held)

    assert (job.status, job.outcome, job.worker_id) == (Status.QUEUE, None, None)
    assert job.held_at is not None
    assert (attempt.state, attempt.finished_at, attempt.billed) == (AttemptState.UNKNOWN, None, None)
    assert (attempt.error_code, attempt.request_id) == ("submission_unknown", "r-1")
    assert _reasons(database, held)[-1] == "submission_unknown: held until somebody decides"


def test_a_held_job_is_not_dispatched(database, held):
    with database.transaction() as session:
        assert transitions.dispatch(session, "wiro", [held]) == []


def test_no_worker_can_write_about_a_held_job(database, claim, attempt, held):
    with pytest.raises(StaleTransition), database.transaction() as session:
        transitions.start(session, claim, attempt.id)


def test_a_held_job_is_neither_rescued_nor_recalled(database, held):
    with database.transaction() as session:
        moved = transitions.rescue(session, Job.id == held, "its worker died")
        moved += transitions.give_back(session, Job.id == held, "its worker had ended")
        moved += transitions.recall(session, Job.id == held, "Redis lost its messages")

    assert moved == []
    assert _job(database, held).held_at is not None


def test_the_database_lets_no_message_of_a_held_job_out(database, held):
    statement = text("UPDATE jobs SET dispatched_at = now() WHERE id = :id")

    with pytest.raises(IntegrityError, match="held_waits"), database.transaction() as session:
        session.execute(statement, {"id": held})


def test_a_held_job_is_sent_again_by_decision(database, held, worker_id):
    with database.transaction() as session:
        assert transitions.resend(session, held, "not in the vendor's list")

    again = _assigned(database, _dispatched(database, held), worker_id)
    assert (again.number, again.state, again.is_taken_over) == (2, AttemptState.INTENT, False)
    assert [(a.state, a.billed) for a in _attempts(database, held)] == [
        (AttemptState.WRITTEN_OFF, Billed.UNKNOWN),
        (AttemptState.INTENT, None),
    ]
    assert "to be sent again: not in the vendor's list" in _reasons(database, held)


def test_of_two_who_send_a_held_job_again_one_does(database, held, worker_id):
    def resend() -> bool:
        with database.transaction() as session:
            return transitions.resend(session, held, "twice")

    assert sorted(_at_once(resend, resend)) == [False, True]

    _assigned(database, _dispatched(database, held), worker_id)
    assert len(_attempts(database, held)) == 2


def test_a_held_job_goes_on_with_a_ticket_that_was_found(database, held, worker_id):
    with database.transaction() as session:
        assert transitions.adopt(session, held, {"id": "found"})

    taken = _assigned(database, _dispatched(database, held), worker_id)
    assert (taken.number, taken.ticket, taken.state) == (1, {"id": "found"}, AttemptState.SUBMITTED)
    assert taken.submitted_at is not None


def test_what_was_sent_again_is_not_adopted(database, held):
    with database.transaction() as session:
        transitions.resend(session, held, "not found")

    with database.transaction() as session:
        assert not transitions.adopt(session, held, {"id": "found after all"})

    [attempt] = _attempts(database, held)
    assert (attempt.state, attempt.ticket) == (AttemptState.WRITTEN_OFF, None)


def test_what_was_adopted_is_not_sent_again(database, held):
    with database.transaction() as session:
        transitions.adopt(session, held, {"id": "found"})

    with database.transaction() as session:
        assert not transitions.resend(session, held, "not found")

    assert [a.state for a in _attempts(database, held)] == [AttemptState.SUBMITTED]


def test_a_held_job_is_given_up(database, held):
    with database.transaction() as session:
        assert transitions.give_up(session, held)

    job = _job(database, held)
    [attempt] = _attempts(database, held)
    assert (job.outcome, job.error_code, job.held_at) == (Outcome.FAILED, "submission_unknown", None)
    assert (attempt.state, attempt.billed) == (AttemptState.UNKNOWN, Billed.UNKNOWN)
    assert attempt.finished_at is not None


def test_only_held_jobs_are_decided_about(database, job_id):
    with database.transaction() as session:
        decided = [
            transitions.resend(session, job_id, "why not"),
            transitions.adopt(session, job_id, {"id": "t"}),
            transitions.give_up(session, job_id),
        ]

    assert decided == [False, False, False]
    assert _job(database, job_id).outcome is None


def test_a_held_job_can_be_killed(database, held):
    with database.transaction() as session:
        assert not transitions.cancel(session, held)
        assert transitions.request_kill(session, held)
        [wanted] = queries.unheld_kills(session, 10)
        transitions.kill_unheld(session, Claim(held, wanted.claim), StopOutcome.UNKNOWN)

    job = _job(database, held)
    assert (job.outcome, job.stopped_how, job.held_at) == (Outcome.KILLED, StopOutcome.UNKNOWN, None)
    assert [a.state for a in _attempts(database, held)] == [AttemptState.UNKNOWN]


def test_a_job_that_is_to_be_killed_is_not_bought_again(database, held):
    with database.transaction() as session:
        transitions.request_kill(session, held)

    with database.transaction() as session:
        assert not transitions.resend(session, held, "too late")


def test_a_kill_and_a_hold_at_once_leave_one_of_the_two(database, claim, attempt):
    def kill() -> str:
        with database.transaction() as session:
            transitions.kill(session, claim, StopOutcome.UNKNOWN, attempt.id)
        return "killed"

    def hold() -> str:
        with database.transaction() as session:
            transitions.hold(session, claim, attempt.id, LOST)
        return "held"

    said = _at_once(kill, hold)

    job = _job(database, claim.job_id)
    assert sorted(said) in (["held", "stale"], ["killed", "stale"])
    assert (job.held_at is not None) == ("held" in said)
    assert (job.outcome is Outcome.KILLED) == ("killed" in said)


def test_an_answer_that_comes_late_releases_the_job(database, attempt, held, worker_id):
    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "late"})

    taken = _assigned(database, _dispatched(database, held), worker_id)
    assert (taken.id, taken.ticket) == (attempt.id, {"id": "late"})
    assert "its answer came late" in _reasons(database, held)


def test_an_answer_that_comes_after_the_end_opens_nothing(database, attempt, held):
    with database.transaction() as session:
        transitions.give_up(session, held)

    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "late"})

    [kept] = _attempts(database, held)
    assert kept.ticket == {"id": "late"}  # a person may want to look it up, and it may be on the bill
    assert (kept.state, kept.billed) == (AttemptState.UNKNOWN, Billed.UNKNOWN)
    assert kept.finished_at is not None


@pytest.mark.parametrize("_round", range(5))
def test_a_hold_and_the_late_answer_at_once_lose_no_ticket(database, claim, attempt, _round):
    def hold() -> None:
        with database.transaction() as session:
            transitions.hold(session, claim, attempt.id, LOST)

    def answer() -> None:
        with database.transaction() as session:
            transitions.record_ticket(session, attempt.id, {"id": "late"})

    _at_once(hold, answer)

    [kept] = _attempts(database, claim.job_id)
    job = _job(database, claim.job_id)
    assert (kept.state, kept.ticket) == (AttemptState.SUBMITTED, {"id": "late"})
    assert (job.status, job.held_at) == (Status.QUEUE, None)


@pytest.mark.parametrize("verb", ["retry", "fail", "hold"])
def test_what_is_answered_late_is_neither_written_off_nor_failed(database, claim, attempt, verb):
    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "late"})

    with database.transaction() as session:
        match verb:
            case "retry":
                transitions.retry(session, claim, attempt.id, WRITTEN_OFF, timedelta(0))
            case "fail":
                transitions.fail(session, claim, LOST, attempt.id)
            case "hold":
                transitions.hold(session, claim, attempt.id, LOST)

    [kept] = _attempts(database, claim.job_id)
    job = _job(database, claim.job_id)
    assert (kept.state, kept.ticket) == (AttemptState.SUBMITTED, {"id": "late"})
    assert (job.status, job.held_at) == (Status.QUEUE, None)
    assert _reasons(database, claim.job_id)[-1] == "its answer came late"


def test_a_ticket_that_the_worker_knows_of_can_be_written_off(database, claim, attempt):
    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "known"})
        transitions.start(session, claim, attempt.id)

    with database.transaction() as session:
        transitions.retry(session, claim, attempt.id, WRITTEN_OFF, timedelta(0))

    assert [a.state for a in _attempts(database, claim.job_id)] == [AttemptState.WRITTEN_OFF]


def test_a_policy_writes_off_and_buys_again(database, claim, attempt, worker_id):
    with database.transaction() as session:
        transitions.retry(session, claim, attempt.id, WRITTEN_OFF, timedelta(0))

    again = _assigned(database, _dispatched(database, claim.job_id), worker_id)
    assert again.number == 2
    assert [a.billed for a in _attempts(database, claim.job_id)] == [Billed.UNKNOWN, None]


def test_a_doubt_stays_open_for_whoever_takes_the_job_over(database, claim, attempt, worker_id):
    with database.transaction() as session:
        transitions.doubt(session, attempt.id)
        transitions.doubt(session, attempt.id)
        transitions.hand_over(session, claim, attempt.id, "to be asked again", timedelta(0))

    taken = _assigned(database, _dispatched(database, claim.job_id), worker_id)
    assert (taken.id, taken.state, taken.is_taken_over) == (attempt.id, AttemptState.UNKNOWN, True)
    assert taken.intended_at == attempt.intended_at


def test_a_ticket_is_no_doubt(database, attempt):
    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "t"})

    with database.transaction() as session:
        transitions.doubt(session, attempt.id)

    with database.transaction() as session:
        assert session.get_one(Attempt, attempt.id).state is AttemptState.SUBMITTED


def test_what_was_written_off_may_have_cost_money_when_the_job_is_cancelled(database, held):
    with database.transaction() as session:
        transitions.resend(session, held, "not found")

    with database.transaction() as session:
        assert transitions.cancel(session, held)

    assert _job(database, held).stopped_how is StopOutcome.UNKNOWN
