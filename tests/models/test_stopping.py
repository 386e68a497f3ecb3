"""Stopping many at once, by a person or by the clock, while others move them."""

import contextlib
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, text, update

from models import campaign_stops, places, queries, transitions
from models.attempt import Attempt
from models.attempts import Cost, Failure
from models.campaign import Campaign
from models.errors import StaleTransition
from models.event import JobEvent
from models.job import Job
from models.lifecycle import AttemptState, Billed, Outcome, Status, StopOutcome
from models.session import Database
from models.transitions import Claim, NewJob

pytestmark = pytest.mark.plans

LOST = Failure("submission_unknown", "the connection broke", state=AttemptState.UNKNOWN)
BROKE = Failure("unavailable", "503", billed=Billed.NO)


class Hands:
    """Does to jobs what dispatchers, workers and the sweep do, each step in its own unit of work."""

    def __init__(self, database: Database, project_id: int, worker_id: int) -> None:
        self.database = database
        self._project_id = project_id
        self._worker_id = worker_id

    def queue(self, count: int = 1, **columns) -> list[int]:
        with self.database.transaction() as session:
            jobs = [NewJob(self._project_id, "a/b", {"prompt": "x"}, **columns) for _ in range(count)]
            return [job.id for job in transitions.enqueue(session, jobs)]

    def dispatch(self, job_id: int) -> Claim:
        with self.database.transaction() as session:
            [row] = transitions.dispatch(session, "sandbox", [job_id])
            return Claim(row.id, row.claim)

    def assign(self, job_id: int) -> tuple[Claim, int]:
        claim = self.dispatch(job_id)
        with self.database.transaction() as session:
            transitions.accept(session, claim, self._worker_id)
            transitions.start_preprocess(session, claim)
            transitions.end_preprocess(session, claim)
            return claim, transitions.assign(session, claim, provider="sandbox", remote_id="m").id

    def start(self, job_id: int) -> tuple[Claim, int]:
        claim, attempt_id = self.assign(job_id)
        with self.database.transaction() as session:
            transitions.record_ticket(session, attempt_id, {"id": str(job_id)})
            transitions.start(session, claim, attempt_id)
        return claim, attempt_id

    def end(self, job_id: int) -> tuple[Claim, int]:
        claim, attempt_id = self.start(job_id)
        with self.database.transaction() as session:
            transitions.end(session, claim, attempt_id)
            transitions.start_postprocess(session, claim, attempt_id)
        return claim, attempt_id

    def rescue(self, job_id: int) -> None:
        with self.database.transaction() as session:
            transitions.rescue(session, Job.id == job_id, "its worker was killed")

    def hold(self, job_id: int) -> None:
        claim, attempt_id = self.assign(job_id)
        with self.database.transaction() as session:
            transitions.hold(session, claim, attempt_id, LOST)

    def retry(self, job_id: int, delay: timedelta) -> None:
        claim, attempt_id = self.start(job_id)
        with self.database.transaction() as session:
            transitions.retry(session, claim, attempt_id, BROKE, delay)

    def cancel_all(self, where=Job.id > 0) -> list:
        with self.database.transaction() as session:
            return transitions.cancel_waiting(session, where)

    def kill_all(self, where=Job.id > 0) -> list:
        with self.database.transaction() as session:
            return transitions.request_kills(session, where)

    def look(self, job_id: int) -> Job:
        with self.database.transaction() as session:
            return queries.job(session, job_id)

    def set(self, job_id: int, **columns) -> None:
        with self.database.transaction() as session:
            session.execute(update(Job).where(Job.id == job_id).values(**columns))


@pytest.fixture
def hands(database: Database, project_id: int, worker_id: int) -> Hands:
    return Hands(database, project_id, worker_id)


# --- many that wait ------------------------------------------------------------------------------


def test_what_nobody_has_begun_is_cancelled_by_one_statement(hands):
    waiting, published, running = hands.queue(3)
    hands.dispatch(published)
    hands.start(running)

    rows = {row.id: row for row in hands.cancel_all() + hands.cancel_all()}

    assert {row.id: row.was_published for row in rows.values()} == {waiting: False, published: True}
    assert {row.stopped_how for row in rows.values()} == {StopOutcome.NEVER_STARTED}
    assert hands.look(running).outcome is None
    with hands.database.transaction() as session:
        assert [event.status for event in queries.trail(session, waiting)] == [Status.QUEUE, Status.CANCEL]


