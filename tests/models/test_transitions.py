"""What can happen to a job, and what cannot."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from models import queries, transitions, turns
from models.attempts import Assigned, Cost, Failure
from models.errors import StaleTransition
from models.job import Job
from models.lifecycle import AttemptState, Billed, OnUnknown, Outcome, Route, Status, StopOutcome
from models.session import Database
from models.transitions import Claim, NewJob, NewOutput

A_PICTURE = NewOutput("0.png", "key", "ab/0.png", "image/png", 10, "00", 64, 64, 42)


def _assigned(database: Database, claim: Claim, worker_id: int) -> Assigned:
    with database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        return transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")


def _started(database: Database, claim: Claim, worker_id: int) -> Assigned:
    attempt = _assigned(database, claim, worker_id)
    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "t"})
        transitions.start(session, claim, attempt.id)
    return attempt


def _dispatched(database: Database, job_id: int) -> Claim:
    with database.transaction() as session:
        [row] = transitions.dispatch(session, "sandbox", [job_id])
        return Claim(row.id, row.claim)


def _job(database: Database, job_id: int) -> Job:
    with database.transaction() as session:
        return queries.job(session, job_id)


def _trail(database: Database, job_id: int) -> list[tuple[int, Status]]:
    with database.transaction() as session:
        return [(event.seq, event.status) for event in queries.trail(session, job_id)]


def test_a_job_goes_all_the_way_and_every_status_is_in_the_ledger(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)

    with database.transaction() as session:
        transitions.output(session, claim, attempt.id, "50 %")
        transitions.end(session, claim, attempt.id)
        transitions.start_postprocess(session, claim, attempt.id)
        transitions.succeed(session, claim, attempt.id, [A_PICTURE], Cost(Decimal("0.04"), is_estimate=False))

    job = _job(database, claim.job_id)
    assert (job.status, job.outcome, job.cost_usd) == (
        Status.POSTPROCESS_END,
        Outcome.SUCCEEDED,
        Decimal("0.04"),
    )
    assert not job.cost_is_estimate
    assert _trail(database, claim.job_id) == list(
        enumerate([s for s in Status if s is not Status.CANCEL], start=1)
    )
    with database.transaction() as session:
        assert [kept.sha256 for kept in queries.outputs(session, claim.job_id)] == ["00"]
        assert [(a.state, a.billed) for a in queries.attempts(session, claim.job_id)] == [
            (AttemptState.DONE, Billed.YES)
        ]


def test_each_event_carries_its_own_time(database, claim, worker_id):
    _started(database, claim, worker_id)

    with database.transaction() as session:
        times = [event.at for event in queries.trail(session, claim.job_id)]

    assert times == sorted(set(times))


def test_of_two_workers_with_one_message_one_runs_it(database, claim, worker_id):
    results = []

    def take() -> None:
        try:
            with database.transaction() as session:
                transitions.accept(session, claim, worker_id)
            results.append("accepted")
        except StaleTransition:
            results.append("stale")

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == ["accepted"] + ["stale"] * 7


def test_an_old_claim_is_refused(database, claim, worker_id):
    old = Claim(claim.job_id, claim.number - 1)

    with pytest.raises(StaleTransition), database.transaction() as session:
        transitions.accept(session, old, worker_id)


def test_an_arrow_out_of_order_is_refused(database, claim):
    with pytest.raises(StaleTransition), database.transaction() as session:
        transitions.end(session, claim, 1)


def test_a_refused_arrow_writes_no_event(database, claim):
    with pytest.raises(StaleTransition), database.transaction() as session:
        transitions.end(session, claim, 1)

    assert _trail(database, claim.job_id) == [(1, Status.QUEUE)]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE job_events SET reason = 'x'", "DELETE FROM job_events", "TRUNCATE job_events"],
)
def test_the_ledger_cannot_be_changed(database, job_id, statement):
    with pytest.raises(ProgrammingError, match="append-only"), database.transaction() as session:
        session.execute(text(statement))


def test_a_rescued_job_cannot_be_finished_by_its_ghost(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)
    with database.transaction() as session:
        transitions.rescue(session, Job.worker_id == worker_id, "worker was killed")

    with pytest.raises(StaleTransition), database.transaction() as session:
        transitions.end(session, claim, attempt.id)

    assert _trail(database, claim.job_id)[-1] == (7, Status.QUEUE)


def test_a_rescued_job_is_taken_over_with_its_ticket(database, claim, worker_id):
    first = _started(database, claim, worker_id)
    with database.transaction() as session:
        transitions.rescue(session, Job.worker_id == worker_id, "worker was killed")

    second = _assigned(database, _dispatched(database, claim.job_id), worker_id)

    assert (second.id, second.ticket, second.is_taken_over) == (first.id, {"id": "t"}, True)
    with database.transaction() as session:
        reasons = [event.reason for event in queries.trail(session, claim.job_id)]
    assert reasons[4] == "attempt 1 at sandbox"
    assert reasons[-1] == "taking over attempt 1, submitted, at sandbox"


def test_a_ghost_can_still_leave_its_ticket(database, claim, worker_id):
    attempt = _assigned(database, claim, worker_id)
    with database.transaction() as session:
        transitions.rescue(session, Job.worker_id == worker_id, "worker was silent")

    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "late"})

    with database.transaction() as session:
        assert queries.attempts(session, claim.job_id)[0].ticket == {"id": "late"}


def test_a_ticket_may_be_recorded_twice_but_not_replaced(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)

    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "t"})
    with pytest.raises(StaleTransition), database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "another"})


def test_a_job_has_one_open_attempt_at_most(database, claim, worker_id):
    _assigned(database, claim, worker_id)
    statement = text(
        "INSERT INTO attempts (job_id, number, provider, remote_id) VALUES (:job, 2, 'sandbox', 'sandbox')"
    )

    with pytest.raises(IntegrityError, match="uq_attempts_open"), database.transaction() as session:
        session.execute(statement, {"job": claim.job_id})


def test_a_job_that_takes_down_three_workers_is_quarantined(database, job_id, worker_id):
    for _ in range(3):
        _assigned(database, _dispatched(database, job_id), worker_id)
        with database.transaction() as session:
            transitions.rescue(session, Job.worker_id == worker_id, "worker was killed")

    job = _job(database, job_id)
    assert (job.outcome, job.error_code, job.worker_deaths) == (Outcome.FAILED, "quarantined", 3)
    with database.transaction() as session:
        assert [a.state for a in queries.attempts(session, job_id)] == [AttemptState.UNKNOWN]


def test_a_retry_waits_and_keeps_the_failed_attempt(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)

    with database.transaction() as session:
        transitions.retry(session, claim, attempt.id, Failure("unavailable", "503"), timedelta(seconds=60))

    with database.transaction() as session:
        assert turns.streams(session) == []  # not due yet
        assert [(a.state, a.error_code) for a in queries.attempts(session, claim.job_id)] == [
            (AttemptState.FAILED, "unavailable")
        ]
    assert _job(database, claim.job_id).status is Status.QUEUE


def test_a_handed_over_job_goes_on_with_its_open_attempt(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)

    with database.transaction() as session:
        transitions.hand_over(session, claim, attempt.id, "shutting down", timedelta(0))

    second = _assigned(database, _dispatched(database, claim.job_id), worker_id)
    assert second.id == attempt.id
    assert _job(database, claim.job_id).worker_deaths == 0


def test_a_failed_job_ends_as_wiro_ends_it(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)

    with database.transaction() as session:
        transitions.fail(session, claim, Failure("content_refused", "moderated"), attempt.id)

    job = _job(database, claim.job_id)
    assert (job.status, job.outcome, job.error_message) == (
        Status.POSTPROCESS_END,
        Outcome.FAILED,
        "moderated",
    )


def test_a_cancelled_job_is_never_accepted(database, claim, worker_id):
    with database.transaction() as session:
        assert transitions.cancel(session, claim.job_id)

    with pytest.raises(StaleTransition), database.transaction() as session:
        transitions.accept(session, claim, worker_id)

    job = _job(database, claim.job_id)
    assert (job.outcome, job.stopped_how) == (Outcome.CANCELLED, StopOutcome.NEVER_STARTED)


def test_cancelling_twice_is_harmless_and_writes_one_event(database, job_id):
    with database.transaction() as session:
        first = transitions.cancel(session, job_id)
    with database.transaction() as session:
        second = transitions.cancel(session, job_id)

    assert (first, second) == (True, False)
    assert _trail(database, job_id) == [(1, Status.QUEUE), (2, Status.CANCEL)]


def test_a_running_job_is_not_cancelled_but_can_be_killed(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)

    with database.transaction() as session:
        assert not transitions.cancel(session, claim.job_id)
        assert transitions.request_kill(session, claim.job_id)
        assert [row.is_wanted_dead for row in queries.jobs_in_hands(session, worker_id)] == [True]
        transitions.kill(session, claim, StopOutcome.CANCELLED, attempt.id)

    assert _job(database, claim.job_id).outcome is Outcome.KILLED


def test_a_rescued_job_with_an_open_attempt_is_killed_not_cancelled(database, claim, worker_id):
    _started(database, claim, worker_id)
    with database.transaction() as session:
        transitions.rescue(session, Job.worker_id == worker_id, "worker was killed")

    with database.transaction() as session:
        assert not transitions.cancel(session, claim.job_id)
        assert transitions.request_kill(session, claim.job_id)
        assert [row.ticket for row in queries.unheld_kills(session, 10)] == [{"id": "t"}]
        assert turns.streams(session) == []  # not run again meanwhile


def test_a_job_that_opens_an_attempt_while_it_is_rescued_goes_back_with_it(
    database, claim, worker_id, eventually
):
    with database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        session.execute(text("UPDATE jobs SET reserved_usd = 0.04"))

    def rescue() -> None:
        with database.transaction() as session:
            transitions.rescue(session, Job.worker_id == worker_id, "worker was silent")

    def is_waited_for() -> bool:
        with database.transaction() as session:
            return session.execute(
                text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            ).scalar_one()

    sweep = threading.Thread(target=rescue)
    with database.transaction() as session:
        transitions.end_preprocess(session, claim)
        transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
        sweep.start()
        eventually(is_waited_for)
    sweep.join(60)

    job = _job(database, claim.job_id)
    assert (job.open_provider, job.reserved_usd) == ("sandbox", Decimal("0.04"))


def test_a_job_that_changes_hands_meanwhile_is_not_given_back(database, claim, worker_id):
    """Nor by a heartbeat, whose every statement is a unit of work of its own."""
    _assigned(database, claim, worker_id)
    changed = []

    def change_hands(_connection, _cursor, statement, *_) -> None:
        if "UPDATE jobs" not in statement or changed:
            return
        changed.append(claim)
        with database.transaction() as session:
            transitions.rescue(session, Job.id == claim.job_id, "worker was silent")
        with database.transaction() as session:
            transitions.accept(session, _dispatched(database, claim.job_id), worker_id)

    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        event.listen(connection, "before_cursor_execute", change_hands)
        with Session(connection) as session:
            mine = (Job.id == claim.job_id) & (Job.claim == claim.number)
            given_back = transitions.give_back(session, mine, "was left behind")

    assert given_back == []
    assert _job(database, claim.job_id).status is Status.ACCEPT


def test_a_message_that_is_being_taken_holds_up_no_recall(database, claim, project_id):
    with database.transaction() as session:
        [other] = transitions.enqueue(session, [NewJob(project_id, "a/b", {})])
    _dispatched(database, other.id)
    with database.engine.connect() as frozen, database.transaction() as session:
        frozen.execute(text("SELECT FROM jobs WHERE id = :id FOR NO KEY UPDATE"), {"id": claim.job_id})
        session.execute(text("SET LOCAL lock_timeout = '2s'"))

        recalled = transitions.recall(session, Job.id > 0, "no worker took the message")

    assert [row.id for row in recalled] == [other.id]


def test_a_recalled_job_refuses_its_first_message(database, claim, worker_id):
    with database.transaction() as session:
        transitions.recall(session, Job.id == claim.job_id, "Redis lost its messages")

    with pytest.raises(StaleTransition), database.transaction() as session:
        transitions.accept(session, claim, worker_id)

    assert _trail(database, claim.job_id) == [(1, Status.QUEUE), (2, Status.QUEUE)]


def test_a_row_submitted_twice_is_one_job(database, project_id):
    from models.campaign import Campaign

    with database.transaction() as session:
        campaign = Campaign(project_id=project_id, name="c")
        session.add(campaign)
        session.flush()
        rows = [
            NewJob(project_id, "a/b", {"n": n}, campaign_id=campaign.id, custom_id=custom_id)
            for n, custom_id in enumerate(["a", "b", "a"])
        ]
        first = transitions.enqueue(session, rows)
    with database.transaction() as session:
        second = transitions.enqueue(session, rows)

    assert [job.is_new for job in first] == [True, True, False]
    assert [job.is_new for job in second] == [False, False, False]
    assert [job.id for job in first] == [job.id for job in second]


def test_what_a_job_asks_for_is_kept(database, project_id):
    wanted = NewJob(
        project_id,
        "a/b",
        {},
        wanted_providers=("runware", "wiro"),
        route=Route.PRICE,
        on_unknown=OnUnknown.RESEND,
        excluded={"bfl": "has no seed"},
    )

    with database.transaction() as session:
        [queued] = transitions.enqueue(session, [wanted])

    job = _job(database, queued.id)
    assert job.wanted_providers == ["runware", "wiro"]
    assert (job.route, job.on_unknown, job.excluded) == (
        Route.PRICE,
        OnUnknown.RESEND,
        {"bfl": "has no seed"},
    )


def test_an_estimated_cost_says_so(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)

    with database.transaction() as session:
        transitions.end(session, claim, attempt.id, "one of two pictures was refused")
        transitions.start_postprocess(session, claim, attempt.id)
        transitions.succeed(session, claim, attempt.id, [A_PICTURE], Cost(Decimal("0.05"), is_estimate=True))

    job = _job(database, claim.job_id)
    with database.transaction() as session:
        [kept] = queries.attempts(session, claim.job_id)
        reasons = [event.reason for event in queries.trail(session, claim.job_id)]
    assert (job.cost_usd, job.cost_is_estimate) == (Decimal("0.05"), True)
    assert (kept.cost_usd, kept.cost_is_estimate) == (Decimal("0.05"), True)
    assert "one of two pictures was refused" in reasons


def test_a_failed_attempt_keeps_what_the_provider_said(database, claim, worker_id):
    attempt = _started(database, claim, worker_id)
    failure = Failure("content_refused", "moderated", Decimal("0.01"), request_id="r-7", billed="yes")

    with database.transaction() as session:
        transitions.fail(session, claim, failure, attempt.id)

    with database.transaction() as session:
        [kept] = queries.attempts(session, claim.job_id)
    assert (kept.state, kept.billed, kept.request_id) == (AttemptState.FAILED, Billed.YES, "r-7")
    assert kept.cost_usd == Decimal("0.01")


def test_an_intent_that_was_never_sent_cost_nothing(database, claim, worker_id):
    attempt = _assigned(database, claim, worker_id)

    with database.transaction() as session:
        transitions.kill(session, claim, StopOutcome.NEVER_STARTED, attempt.id)

    with database.transaction() as session:
        [kept] = queries.attempts(session, claim.job_id)
    assert (kept.state, kept.billed) == (AttemptState.CANCELLED, Billed.NO)
