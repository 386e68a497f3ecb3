"""Jobs that write together, and do not feel it."""

import threading
import time
from dataclasses import replace

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from models import queries, transitions
from models.attempts import Cost
from models.job import Job
from models.lifecycle import Status
from models.session import Database
from models.transitions import together
from models.transitions.together import Accepting, Sign, Success, Ticketed
from workers import scribe as scribes

COST = Cost(None, is_estimate=False)


@pytest.fixture
def scribe(bench):
    return bench.scribe


@pytest.fixture
def begun(scribe, dispatched, worker_id):
    """`begun(count) -> [Begun]`, one by one."""

    def begin(count=1):
        return [scribe.begin(Accepting(dispatched(), worker_id)) for _ in range(count)]

    return begin


@pytest.fixture
def statements(database):
    """Every statement that is sent by itself."""
    sent = []

    def note(_connection, _cursor, statement, *_):
        sent.append(statement)

    event.listen(database._by_number, "before_cursor_execute", note)
    return sent


class _Gate:
    """Holds up every write of a pen until it is opened."""

    def __init__(self, pen, monkeypatch) -> None:
        self.batches: list[int] = []
        self.has_come = threading.Event()
        self._is_open = threading.Event()
        verb = pen._verb

        def held_up(connection, entries):
            self.has_come.set()
            self._is_open.wait(60)
            self.batches.append(len(entries))
            return verb(connection, entries)

        monkeypatch.setattr(pen, "_verb", held_up)

    def open(self) -> None:
        self._is_open.set()


def _ticketed(one, ticket=None) -> Ticketed:
    claim = transitions.Claim(one.job.id, 1)
    return Ticketed(claim, one.attempt.id, ticket or {"id": str(one.attempt.uuid)})


def _sign(one, reason=None) -> Sign:
    return Sign(transitions.Claim(one.job.id, 1), one.attempt.id, time.monotonic(), reason)