def test_cancelling_what_is_cancelled_writes_nothing_more(hands):
    [job_id] = hands.queue()
    hands.cancel_all()

    assert hands.cancel_all() == []
    assert hands.look(job_id).last_seq == 2


def test_a_batch_is_no_larger_than_asked_for(hands):
    hands.queue(5)

    with hands.database.transaction() as session:
        assert len(transitions.cancel_waiting(session, Job.id > 0, most=2)) == 2


def test_a_job_that_waits_for_another_attempt_is_cancelled_and_one_with_an_open_attempt_is_not(hands):
    delayed, begun, held, suspect = hands.queue(4)
    hands.retry(delayed, timedelta(hours=1))
    hands.start(begun)
    hands.rescue(begun)
    hands.hold(held)
    hands.set(suspect, worker_deaths=2)

    ended = {row.id for _ in range(3) for row in hands.cancel_all()}

    assert ended == {delayed, suspect}


def test_a_row_that_somebody_is_moving_is_left_for_another_call(hands):
    moved, free = hands.queue(2)
    with hands.database.transaction() as other:
        transitions.dispatch(other, "sandbox", [moved])

        assert [row.id for row in hands.cancel_all()] == [free]

    assert [row.id for row in hands.cancel_all()] == [moved]


def test_a_published_job_that_is_cancelled_is_not_accepted(hands, worker_id):
    [job_id] = hands.queue()
    claim = hands.dispatch(job_id)
    hands.cancel_all()

    with pytest.raises(StaleTransition), hands.database.transaction() as session:
        transitions.accept(session, claim, worker_id)


def test_a_job_that_ran_and_came_back_while_a_cancel_waited_for_it_is_not_cancelled(hands, worker_id):
    [job_id] = hands.queue()
    said = []

    def cancel() -> None:
        with hands.database.transaction() as session:
            said.append(transitions.cancel(session, job_id))

    canceller = threading.Thread(target=cancel)
    with hands.database.transaction() as worker:
        [row] = transitions.dispatch(worker, "sandbox", [job_id])
        claim = Claim(row.id, row.claim)
        canceller.start()
        _until_somebody_waits(hands.database)
        transitions.accept(worker, claim, worker_id)
        transitions.start_preprocess(worker, claim)
        transitions.end_preprocess(worker, claim)
        transitions.assign(worker, claim, provider="sandbox", remote_id="m")
        transitions.rescue(worker, Job.id == job_id, "its worker was killed")
    canceller.join()

    assert said == [False]
    assert hands.look(job_id).outcome is None


def _until_somebody_waits(database: Database) -> None:
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    deadline = threading.Event()
    for _ in range(600):
        with database.transaction() as session:
            if session.execute(waits).scalar_one():
                return
        deadline.wait(0.05)
    raise AssertionError("nobody waits")


def test_jobs_that_run_and_come_back_while_all_are_cancelled_keep_their_attempts(hands):
    jobs = hands.queue(40)
    is_over = threading.Event()

    def run_and_lose() -> None:
        for job_id in jobs:
            try:
                hands.assign(job_id)
                hands.rescue(job_id)
            except (StaleTransition, ValueError):
                continue
        is_over.set()

    runner = threading.Thread(target=run_and_lose)
    runner.start()
    while not is_over.is_set():
        hands.cancel_all(Job.id.in_(jobs[::3]))
    runner.join()
    hands.cancel_all()

    with hands.database.transaction() as session:
        open_on_ended = select(func.count()).where(
            Attempt.job_id == Job.id, Attempt.finished_at.is_(None), Job.outcome.is_not(None)
        )
        gaps = (
            select(Job.id)
            .join(JobEvent, JobEvent.job_id == Job.id)
            .group_by(Job.id)
            .having(func.count() != Job.last_seq)
        )
        assert session.execute(open_on_ended).scalar_one() == 0
        assert session.execute(gaps).all() == []


# --- wishes --------------------------------------------------------------------------------------


