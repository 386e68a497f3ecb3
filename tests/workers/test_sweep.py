"""What is looked after each second."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from models import queries, transitions
from models.attempt import Attempt
from models.attempts import Failure
from models.errors import StaleTransition
from models.job import Job
from models.lifecycle import AttemptState, Billed, Outcome, Status, StopOutcome
from models.project import Project
from models.session import Database
from models.worker import LOCK_NAMESPACE, SWEEP_LOCK, Worker
from providers.base import CancelOutcome, LostAnswer
from providers.errors import Unavailable
from workers import stops, sweep
from workers.dispatch import dispatch
from workers.generate import generate
from workers.heartbeat import Heartbeat, Identity
from workers.running import RunningJobs, StopSignal

LOST = Failure("submission_unknown", "the connection broke", state=AttemptState.UNKNOWN)


@pytest.fixture(autouse=True)
def _postgres_started_long_ago(monkeypatch):
    monkeypatch.setattr(queries, "RESTART_GRACE", timedelta(0))


@pytest.fixture
def lock(database, worker_id):
    """The worker's advisory lock, held."""
    with database.engine.connect() as connection:
        connection.execute(select(func.pg_advisory_lock(LOCK_NAMESPACE, worker_id)))
        connection.commit()
        yield connection
        connection.execute(text("SELECT pg_advisory_unlock_all()"))


def _seen(database, worker_id, seconds_ago) -> None:
    with database.transaction() as session:
        session.execute(
            update(Worker)
            .where(Worker.id == worker_id)
            .values(seen_at=func.clock_timestamp() - timedelta(seconds=seconds_ago))
        )


def _accepted(database, claim, worker_id) -> None:
    with database.transaction() as session:
        transitions.accept(session, claim, worker_id)


def _status(database, claim) -> Status:
    with database.transaction() as session:
        return queries.job(session, claim.job_id).status


def test_a_worker_without_its_lock_is_dead(database, dispatched, worker_id):
    claim = dispatched()
    _accepted(database, claim, worker_id)
    _seen(database, worker_id, 2)

    assert sweep.rescue_from_dead_workers(database) == 1
    assert _status(database, claim) is Status.QUEUE


def test_a_lock_in_another_database_of_the_same_server_is_not_its_own(
    database, dispatched, worker_id, empty_database_url
):
    other = Database(empty_database_url)
    with other.engine.connect() as elsewhere:
        elsewhere.execute(select(func.pg_advisory_lock(LOCK_NAMESPACE, worker_id)))
        _accepted(database, dispatched(), worker_id)
        _seen(database, worker_id, 2)

        assert sweep.rescue_from_dead_workers(database) == 1
    other.dispose()


def test_a_worker_with_its_lock_may_be_quiet_for_a_while(database, dispatched, worker_id, lock):
    claim = dispatched()
    _accepted(database, claim, worker_id)
    _seen(database, worker_id, 10)

    assert sweep.rescue_from_dead_workers(database) == 0
    assert _status(database, claim) is Status.ACCEPT


def test_a_worker_with_its_lock_that_is_silent_too_long_is_frozen(database, dispatched, worker_id, lock):
    claim = dispatched()
    _accepted(database, claim, worker_id)
    _seen(database, worker_id, 16)

    sweep.rescue_from_dead_workers(database)

    with database.transaction() as session:
        assert queries.trail(session, claim.job_id)[-1].reason == "worker remote@here was silent"


def test_workers_get_time_to_take_their_locks_after_a_start_of_postgres(
    database, dispatched, worker_id, monkeypatch
):
    monkeypatch.setattr(queries, "RESTART_GRACE", timedelta(days=1))
    _accepted(database, dispatched(), worker_id)
    _seen(database, worker_id, 100)

    assert sweep.rescue_from_dead_workers(database) == 0