def _together(write, entries) -> list:
    """What came of each, written by a thread each at the same time; an error is an outcome too."""
    outcomes = [None] * len(entries)

    def one(place) -> None:
        try:
            outcomes[place] = write(entries[place])
        except DBAPIError as exc:
            outcomes[place] = exc

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(entries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


def _status(database, job_id) -> Status:
    with database.transaction() as session:
        return queries.job(session, job_id).status


def _trail(database, job_id) -> list[str]:
    with database.transaction() as session:
        return [event.status.value for event in queries.trail(session, job_id)]


def _wait_for(eventually, pen, count) -> None:
    eventually(lambda: len(pen._waiting) == count)


def test_a_lone_job_waits_for_nobody(scribe, begun, statements):
    [one] = begun()
    statements.clear()

    assert scribe.start(_ticketed(one))

    assert len(statements) == 1


def test_what_comes_in_meanwhile_is_carried_together(scribe, begun, statements, monkeypatch, eventually):
    jobs = begun(9)
    gate = _Gate(scribe._start, monkeypatch)
    first = threading.Thread(target=scribe.start, args=(_ticketed(jobs[0]),))
    first.start()
    gate.has_come.wait(60)
    statements.clear()
    opener = threading.Thread(
        target=lambda: (_wait_for(eventually, scribe._start, 8), gate.open()),
    )
    opener.start()

    outcomes = _together(scribe.start, [_ticketed(one) for one in jobs[1:]])

    first.join(60)
    opener.join(60)
    assert outcomes == [True] * 8
    assert gate.batches == [1, 8]
    assert len(statements) == 2


def test_no_statement_carries_more_than_it_should(scribe, begun, monkeypatch):
    monkeypatch.setattr(scribes, "MOST_AT_ONCE", 2)

    outcomes = scribe._start.write([_ticketed(one) for one in begun(5)])

    assert outcomes == [True] * 5


def test_one_bad_entry_fails_nobody_else(scribe, begun, database, monkeypatch, eventually):
    jobs = begun(4)
    gate = _Gate(scribe._start, monkeypatch)
    threading.Thread(target=lambda: (_wait_for(eventually, scribe._start, 3), gate.open())).start()

    bad = _ticketed(jobs[2], {"id": "nul \0"})
    outcomes = _together(scribe.start, [_ticketed(jobs[0]), _ticketed(jobs[1]), bad, _ticketed(jobs[3])])

    assert [outcome is True for outcome in outcomes] == [True, True, False, True]
    assert isinstance(outcomes[2], DBAPIError)
    assert _status(database, jobs[2].job.id) is Status.ASSIGN


def test_a_stale_entry_among_good_ones_is_told_so(scribe, begun, database):
    jobs = begun(3)
    with database.transaction() as session:
        transitions.rescue(session, Job.id == jobs[1].job.id, "worker was silent")

    assert _together(scribe.start, [_ticketed(one) for one in jobs]) == [True, False, True]


def test_two_processes_with_the_same_jobs_each_get_some(bench, database_url, dispatched, worker_id):
    claims = [dispatched() for _ in range(24)]
    other = Database(database_url)
    elsewhere = replace(bench, database=other).scribe
    halves: dict[str, list] = {}

    def take(name, scribe, order) -> None:
        halves[name] = _together(scribe.begin, [Accepting(claim, worker_id) for claim in order])

    threads = [
        threading.Thread(target=take, args=("here", bench.scribe, claims)),
        threading.Thread(target=take, args=("there", elsewhere, claims[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.dispose()

    begun = [one.job.id for half in halves.values() for one in half if one is not None]
    assert sorted(begun) == sorted(claim.job_id for claim in claims)


def test_what_postgres_was_told_before_its_connections_were_cut_is_told_again(scribe, begun, database):
    jobs = begun(3)
    with database.transaction() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )

    assert _together(scribe.start, [_ticketed(one) for one in jobs]) == [True, True, True]


def test_entries_wait_while_postgres_is_away(scribe, begun, monkeypatch):
    jobs = begun(2)
    calls = []
    once = scribe._start._once

    def away_at_first(lines):
        calls.append(len(lines))
        if len(calls) == 1:
            with scribe._start._database.statement() as connection:
                connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return once(lines)

    monkeypatch.setattr(scribe._start, "_once", away_at_first)

    assert _together(scribe.start, [_ticketed(one) for one in jobs]) == [True, True]
    assert len(calls) >= 2


def test_a_deadlock_is_tried_again(scribe, begun, monkeypatch):
    [one] = begun()
    raised = []

    def deadlocked(connection, entries):
        if not raised:
            raised.append(1)
            connection.execute(
                text("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'deadlock_detected'; END $$")
            )
        return together.start(connection, entries)

    monkeypatch.setattr(scribe._start, "_verb", deadlocked)

    assert scribe.start(_ticketed(one))


def test_whoever_is_killed_while_it_carries_holds_up_nobody(scribe, begun, monkeypatch):
    first, second = begun(2)

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as doomed:
        doomed.setattr(scribe._start, "_verb", killed)
        with pytest.raises(SystemExit):
            scribe.start(_ticketed(first))

    assert scribe.start(_ticketed(second))


def test_a_slip_that_is_withdrawn_is_never_written(scribe, begun, database, monkeypatch, eventually):
    monkeypatch.setattr(scribes, "SHOWN_WITHIN_S", 0.01)
    [one] = begun()
    scribe.start(_ticketed(one))

    slip = scribe.start_postprocess_soon(_sign(one))
    withdrawn = slip.withdraw()
    eventually(lambda: not scribe._slips._is_watched)

    assert withdrawn
    assert _status(database, one.job.id) is Status.START


def test_a_slip_that_lies_there_is_written_by_itself(scribe, begun, database, monkeypatch, eventually):
    monkeypatch.setattr(scribes, "SHOWN_WITHIN_S", 0.01)
    jobs = begun(3)
    for one in jobs:
        scribe.start(_ticketed(one))

    slips = [scribe.start_postprocess_soon(_sign(one)) for one in jobs]
    for one in jobs:
        eventually(lambda job_id=one.job.id: _status(database, job_id) is Status.POSTPROCESS_START)

    assert not any(slip.withdraw() for slip in slips)
    for one in jobs:
        assert scribe.succeed(Success(_sign(one), [], COST))
        assert _trail(database, one.job.id)[-3:] == [
            "task_end",
            "task_postprocess_start",
            "task_postprocess_end",
        ]


def test_a_slip_of_a_job_that_has_moved_on_harms_nobody(scribe, begun, database, monkeypatch, eventually):
    monkeypatch.setattr(scribes, "SHOWN_WITHIN_S", 0.01)
    [one] = begun()
    scribe.start(_ticketed(one))
    with database.transaction() as session:
        transitions.rescue(session, Job.id == one.job.id, "worker was silent")

    slip = scribe.start_postprocess_soon(_sign(one))
    eventually(lambda: not scribe._slips._is_watched)

    assert not slip.withdraw()
    assert not scribe.succeed(Success(_sign(one), [], COST))
    assert _status(database, one.job.id) is Status.QUEUE