def test_every_begun_job_is_asked_once_to_stop(hands):
    waiting, running, rescued, held = hands.queue(4)
    hands.start(running)
    hands.start(rescued)
    hands.rescue(rescued)
    hands.hold(held)

    asked = {row.id: row.was_published for row in hands.kill_all()}

    assert asked == {running: True, rescued: False, held: False}
    assert hands.kill_all() == []
    assert hands.look(waiting).kill_requested_at is None


def test_what_is_asked_to_stop_while_its_worker_writes_is_asked_in_another_call(hands):
    [job_id] = hands.queue()
    claim, attempt_id = hands.start(job_id)
    with hands.database.transaction() as worker:
        transitions.end(worker, claim, attempt_id)

        assert hands.kill_all() == []

    assert [row.id for row in hands.kill_all()] == [job_id]


@pytest.mark.parametrize("comes_first", ["worker", "person"])
def test_a_kill_and_a_success_at_once_keep_the_picture(hands, comes_first):
    """Whoever comes second waits for the row, and finds what the first one did."""
    [job_id] = hands.queue()
    claim, attempt_id = hands.end(job_id)
    said = []

    def finish(session) -> None:
        transitions.succeed(session, claim, attempt_id, [], Cost(None, is_estimate=False))

    def kill(session) -> None:
        said.append(transitions.request_kill(session, job_id))

    first, second = (finish, kill) if comes_first == "worker" else (kill, finish)

    def come_second() -> None:
        with hands.database.transaction() as session:
            second(session)

    thread = threading.Thread(target=come_second)
    with hands.database.transaction() as session:
        first(session)
        thread.start()
        _until_somebody_waits(hands.database)
    thread.join()

    job = hands.look(job_id)
    how = StopOutcome.FINISHED_FIRST if comes_first == "person" else None
    assert (job.outcome, job.stopped_how, said) == (Outcome.SUCCEEDED, how, [comes_first == "person"])


@pytest.mark.parametrize("comes_first", ["worker", "person"])
def test_a_cancel_and_an_accept_at_once_leave_one_of_the_two(hands, worker_id, comes_first):
    [job_id] = hands.queue()
    claim = hands.dispatch(job_id)
    said = []

    def accept(session) -> None:
        transitions.accept(session, claim, worker_id)
        said.append("accepted")

    def cancel(session) -> None:
        said.append("cancelled" if transitions.cancel(session, job_id) else "runs")

    first, second = (accept, cancel) if comes_first == "worker" else (cancel, accept)

    def come_second() -> None:
        with contextlib.suppress(StaleTransition), hands.database.transaction() as session:
            second(session)

    thread = threading.Thread(target=come_second)
    with hands.database.transaction() as session:
        first(session)
        thread.start()
        _until_somebody_waits(hands.database)
    thread.join()

    assert said == (["accepted", "runs"] if comes_first == "worker" else ["cancelled"])


@pytest.mark.parametrize("is_held_by_a_worker", [True, False])
def test_a_job_that_ends_because_of_its_deadline_is_expired(hands, is_held_by_a_worker):
    [job_id] = hands.queue()
    claim, attempt_id = hands.start(job_id)
    with hands.database.transaction() as session:
        transitions.request_expiry(session, Job.id == job_id)
        if is_held_by_a_worker:
            transitions.kill(session, claim, StopOutcome.CANCELLED, attempt_id)
        else:
            transitions.rescue(session, Job.id == job_id, "killed")
            transitions.kill_unheld(session, Claim(job_id, claim.number + 1), StopOutcome.CANCELLED)

    job = hands.look(job_id)
    assert (job.status, job.outcome) == (Status.POSTPROCESS_END, Outcome.EXPIRED)
    assert (job.stopped_how, job.error_code) == (StopOutcome.CANCELLED, "expired")