def test_a_buried_worker_is_buried_once(database, worker_id):
    _seen(database, worker_id, 2)

    sweep.rescue_from_dead_workers(database)

    with database.transaction() as session:
        assert queries.dead_workers(session) == []


def test_a_burial_does_not_wait_for_the_next_one_with_its_project_locked(
    database, dispatched, project_id, worker_id, eventually
):
    late = dispatched()  # of the one that is buried last, though its number is lower
    poison = dispatched()
    with database.transaction() as session:
        second = Worker(name="remote@there", host="there", pid=2, queues=["remote"], concurrency=4)
        session.add(second)
        session.flush()
        _intend(session, poison, worker_id)
        _intend(session, late, second.id)
        session.execute(update(Job).where(Job.id == poison.job_id).values(worker_deaths=2))
        session.execute(update(Attempt).where(Attempt.job_id == poison.job_id).values(reserved_usd=1))
        session.execute(update(Worker).values(seen_at=func.clock_timestamp() - timedelta(minutes=1)))
    burials = threading.Thread(target=sweep.rescue_from_dead_workers, args=(database,))

    with database.transaction() as ghost:
        # As a success is written that thawed: its job first, then the project that pays for it.
        ghost.execute(select(Job.id).where(Job.id == late.job_id).with_for_update(key_share=True))
        burials.start()
        eventually(lambda: _is_somebody_waiting(database))
        ghost.execute(text("SET LOCAL lock_timeout = '500ms'"))  # sooner than Postgres looks for a deadlock
        ghost.execute(update(Project).where(Project.id == project_id).values(spent_usd=Project.spent_usd))
    burials.join(60)

    assert (_status(database, poison), _status(database, late)) == (Status.POSTPROCESS_END, Status.QUEUE)


def _intend(session, claim, worker_id) -> None:
    transitions.accept(session, claim, worker_id)
    transitions.start_preprocess(session, claim)
    transitions.end_preprocess(session, claim)
    transitions.assign(session, claim, provider="sandbox", remote_id="x")


def _is_somebody_waiting(database) -> bool:
    with database.statement() as connection:
        return connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )


def test_a_message_nobody_took_is_recalled(database, dispatched, monkeypatch):
    claim = dispatched()
    assert sweep.recall_lost_messages(database) == 0  # it may still be on its way

    monkeypatch.setattr(sweep, "PATIENCE", timedelta(0))

    assert sweep.recall_lost_messages(database) == 1
    with database.transaction() as session:
        assert queries.job(session, claim.job_id).dispatched_at is None


def test_a_killed_job_that_nobody_holds_is_stopped_at_its_provider(bench, provider, dispatched, worker_id):
    claim = dispatched()
    with bench.database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
        transitions.record_ticket(session, attempt.id, {"id": "t"})
        transitions.rescue(session, Job.worker_id == worker_id, "worker was killed")
        transitions.request_kill(session, claim.job_id)

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        job = queries.job(session, claim.job_id)
    assert provider.cancelled == [{"id": "t"}]
    assert (job.outcome, job.stopped_how) == (Outcome.KILLED, StopOutcome.CANCELLED)


def test_a_heartbeat_registers_and_says_goodbye(database_url, database):
    beat = _heartbeat(database_url, RunningJobs())
    beat.start()
    worker_id = beat.worker_id()
    with database.transaction() as session:
        assert [worker.id for worker in queries.live_workers(session)] == [worker_id]

    beat.stop()

    with database.transaction() as session:
        assert queries.live_workers(session) == []
        assert session.get_one(Worker, worker_id).ended_at is not None


def test_a_worker_that_is_closing_is_alive_and_is_sent_nothing_more(database_url, database, eventually):
    beat = _heartbeat(database_url, RunningJobs())
    beat.start()
    worker_id = beat.worker_id()
    assert _capacity(database) == {"remote": 4}

    beat.take_nothing_more()

    eventually(lambda: not _capacity(database))
    assert _is_live(database, worker_id)
    beat.stop()


