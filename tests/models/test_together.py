"""Many jobs at once, and several arrows at once, come to what the single verbs come to."""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from models import queries, transitions
from models.attempts import Cost, Failure
from models.job import Job
from models.lifecycle import AttemptState, Outcome, Status, StopOutcome
from models.transitions import Claim, NewJob, NewOutput, together
from models.transitions.together import Accepting, Saleable, Sign, Success, Ticketed

OFFER = Saleable("sandbox", "a/b", "remote/x", ("inputImage",))
COST = Cost(Decimal("0.04"), is_estimate=True)
TIMES_AND_NAMES = {
    "jobs": "id, uuid, socket_token, created_at, run_at, dispatched_at, finished_at",
    "attempts": "id, uuid, job_id, intended_at, submitted_at, finished_at",
    "job_events": "job_id, at, attempt_id",
    "outputs": "id, job_id, attempt_id, created_at, access_key",
}
"""What two jobs that went the same way do not have in common."""


@pytest.fixture
def claims(database, project_id):
    """`claims(count, **parameters) -> [Claim]` of jobs whose messages are on the way."""

    def make(count: int, **parameters) -> list[Claim]:
        with database.transaction() as session:
            jobs = transitions.enqueue(
                session, [NewJob(project_id, "a/b", {"prompt": "x", **parameters})] * count
            )
            rows = transitions.dispatch(session, "sandbox", [job.id for job in jobs])
        return [Claim(row.id, row.claim) for row in sorted(rows, key=lambda row: row.id)]

    return make


def _begin(database, worker_id, claims):
    with database.statement() as connection:
        return together.begin(connection, [Accepting(claim, worker_id) for claim in claims], [OFFER])


def _start(database, begun, tickets=None):
    tickets = tickets or [{"id": f"t{one.attempt.id}"} for one in begun]
    entries = [Ticketed(_claim(one), one.attempt.id, t) for one, t in zip(begun, tickets, strict=True)]
    with database.statement() as connection:
        return together.start(connection, entries)


def _claim(one) -> Claim:
    return Claim(one.job.id, 1)


def _succeed(database, begun, reason=None):
    entries = [Success(_sign(one, reason=reason), [_picture(one.job.id)], COST) for one in begun]
    with database.statement() as connection:
        return together.succeed(connection, entries)


def _sign(one, age_s=0.0, reason=None) -> Sign:
    return Sign(_claim(one), one.attempt.id, time.monotonic() - age_s, reason)


def _picture(job_id) -> NewOutput:
    return NewOutput("0.png", f"key-{job_id}", "ab/0.png", "image/png", 10, "00", 64, 64, 2**62)


def _one_by_one(database, worker_id, claim, reason=None) -> None:
    """The same way by the single verbs."""
    with database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="remote/x")
    with database.transaction() as session:
        transitions.record_ticket(session, attempt.id, {"id": "t"})
        transitions.start(session, claim, attempt.id)
        transitions.output(session, claim, attempt.id, "50 %")
        transitions.end(session, claim, attempt.id, reason)
        transitions.start_postprocess(session, claim, attempt.id)
        transitions.succeed(session, claim, attempt.id, [_picture(claim.job_id)], COST)


def _rows(database, job_id, table) -> list[dict]:
    """The rows of a job, without what is its own."""
    key = "id" if table == "jobs" else "job_id"
    own = [f"'{name}'" for name in TIMES_AND_NAMES[table].split(", ")]
    statement = f"SELECT to_jsonb(t) - ARRAY[{', '.join(own)}] FROM {table} AS t WHERE {key} = :id"  # noqa: S608
    with database.transaction() as session:
        rows = session.execute(text(statement), {"id": job_id}).scalars()
        return sorted(rows, key=lambda row: row.get("seq", 0))


def _trail(database, job_id) -> list[tuple[str, str | None]]:
    with database.transaction() as session:
        return [(event.status.value, event.reason) for event in queries.trail(session, job_id)]


def _job(database, job_id) -> Job:
    with database.transaction() as session:
        return queries.job(session, job_id)