@pytest.mark.parametrize("comes_first", ["person", "clock"])
def test_a_persons_wish_goes_before_the_clocks(hands, comes_first):
    [job_id] = hands.queue()
    claim, attempt_id = hands.start(job_id)
    with hands.database.transaction() as session:
        if comes_first == "person":
            transitions.request_kill(session, job_id)
            assert transitions.request_expiry(session, Job.id == job_id) == []
        else:
            transitions.request_expiry(session, Job.id == job_id)
            assert len(transitions.request_kills(session, Job.id == job_id)) == 1
    with hands.database.transaction() as session:
        transitions.kill(session, claim, StopOutcome.CANCELLED, attempt_id)

    job = hands.look(job_id)
    assert (job.status, job.outcome, job.error_code) == (Status.CANCEL, Outcome.KILLED, None)


def test_a_picture_that_is_there_is_not_given_up_for_a_deadline(hands):
    [job_id] = hands.queue()
    hands.end(job_id)

    with hands.database.transaction() as session:
        assert transitions.request_expiry(session, Job.id == job_id) == []


# --- finished first --------------------------------------------------------------------------------


def test_a_job_that_succeeds_although_it_was_to_stop_says_so(hands):
    [job_id] = hands.queue()
    claim, attempt_id = hands.end(job_id)
    with hands.database.transaction() as session:
        transitions.request_kill(session, job_id)
        transitions.succeed(session, claim, attempt_id, [], Cost(Decimal("0.04"), is_estimate=False))

    job = hands.look(job_id)
    assert (job.outcome, job.stopped_how) == (Outcome.SUCCEEDED, StopOutcome.FINISHED_FIRST)


def test_a_job_that_was_spared_and_succeeds_says_so(hands):
    [job_id] = hands.queue()
    hands.start(job_id)
    hands.rescue(job_id)
    with hands.database.transaction() as session:
        transitions.request_kill(session, job_id)
        transitions.spare(session, job_id)
        assert transitions.request_expiry(session, Job.id == job_id) == []
    claim, attempt_id = _taken_over(hands, job_id)
    with hands.database.transaction() as session:
        transitions.succeed(session, claim, attempt_id, [], Cost(Decimal("0.04"), is_estimate=False))

    job = hands.look(job_id)
    assert (job.outcome, job.stopped_how) == (Outcome.SUCCEEDED, StopOutcome.FINISHED_FIRST)


def _taken_over(hands: Hands, job_id: int) -> tuple[Claim, int]:
    """Up to where its pictures are fetched, with the attempt that is open."""
    claim, attempt_id = hands.assign(job_id)
    with hands.database.transaction() as session:
        transitions.start(session, claim, attempt_id)
        transitions.end(session, claim, attempt_id)
        transitions.start_postprocess(session, claim, attempt_id)
    return claim, attempt_id


def test_a_spared_job_whose_picture_is_gone_after_all_buys_no_other(hands):
    [job_id] = hands.queue()
    hands.start(job_id)
    hands.rescue(job_id)
    with hands.database.transaction() as session:
        transitions.request_kill(session, job_id)
        transitions.spare(session, job_id)
    claim, attempt_id = _taken_over(hands, job_id)
    with hands.database.transaction() as session:
        transitions.retry(session, claim, attempt_id, BROKE, timedelta(0))

    job = hands.look(job_id)
    assert (job.kill_requested_at is not None, job.stop_as, job.stopped_how) == (True, Outcome.KILLED, None)


# --- the clock -------------------------------------------------------------------------------------


def test_what_nobody_has_begun_expires_at_once(hands):
    waiting, published, begun, running = hands.queue(4)
    hands.dispatch(published)
    hands.start(begun)
    hands.rescue(begun)
    hands.start(running)

    with hands.database.transaction() as session:
        ended = transitions.expire(session, Job.id > 0, "too late")

    assert {row.id for row in ended} == {waiting, published}
    job = hands.look(waiting)
    assert (job.status, job.outcome, job.error_code, job.error_message) == (
        Status.POSTPROCESS_END,
        Outcome.EXPIRED,
        "expired",
        "too late",
    )


# --- places ----------------------------------------------------------------------------------------