def test_a_closing_worker_that_was_buried_comes_back_for_its_jobs_alone(database_url, database, eventually):
    beat = _heartbeat(database_url, RunningJobs())
    beat.start()
    first = beat.worker_id()
    beat.take_nothing_more()

    with database.transaction() as session:
        session.execute(update(Worker).values(ended_at=func.clock_timestamp()))
    eventually(lambda: beat.worker_id() != first)

    assert _is_live(database, beat.worker_id())
    assert not _capacity(database)
    beat.stop()


def test_a_heartbeat_without_postgres_says_so_in_lines(eventually, caplog):
    beat = _heartbeat("postgresql+psycopg://darkroom@127.0.0.1:1/darkroom", RunningJobs())
    beat.start()

    eventually(lambda: len(_of_the_heartbeat(caplog)) > 1)
    beat.stop()

    assert {record.event for record in _of_the_heartbeat(caplog)} == {"heartbeat_lost"}
    assert not any(record.exc_info for record in _of_the_heartbeat(caplog))


def _of_the_heartbeat(caplog):
    """Its lines alone: writers of other tests, whose Postgres is gone for good, wait on in this process."""
    return [record for record in caplog.records if record.name == "darkroom.heartbeat"]


def _capacity(database):
    with database.transaction() as session:
        return queries.capacity(session)


def _heartbeat(database_url, running) -> Heartbeat:
    return Heartbeat(Database(database_url, pool_size=1), Identity("remote@here", ("remote",), 4), running)


def test_a_job_left_behind_in_a_living_worker_is_given_back(database_url, database, dispatched, eventually):
    beat = _heartbeat(database_url, RunningJobs())
    beat.start()
    claim = dispatched()
    _accepted(database, claim, beat.worker_id())

    eventually(lambda: _status(database, claim) is Status.QUEUE)
    beat.stop()


def test_a_worker_that_was_buried_registers_again_and_lets_its_jobs_go(
    database_url, database, dispatched, eventually
):
    running = RunningJobs()
    beat = _heartbeat(database_url, running)
    beat.start()
    first = beat.worker_id()
    stop = running.add(dispatched())

    with database.transaction() as session:
        session.execute(update(Worker).values(ended_at=func.clock_timestamp()))

    eventually(lambda: beat.worker_id() != first)
    assert stop.wait(5)
    beat.stop()


def test_a_worker_keeps_its_number_when_its_connection_is_cut(database_url, database, eventually):
    beat = _heartbeat(database_url, RunningJobs())
    beat.start()
    worker_id = beat.worker_id()

    with database.transaction() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = :id"
            ),
            {"id": worker_id},
        )

    eventually(lambda: _is_live(database, worker_id))
    assert beat.worker_id() == worker_id
    beat.stop()


def _is_live(database, worker_id) -> bool:
    with database.transaction() as session:
        return worker_id in [worker.id for worker in queries.live_workers(session)]


def test_the_sweep_leaves_healthy_jobs_alone(bench, dispatched, worker_id, lock):
    claim = dispatched()

    generate(bench, claim, worker_id, StopSignal())
    moved = sweep.sweep(bench.database, bench.broker)

    assert moved == 0


def test_a_job_accepted_in_the_name_of_a_buried_worker_is_given_back(database, dispatched, worker_id):
    claim = dispatched()
    _accepted(database, claim, worker_id)
    with database.transaction() as session:
        session.execute(update(Worker).values(ended_at=func.clock_timestamp()))

    assert sweep.rescue_from_dead_workers(database) == 1

    with database.transaction() as session:
        job = queries.job(session, claim.job_id)
    assert (job.status, job.worker_deaths) == (Status.QUEUE, 0)


def test_a_buried_worker_accepts_nothing(database, dispatched, worker_id):
    with database.transaction() as session:
        session.execute(update(Worker).values(ended_at=func.clock_timestamp()))

    with pytest.raises(StaleTransition):
        _accepted(database, dispatched(), worker_id)