def test_the_rows_are_those_of_the_single_verbs(database, claims, worker_id):
    *many, single = claims(4)

    begun = _begin(database, worker_id, many)
    _start(database, begun, [{"id": "t"}] * 3)
    with database.statement() as connection:
        together.output(connection, [_sign(one, reason="50 %") for one in begun])
    _succeed(database, begun, "one of two was refused")
    _one_by_one(database, worker_id, single, "one of two was refused")

    for table in TIMES_AND_NAMES:
        expected = _rows(database, single.job_id, table)
        for claim in many:
            assert _rows(database, claim.job_id, table) == expected, table


def test_each_status_has_its_own_time_in_order(database, claims, worker_id):
    begun = _begin(database, worker_id, claims(3))
    _start(database, begun)
    _succeed(database, begun)

    for one in begun:
        with database.transaction() as session:
            trail = queries.trail(session, one.job.id)
        times = [event.at for event in trail]
        assert times == sorted(set(times))
        assert [event.seq for event in trail] == list(range(1, 10))


def test_what_is_told_of_a_begun_job_is_what_is_recorded(database, claims, worker_id):
    [claim] = claims(1)

    [begun] = _begin(database, worker_id, [claim])

    job = _job(database, claim.job_id)
    with database.transaction() as session:
        [attempt] = queries.attempts(session, claim.job_id)
    assert (begun.job.uuid, begun.job.parameters, begun.job.provider) == (
        job.uuid,
        job.parameters,
        "sandbox",
    )
    assert (begun.attempt.id, begun.attempt.uuid, begun.attempt.number) == (attempt.id, attempt.uuid, 1)
    assert (begun.attempt.intended_at, begun.attempt.remote_id) == (attempt.intended_at, "remote/x")


def test_a_stale_claim_among_good_ones_is_left_alone(database, claims, worker_id):
    first, stale, last = claims(3)
    with database.transaction() as session:
        transitions.recall(session, Job.id == stale.job_id, "Redis lost its messages")

    begun = _begin(database, worker_id, [first, stale, last])

    assert [one is not None for one in begun] == [True, False, True]
    assert _job(database, stale.job_id).status is Status.QUEUE


def test_a_message_that_is_here_twice_begins_once(database, claims, worker_id):
    [claim] = claims(1)

    begun = _begin(database, worker_id, [claim, claim])

    assert sorted(one is not None for one in begun) == [False, True]
    assert len(_trail(database, claim.job_id)) == 5


def test_whoever_begins_and_does_not_hear_of_it_is_told_again(database, claims, worker_id):
    entries = [Accepting(claim, worker_id) for claim in claims(2)]
    with database.statement() as connection:
        together.begin(connection, entries[:1], [OFFER])  # the answer is lost

        again, other = together.begin(connection, entries, [OFFER])

    assert again is not None
    assert other is not None
    assert (again.job.id, other.job.id) == (entries[0].claim.job_id, entries[1].claim.job_id)
    with database.transaction() as session:
        [attempt] = queries.attempts(session, again.job.id)
    assert (again.attempt.id, again.attempt.uuid) == (attempt.id, attempt.uuid)
    assert not again.attempt.is_taken_over
    assert len(_trail(database, again.job.id)) == 5


def test_whoever_begins_again_while_the_first_call_is_still_at_it_is_told_of_that_one(
    database, claims, worker_id, eventually
):
    [claim] = claims(1)
    entry = Accepting(claim, worker_id)
    told: list = []

    def begin() -> None:
        with database.statement() as connection:
            told.extend(together.begin(connection, [entry], [OFFER]))

    calls = [threading.Thread(target=begin) for _ in range(2)]
    with database.transaction() as somebody:
        somebody.execute(select(Job.id).where(Job.id == claim.job_id).with_for_update())
        for waiting, call in enumerate(calls, start=1):
            call.start()
            eventually(lambda count=waiting: _waiting_for_locks(database) == count)
    for call in calls:
        call.join(60)

    assert [one.attempt.uuid for one in told] == [entry.key] * 2
    with database.transaction() as session:
        [attempt] = queries.attempts(session, claim.job_id)
    assert (attempt.uuid, attempt.state) == (entry.key, AttemptState.INTENT)


def _waiting_for_locks(database) -> int:
    """Also those that wait for one that waits."""
    with database.statement() as connection:
        return connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )


def test_the_single_verb_waits_for_the_commit_that_nobody_heard_of(database, claims, worker_id, eventually):
    [claim] = claims(1)
    key = uuid4()
    found: list = []

    def look() -> None:
        with database.transaction() as session:
            found.append(transitions.assigned(session, claim, key))

    with database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
    again = threading.Thread(target=look)
    with database.transaction() as first:
        transitions.end_preprocess(first, claim)
        transitions.assign(first, claim, provider="sandbox", remote_id="x", key=key)
        again.start()
        eventually(lambda: _waiting_for_locks(database) == 1)
    again.join(60)

    assert [one.uuid for one in found] == [key]


def test_who_has_sent_it_already_does_not_begin_it_again(database, claims, worker_id):
    [entry] = [Accepting(claim, worker_id) for claim in claims(1)]
    with database.statement() as connection:
        begun = together.begin(connection, [entry], [OFFER])
        _start(database, begun)

        assert together.begin(connection, [entry], [OFFER]) == [None]


@pytest.mark.parametrize(
    "parameters", [{"inputImage": ["https://example.org/a.png"]}], ids=["pictures to gather"]
)
def test_what_is_to_be_prepared_is_not_begun_at_once(database, claims, worker_id, parameters):
    [claim] = claims(1, **parameters)

    assert _begin(database, worker_id, [claim]) == [None]
    assert _job(database, claim.job_id).status is Status.QUEUE


@pytest.mark.parametrize("parameters", [{"inputImage": []}, {"inputImage": "none"}])
def test_an_input_without_pictures_is_no_hindrance(database, claims, worker_id, parameters):
    [begun] = _begin(database, worker_id, claims(1, **parameters))

    assert begun is not None


def test_a_job_with_an_open_attempt_is_not_begun_anew(database, claims, worker_id):
    [claim] = claims(1)
    _begin(database, worker_id, [claim])
    with database.transaction() as session:
        transitions.rescue(session, Job.id == claim.job_id, "worker was killed")
        [row] = transitions.dispatch(session, "sandbox", [claim.job_id])

    assert _begin(database, worker_id, [Claim(row.id, row.claim)]) == [None]


def test_a_job_whose_offer_is_off_is_not_begun(database, claims, worker_id):
    with database.statement() as connection:
        entries = [Accepting(claim, worker_id) for claim in claims(1)]
        assert together.begin(connection, entries, [replace(OFFER, provider="elsewhere")]) == [None]


def test_a_buried_worker_begins_nothing(database, claims, worker_id):
    with database.transaction() as session:
        session.execute(text("UPDATE workers SET ended_at = now()"))

    assert _begin(database, worker_id, claims(2)) == [None, None]


def test_the_second_attempt_is_numbered_and_keeps_what_is_reserved(database, claims, worker_id):
    [claim] = claims(1)
    [first] = _begin(database, worker_id, [claim])
    with database.transaction() as session:
        failure = Failure("unavailable", "503", billed="no")
        transitions.retry(session, claim, first.attempt.id, failure, timedelta(0))
        [row] = transitions.dispatch(session, "sandbox", [claim.job_id])
        session.execute(text("UPDATE jobs SET reserved_usd = 0.5"))

    [second] = _begin(database, worker_id, [Claim(row.id, row.claim)])

    with database.transaction() as session:
        attempts = queries.attempts(session, claim.job_id)
    assert second.attempt.number == 2
    assert [one.reserved_usd for one in attempts] == [None, Decimal("0.5")]


def test_a_ticket_of_a_stale_claim_is_left_to_the_single_verb(database, claims, worker_id):
    begun = _begin(database, worker_id, claims(2))
    with database.transaction() as session:
        transitions.rescue(session, Job.id == begun[0].job.id, "worker was silent")

    assert _start(database, begun) == [False, True]

    with database.transaction() as session:
        states = [queries.attempts(session, one.job.id)[0].state for one in begun]
    assert states == [AttemptState.INTENT, AttemptState.SUBMITTED]


def test_of_two_claims_on_one_job_only_the_good_one_is_told_that_it_started(database, claims, worker_id):
    [old] = _begin(database, worker_id, claims(1))
    with database.transaction() as session:
        transitions.rescue(session, Job.id == old.job.id, "worker was silent")
        [row] = transitions.dispatch(session, "sandbox", [old.job.id])
        claim = Claim(row.id, row.claim)
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        transitions.assign(session, claim, provider="sandbox", remote_id="m")
    ghosts = Ticketed(_claim(old), old.attempt.id, {"id": "ghost's"})
    good = Ticketed(claim, old.attempt.id, {"id": "good"})

    with database.statement() as connection:
        assert together.start(connection, [ghosts, good]) == [False, True]