def test_every_living_job_is_in_a_place_and_none_that_has_ended(hands):
    ready, delayed, suspect, published, running, rescued, held, killed, ended = hands.queue(9)
    hands.retry(delayed, timedelta(hours=1))
    hands.set(suspect, worker_deaths=2)
    hands.dispatch(published)
    hands.start(running)
    hands.start(rescued)
    hands.rescue(rescued)
    hands.hold(held)
    with hands.database.transaction() as session:
        transitions.request_kill(session, killed)
        transitions.cancel(session, ended)

    def are_in(*where) -> set[int]:
        with hands.database.transaction() as session:
            return {job_id for place in where for job_id in session.scalars(select(Job.id).where(place))}

    assert are_in(*places.LIVING) == {ready, delayed, suspect, published, running, rescued, held, killed}
    assert are_in(*places.NEVER_BEGUN) == {ready, delayed, suspect, published}


@pytest.mark.parametrize(
    ("place", "index"),
    [
        (places.READY, "ix_jobs_ready"),
        (places.SUSPECT, "ix_jobs_suspect"),
        (places.DELAYED, "ix_jobs_delayed"),
        (places.IN_FLIGHT, "ix_jobs_in_flight"),
        (places.STOPPING, "ix_jobs_stopping"),
    ],
)
def test_each_place_has_its_index(database, project_id, place, index):
    lane = campaign_stops.jobs_of(project_id, 7)

    assert index in _plan(database, select(Job.id).where(place, lane))


@pytest.mark.parametrize("look", [lambda s: queries.unheld_kills(s, 50), queries.overdue_kills])
def test_what_is_to_stop_is_found_without_reading_what_waits(database, look):
    plans = []
    with database.transaction() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        connection = session.connection()
        asked = _statements_of(connection, lambda: look(session))
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(row[0] for row in rows))

    assert ["ix_jobs_stopping" in plan for plan in plans] == [True]


def _statements_of(connection, act) -> list[tuple]:
    from sqlalchemy import event

    seen = []

    def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
        seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    act()
    event.remove(connection, "before_cursor_execute", note)
    return seen


def _plan(database: Database, query) -> str:
    with database.transaction() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        written = query.compile(session.connection(), compile_kwargs={"literal_binds": True})
        return "\n".join(row[0] for row in session.execute(text(f"EXPLAIN {written}")))


# --- campaigns -------------------------------------------------------------------------------------


@pytest.fixture
def campaign(database: Database, project_id: int) -> Campaign:
    with database.transaction() as session:
        added = Campaign(project_id=project_id, name="c")
        session.add(added)
        session.flush()
        session.refresh(added)
        return added


def _wished(database: Database, campaign: Campaign, *stop_as: Outcome) -> Campaign:
    with database.transaction() as session:
        for one in stop_as:
            campaign_stops.wish(session, campaign.id, one)
    with database.transaction() as session:
        return session.get_one(Campaign, campaign.id)


def test_a_wish_for_less_does_not_take_back_a_wish_for_more(database, campaign):
    assert (
        _wished(database, campaign, Outcome.CANCELLED, Outcome.KILLED, Outcome.CANCELLED).stop_as == "killed"
    )


def test_a_wish_stands_until_nothing_of_the_campaign_lives(database, hands, campaign, monkeypatch):
    monkeypatch.setattr(campaign_stops, "SETTLES_AFTER", timedelta(0))
    [job_id] = hands.queue(campaign_id=campaign.id)
    hands.queue()  # another one's
    stopping = _wished(database, campaign, Outcome.CANCELLED)

    def has_ended() -> bool:
        with database.transaction() as session:
            return campaign_stops.end_if_nothing_lives(session, stopping)

    assert not has_ended()
    assert [row.id for row in hands.cancel_all(campaign_stops.jobs_of(stopping.project_id, stopping.id))] == [
        job_id
    ]
    assert has_ended()


def test_a_wish_stands_for_a_while_for_rows_that_were_being_added(database, campaign):
    stopping = _wished(database, campaign, Outcome.KILLED)

    with database.transaction() as session:
        assert not campaign_stops.end_if_nothing_lives(session, stopping)


def test_a_wish_that_was_made_anew_stands(database, campaign, monkeypatch):
    monkeypatch.setattr(campaign_stops, "SETTLES_AFTER", timedelta(0))
    stopping = _wished(database, campaign, Outcome.KILLED)
    _wished(database, campaign, Outcome.KILLED)

    with database.transaction() as session:
        assert not campaign_stops.end_if_nothing_lives(session, stopping)