def test_a_worker_whose_connection_is_cut_is_not_taken_for_dead(database_url, database, eventually):
    beat = _heartbeat(database_url, RunningJobs())
    beat.start()
    worker_id = beat.worker_id()
    dead = []

    for _ in range(3):
        with database.transaction() as session:
            cut = text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            session.execute(cut)
        eventually(lambda: dead.extend(_dead(database)) or _is_live(database, worker_id))
    beat.stop()

    assert dead == []


def _dead(database) -> list[int]:
    with database.transaction() as session:
        return [row.id for row in queries.dead_workers(session)]


def _waiting_with_a_ticket(bench, claim, worker_id, put_aside=timedelta(0)) -> None:
    """Killed, and nobody holds it."""
    with bench.database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
        transitions.record_ticket(session, attempt.id, {"id": str(claim.job_id)})
        transitions.hand_over(session, claim, attempt.id, "shutting down", put_aside)
        transitions.request_kill(session, claim.job_id)


def test_one_bad_cancel_does_not_keep_the_others_alive(bench, provider, dispatched, worker_id):
    bad, good = dispatched(), dispatched()
    for claim in (bad, good):
        _waiting_with_a_ticket(bench, claim, worker_id)

    def cancel(ticket):
        if ticket == {"id": str(bad.job_id)}:
            raise KeyError("a bug in the provider")
        return CancelOutcome.CANCELLED

    provider.cancel = cancel

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        assert queries.job(session, good.job_id).outcome is Outcome.KILLED
        assert queries.job(session, bad.job_id).outcome is None


def test_a_provider_that_does_not_answer_a_cancel_is_asked_again(bench, provider, dispatched, worker_id):
    claim = dispatched()
    _waiting_with_a_ticket(bench, claim, worker_id)
    answers = iter([Unavailable("502"), None])

    def cancel(_ticket):
        error = next(answers)
        if error:
            raise error
        return CancelOutcome.CANCELLED

    provider.cancel = cancel

    stops.finish_stops(bench.database, bench.providers)
    assert _status(bench.database, claim) is Status.QUEUE
    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        assert queries.job(session, claim.job_id).stopped_how is StopOutcome.CANCELLED


def test_a_picture_finished_before_the_kill_is_fetched_after_all(bench, provider, dispatched, worker_id):
    claim = dispatched()
    _waiting_with_a_ticket(bench, claim, worker_id)
    provider.cancel_outcome = CancelOutcome.FINISHED_FIRST

    assert stops.finish_stops(bench.database, bench.providers) == 1

    generate(bench, dispatched(claim.job_id), worker_id, StopSignal())
    with bench.database.transaction() as session:
        assert queries.job(session, claim.job_id).outcome is Outcome.SUCCEEDED


def test_a_spared_job_is_fetched_at_once(bench, provider, dispatched, worker_id):
    claim = dispatched()
    _waiting_with_a_ticket(bench, claim, worker_id, put_aside=timedelta(hours=1))
    provider.cancel_outcome = CancelOutcome.FINISHED_FIRST

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        job = queries.job(session, claim.job_id)
        assert job.run_at <= session.execute(select(func.clock_timestamp())).scalar_one()


def test_a_finished_picture_that_cannot_be_fetched_does_not_keep_its_job_alive_for_ever(
    bench, provider, dispatched, worker_id
):
    provider.cancel_outcome = CancelOutcome.FINISHED_FIRST
    provider.on_fetch = _silence
    claim = dispatched()
    stop = StopSignal()
    stop.wait = lambda _seconds: False
    generate(bench, claim, worker_id, stop)
    with bench.database.transaction() as session:
        transitions.request_kill(session, claim.job_id)

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        job = queries.job(session, claim.job_id)
    assert (job.outcome, job.stopped_how) == (Outcome.KILLED, StopOutcome.CANNOT_CANCEL)