def test_a_ticket_does_not_replace_another(database, claims, worker_id):
    begun = _begin(database, worker_id, claims(1))
    with database.transaction() as session:
        transitions.record_ticket(session, begun[0].attempt.id, {"id": "first"})

    assert _start(database, begun, [{"id": "second"}]) == [False]

    with database.transaction() as session:
        [attempt] = queries.attempts(session, begun[0].job.id)
    assert attempt.ticket == {"id": "first"}


def test_a_killed_claim_does_not_succeed(database, claims, worker_id):
    begun = _begin(database, worker_id, claims(2))
    _start(database, begun)
    with database.transaction() as session:
        transitions.kill(session, _claim(begun[0]), StopOutcome.CANCELLED, begun[0].attempt.id)

    assert _succeed(database, begun) == [False, True]

    with database.transaction() as session:
        assert queries.outputs(session, begun[0].job.id) == []
    assert _job(database, begun[0].job.id).outcome is Outcome.KILLED


def test_a_picture_that_was_finished_before_the_wish_to_stop_says_so(database, claims, worker_id):
    begun = _begin(database, worker_id, claims(1))
    _start(database, begun)
    with database.transaction() as session:
        transitions.request_kill(session, begun[0].job.id)

    _succeed(database, begun)

    assert _job(database, begun[0].job.id).stopped_how is StopOutcome.FINISHED_FIRST


def test_what_was_noted_meanwhile_is_not_noted_again(database, claims, worker_id):
    begun = _begin(database, worker_id, claims(1))
    _start(database, begun)
    with database.statement() as connection:
        assert together.start_postprocess(connection, [_sign(begun[0], reason="less than was asked for")])

    assert _succeed(database, begun, "less than was asked for") == [True]

    assert _trail(database, begun[0].job.id)[-3:] == [
        ("task_end", "less than was asked for"),
        ("task_postprocess_start", None),
        ("task_postprocess_end", None),
    ]


def test_a_sign_carries_the_time_at_which_it_came(database, claims, worker_id):
    begun = _begin(database, worker_id, claims(1))
    _start(database, begun)
    with database.statement() as connection:
        together.start_postprocess(connection, [_sign(begun[0], age_s=7)])
    _succeed(database, begun)

    with database.transaction() as session:
        *_, ended, copying, final = queries.trail(session, begun[0].job.id)
    assert 7 <= (final.at - ended.at).total_seconds() < 60
    assert 7 <= (final.at - copying.at).total_seconds() < 60


def test_what_a_success_costs_is_settled(database, claims, worker_id, project_id):
    begun = _begin(database, worker_id, claims(3))
    _start(database, begun)
    _succeed(database, begun)

    with database.transaction() as session:
        spent = session.execute(text("SELECT spent_usd FROM projects")).scalar_one()
    assert spent == Decimal("0.12")


def test_a_statement_with_one_entry_that_cannot_be_stored_does_nothing(database, claims, worker_id):
    begun = _begin(database, worker_id, claims(2))

    with pytest.raises(DBAPIError):
        _start(database, begun, [{"id": "good"}, {"id": "nul \0"}])

    assert [_job(database, one.job.id).status for one in begun] == [Status.ASSIGN, Status.ASSIGN]


def test_two_workers_with_the_same_jobs_the_other_way_round_both_end(database, claims, worker_id):
    """Ten times over; each job begins once."""
    wanted = claims(60)
    results: list[list[bool]] = []

    def take(order) -> None:
        for start in range(0, 60, 6):
            batch = [Accepting(claim, worker_id) for claim in order[start : start + 6]]
            with database.statement() as connection:
                begun = together.begin(connection, batch, [OFFER])
            results.append([one is not None for one in begun])

    orders = [wanted, wanted[::-1], wanted[30:] + wanted[:30]]
    threads = [threading.Thread(target=take, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(sum(result) for result in results) == 60
    assert all(len(_trail(database, claim.job_id)) == 5 for claim in wanted)