def _silence():
    raise Unavailable("no answer")


@pytest.fixture
def hanging(provider):
    """Half a minute to give no answer to a cancel: the tickets it was asked about, and its clock."""
    now = [0.0]
    asked = []

    def cancel(ticket):
        asked.append(ticket)
        now[0] += 30
        raise Unavailable("timed out")

    provider.cancel = cancel
    return asked, lambda: now[0]


def test_a_provider_that_hangs_is_asked_once_in_a_round(bench, hanging, dispatched, worker_id):
    claims = [dispatched() for _ in range(3)]
    for claim in claims:
        _waiting_with_a_ticket(bench, claim, worker_id)
    asked, clock = hanging

    stops.finish_stops(bench.database, bench.providers, clock)

    assert asked == [{"id": str(claims[0].job_id)}]
    assert {_status(bench.database, claim) for claim in claims} == {Status.QUEUE}


def test_what_hangs_for_too_long_ends_without_being_asked_for_each_job(
    bench, hanging, dispatched, worker_id, monkeypatch
):
    monkeypatch.setattr(stops, "KEEP_CANCELLING", timedelta(0))
    claims = [dispatched() for _ in range(3)]
    for claim in claims:
        _waiting_with_a_ticket(bench, claim, worker_id)
    asked, clock = hanging

    stops.finish_stops(bench.database, bench.providers, clock)

    with bench.database.transaction() as session:
        how = {queries.job(session, claim.job_id).stopped_how for claim in claims}
    assert (how, len(asked)) == ({StopOutcome.CANNOT_CANCEL}, 1)


def test_a_job_that_a_worker_has_just_taken_is_the_workers_to_stop(bench, dispatched, worker_id):
    claim = dispatched()
    _accepted(bench.database, claim, worker_id)

    with pytest.raises(StaleTransition), bench.database.transaction() as session:
        transitions.kill_unheld(session, claim, StopOutcome.NEVER_STARTED)


def test_one_sweep_at_a_time(bench, database):
    with database.engine.connect() as other:
        other.execute(select(func.pg_advisory_lock(SWEEP_LOCK)))

        assert sweep.sweep(bench.database, bench.broker) == 0
        other.execute(text("SELECT pg_advisory_unlock_all()"))


def _held(bench, claim, worker_id) -> None:
    """Its answer was lost, and it waits for a person."""
    with bench.database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
        transitions.hold(session, claim, attempt.id, LOST)


def test_a_held_job_is_left_to_the_person_it_waits_for(bench, dispatched, worker_id, monkeypatch):
    monkeypatch.setattr(sweep, "PATIENCE", timedelta(0))
    claim = dispatched()
    _held(bench, claim, worker_id)
    _seen(bench.database, worker_id, 100)

    sweep.sweep(bench.database, bench.broker)
    dispatch(bench.database, bench.broker, bench.offers())  # Redis is empty: recalls what was published

    with bench.database.transaction() as session:
        job = queries.job(session, claim.job_id)
        last = queries.trail(session, claim.job_id)[-1]
    assert (job.status, job.outcome, job.worker_deaths) == (Status.QUEUE, None, 0)
    assert job.held_at is not None
    assert last.reason == "submission_unknown: held until somebody decides"


def test_a_held_job_that_is_killed_ends_and_nobody_knows_what_it_cost(bench, provider, dispatched, worker_id):
    claim = dispatched()
    _held(bench, claim, worker_id)
    with bench.database.transaction() as session:
        transitions.request_kill(session, claim.job_id)

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        job = queries.job(session, claim.job_id)
        [attempt] = queries.attempts(session, claim.job_id)
    assert (job.outcome, job.stopped_how) == (Outcome.KILLED, StopOutcome.UNKNOWN)
    assert (attempt.state, attempt.billed) == (AttemptState.UNKNOWN, Billed.UNKNOWN)
    assert provider.cancelled == []


def test_what_was_found_meanwhile_is_stopped_at_its_provider(bench, provider, dispatched, worker_id):
    claim = dispatched()
    _held(bench, claim, worker_id)
    with bench.database.transaction() as session:
        transitions.request_kill(session, claim.job_id)
        transitions.adopt(session, claim.job_id, {"id": "found"})

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        job = queries.job(session, claim.job_id)
    assert provider.cancelled == [{"id": "found"}]
    assert (job.outcome, job.stopped_how) == (Outcome.KILLED, StopOutcome.CANCELLED)


def test_a_job_that_was_written_off_once_may_have_cost_money_when_it_is_killed(bench, dispatched, worker_id):
    claim = dispatched()
    _held(bench, claim, worker_id)
    with bench.database.transaction() as session:
        transitions.resend(session, claim.job_id, "not found")
        transitions.request_kill(session, claim.job_id)

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        assert queries.job(session, claim.job_id).stopped_how is StopOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("billed", "how"), [(Billed.UNKNOWN, StopOutcome.UNKNOWN), (Billed.NO, StopOutcome.NEVER_STARTED)]
)
def test_an_attempt_that_failed_may_have_cost_money_too(bench, dispatched, worker_id, billed, how):
    claim = dispatched()
    with bench.database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
        failure = Failure("generation_failed", "it broke", billed=billed)
        transitions.retry(session, claim, attempt.id, failure, timedelta(0))
        transitions.request_kill(session, claim.job_id)

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        assert queries.job(session, claim.job_id).stopped_how is how


def _in_doubt(bench, claim, worker_id) -> str:
    """Its worker died between the intent and the ticket; the key under which it may have been sent."""
    with bench.database.transaction() as session:
        transitions.accept(session, claim, worker_id)
        transitions.start_preprocess(session, claim)
        transitions.end_preprocess(session, claim)
        attempt = transitions.assign(session, claim, provider="sandbox", remote_id="sandbox")
        transitions.rescue(session, Job.worker_id == worker_id, "worker was killed")
        transitions.request_kill(session, claim.job_id)
    return str(attempt.uuid)


@pytest.mark.parametrize("answer", [CancelOutcome.CANCELLED, CancelOutcome.CANNOT_CANCEL])
def test_what_can_be_asked_for_is_found_before_it_is_stopped(bench, provider, dispatched, worker_id, answer):
    provider.on_lost_answer = LostAnswer.ASK
    provider.cancel_outcome = answer
    claim = dispatched()
    key = _in_doubt(bench, claim, worker_id)
    provider.bought[key] += 1

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        assert queries.job(session, claim.job_id).stopped_how == StopOutcome(answer)
    assert provider.cancelled == [{"id": key}]


def test_what_its_provider_never_heard_of_ends_as_unknown(bench, provider, dispatched, worker_id):
    provider.on_lost_answer = LostAnswer.ASK
    claim = dispatched()
    _in_doubt(bench, claim, worker_id)

    stops.finish_stops(bench.database, bench.providers)

    with bench.database.transaction() as session:
        assert queries.job(session, claim.job_id).stopped_how is StopOutcome.UNKNOWN
    assert provider.cancelled == []


def test_a_picture_found_finished_is_kept_although_its_job_was_to_be_killed(
    bench, provider, dispatched, worker_id
):
    provider.on_lost_answer = LostAnswer.ASK
    provider.cancel_outcome = CancelOutcome.FINISHED_FIRST
    claim = dispatched()
    provider.bought[_in_doubt(bench, claim, worker_id)] += 1

    spared = stops.finish_stops(bench.database, bench.providers)
    generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    with bench.database.transaction() as session:
        assert queries.job(session, claim.job_id).outcome is Outcome.SUCCEEDED
    assert (spared, provider.submitted) == (1, [])
