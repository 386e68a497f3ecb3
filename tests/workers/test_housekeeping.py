"""What need not be kept any longer goes; what is alive, held or kept for ever stays."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from models import files, keys, queries, retention, transitions
from models.attempt import Attempt
from models.campaign import Campaign
from models.event import JobEvent
from models.file import Erasure, File
from models.job import Job
from models.lane import Lane
from models.output import Output
from models.project import Project
from models.transitions import NewJob
from models.worker import TIDY_LOCK, Worker
from storage.errors import Unwritable
from workers.housekeeping import tidy

RECORDS = (Job, Attempt, JobEvent, Output)


@pytest.fixture
def keep(database, project_id):
    """`keep(jobs_days=1)`: for how long the project keeps what."""

    def set_days(**days):
        values = {f"keep_{name}": value for name, value in days.items()}
        with database.transaction() as session:
            session.execute(update(Project).where(Project.id == project_id).values(**values))

    return set_days


@pytest.fixture
def aged(database):
    """`aged(job_id, days=2)`: the job has ended so long ago."""

    def set_end(*job_ids, days=2):
        with database.transaction() as session:
            session.execute(
                update(Job)
                .where(Job.id.in_(job_ids))
                .values(finished_at=func.now() - timedelta(days=days) + Job.id * timedelta(milliseconds=1))
            )

    return set_end


@pytest.fixture
def made(desk, enqueue, aged):
    """`made(days=2)`: a job with a picture that ended so long ago."""

    def make(days=2):
        job_id = enqueue()
        desk.run(job_id)
        aged(job_id, days=days)
        return job_id

    return make


def counts(database):
    with database.transaction() as session:
        return [session.execute(select(func.count()).select_from(one)).scalar_one() for one in RECORDS]


def output_of(database, job_id):
    with database.transaction() as session:
        return queries.outputs(session, job_id)[0]


def test_whatever_is_kept_for_ever_stays(database, bench, made):
    made(days=4000)
    before = counts(database)

    assert tidy(database, bench.storage) == 0

    assert counts(database) == before


def test_an_old_job_goes_with_all_that_hung_on_it(database, bench, made, keep):
    keep(jobs_days=1)
    job_id = made()
    stored = output_of(database, job_id).storage_key

    assert tidy(database, bench.storage) == 1

    assert counts(database) == [0, 0, 0, 0]
    assert not bench.storage.exists(stored)


def test_what_was_spent_stays_spent(database, bench, made, keep, project_id):
    keep(jobs_days=1)
    made()
    with database.transaction() as session:
        spent = session.get_one(Project, project_id).spent_usd

    tidy(database, bench.storage)

    with database.transaction() as session:
        assert session.get_one(Project, project_id).spent_usd == spent == Decimal("0.04")


def test_a_job_goes_no_earlier_than_its_time(database, bench, made, keep):
    keep(jobs_days=3)
    made(days=2)
    old = made(days=4)

    assert tidy(database, bench.storage) == 1

    with database.transaction() as session:
        assert session.get(Job, old) is None
    assert counts(database)[0] == 1


def test_living_and_held_jobs_stay_however_old(database, bench, desk, enqueue, keep):
    keep(jobs_days=1, events_days=1, outputs_days=1)
    waiting, running = enqueue(), enqueue()
    desk.leave(running)
    with database.transaction() as session:
        long_ago = datetime(2001, 1, 1, tzinfo=UTC)
        session.execute(update(Job).values(created_at=long_ago, run_at=long_ago))
        session.execute(update(Job).where(Job.id == waiting).values(held_at=long_ago))
    before = counts(database)

    assert tidy(database, bench.storage) == 0

    assert counts(database) == before


def test_other_projects_jobs_stay(database, bench, made, project_id):
    made()
    with database.transaction() as session:
        session.add(Project(name="q", auth="key", api_key="q", api_secret="s", keep_jobs_days=1))

    assert tidy(database, bench.storage) == 0


def test_of_an_old_picture_the_record_stays(database, bench, made, keep):
    keep(outputs_days=1)
    job_id = made()
    before = counts(database)

    assert tidy(database, bench.storage) == 1

    output = output_of(database, job_id)
    assert output.deleted_at is not None
    assert not bench.storage.exists(output.storage_key)
    assert counts(database) == before


def test_a_young_picture_stays(database, bench, made, keep):
    keep(outputs_days=3)

    job_id = made()
    tidy(database, bench.storage)

    output = output_of(database, job_id)
    assert output.deleted_at is None
    assert bench.storage.exists(output.storage_key)


def test_of_an_old_trail_the_job_stays(database, bench, made, keep):
    keep(events_days=1)
    job_id = made()

    assert tidy(database, bench.storage) == 1

    assert counts(database) == [1, 1, 0, 1]
    with database.transaction() as session:
        assert queries.job(session, job_id).last_seq > 1


def test_what_was_done_is_not_looked_at_again(database, bench, made, keep):
    keep(events_days=1, outputs_days=1)
    made()
    tidy(database, bench.storage)

    assert tidy(database, bench.storage) == 0

    made(days=1.5)
    assert tidy(database, bench.storage) == 2


def test_many_that_ended_in_one_moment_go_together(database, bench, enqueue, keep, monkeypatch):
    monkeypatch.setattr("workers.housekeeping.JOBS_AT_ONCE", 2)
    keep(events_days=1)
    jobs = [enqueue() for _ in range(7)]
    with database.transaction() as session:
        for job_id in jobs:
            transitions.cancel(session, job_id)
        moments = {job_id: datetime(2026, 1, 1 + n // 5, tzinfo=UTC) for n, job_id in enumerate(jobs)}
        for job_id, moment in moments.items():
            session.execute(update(Job).where(Job.id == job_id).values(finished_at=moment))

    assert tidy(database, bench.storage) == 7

    assert counts(database)[2] == 0


def test_a_call_ends_when_its_time_is_over_and_the_next_goes_on(database, bench, made, keep, monkeypatch):
    monkeypatch.setattr("workers.housekeeping.JOBS_AT_ONCE", 1)
    keep(jobs_days=1)
    made()
    made()

    assert [tidy(database, bench.storage, tidy_for_s=0) for _ in range(3)] == [1, 1, 0]


def test_while_one_tidies_another_does_nothing(database, bench, made, keep):
    keep(jobs_days=1)
    made()

    with database.engine.connect() as connection:
        connection.execute(select(func.pg_advisory_lock(TIDY_LOCK)))
        connection.commit()
        assert tidy(database, bench.storage) == 0
        connection.execute(text("SELECT pg_advisory_unlock_all()"))

    assert tidy(database, bench.storage) == 1


class Killed(BaseException):
    """Nobody catches it."""


@pytest.fixture
def killed(bench, monkeypatch):
    """Inside of it, whoever calls that verb of the storage is killed there."""

    @contextmanager
    def kill(verb):
        def die(*_):
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(type(bench.storage), verb, die)
            yield

    return kill


@pytest.mark.parametrize("where", list(product(["jobs_days", "outputs_days"], ["delete", "delete_below"])))
def test_a_kill_among_the_files_leaves_no_address_and_no_file(bench, made, keep, killed, where):
    database, (days, verb) = bench.database, where
    keep(**{days: 1})
    job_id = made()
    stored = output_of(database, job_id).storage_key
    with killed(verb), pytest.raises(Killed):
        tidy(database, bench.storage)
    assert output_of(database, job_id).deleted_at is not None

    assert tidy(database, bench.storage) == 1

    assert not bench.storage.exists(stored)


def test_a_file_that_cannot_be_deleted_holds_up_nothing_else(database, bench, made, keep, monkeypatch):
    keep(events_days=1, outputs_days=1)
    job_id = made()

    def refuse(*_):
        raise Unwritable("read-only")

    with monkeypatch.context() as patched:
        patched.setattr(type(bench.storage), "delete", refuse)
        assert tidy(database, bench.storage) == 1

    assert tidy(database, bench.storage) == 1
    assert not bench.storage.exists(output_of(database, job_id).storage_key)


def test_what_a_killed_worker_stored_and_never_recorded_goes_with_the_job(
    database, bench, enqueue, keep, aged
):
    keep(jobs_days=1)
    job_id = enqueue()
    with database.transaction() as session:
        transitions.cancel(session, job_id)
        uuid = queries.job(session, job_id).uuid
    aged(job_id)
    orphans = [f"{keys.outputs_folder(uuid)}/1/0.png", f"{keys.fetched_folder(uuid)}/inputImage-0.png"]
    for key in (*orphans, "inputs/ab/shared.png"):
        bench.storage.put(key, b"picture")

    tidy(database, bench.storage)

    assert not any(bench.storage.exists(key) for key in orphans)
    assert bench.storage.exists("inputs/ab/shared.png")


def test_one_that_tries_a_deleted_job_again_stays_and_bears_its_name(database, bench, project_id, keep, aged):
    keep(jobs_days=1)
    with database.transaction() as session:
        campaign = Campaign(project_id=project_id, name="c")
        session.add(campaign)
        session.flush()
        row = NewJob(project_id, "a/b", {}, campaign_id=campaign.id, custom_id="one")
        first = transitions.enqueue(session, [row])[0].id
        transitions.cancel(session, first)
        again = transitions.Again(first, {}, "a/b|*|")
        second = transitions.try_again(session, [again], even_if_paid=False)[first].id
    aged(first)

    assert tidy(database, bench.storage) == 1

    with database.transaction() as session:
        assert queries.job(session, second).retry_of is None
        assert transitions.enqueue(session, [row])[0].id == second


def test_the_ledger_gives_way_to_nobody_else(database, bench, made, keep):
    made()

    for statement in ("DELETE FROM job_events", "UPDATE job_events SET reason = 'x'"):
        with pytest.raises(ProgrammingError, match="append-only"), database.transaction() as session:
            session.execute(text(statement))


def test_the_door_is_for_deleting_alone(database, made):
    made()

    with database.transaction() as session:
        session.execute(text("SET LOCAL darkroom.housekeeping = 'on'"))
        with pytest.raises(ProgrammingError, match="append-only"), session.begin_nested():
            session.execute(text("UPDATE job_events SET reason = 'x'"))


def test_the_door_closes_behind_who_went_through(database, made):
    job_id = made()
    made()

    with database.transaction() as session:
        retention.with_door_open(session, delete(JobEvent).where(JobEvent.job_id == job_id))
        with pytest.raises(ProgrammingError, match="append-only"), session.begin_nested():
            session.execute(text("DELETE FROM job_events"))


def test_an_ended_job_that_somebody_asks_about_is_left_for_the_next_time(database, bench, made, keep):
    keep(jobs_days=1)
    job_id = made()

    with database.transaction() as other:
        other.execute(select(Job.id).where(Job.id == job_id).with_for_update(key_share=True))
        assert tidy(database, bench.storage) == 0

    assert tidy(database, bench.storage) == 1


def test_a_lane_that_was_not_served_for_a_day_is_forgotten(database, bench):
    with database.transaction() as session:
        for key, hours in (("1", 1), ("2", 25)):
            served_at = datetime.now(UTC) - timedelta(hours=hours)
            session.add(Lane(key=key, virtual_time=1.0, served_at=served_at, recent_jobs=0.0, recent_s=0.0))

    tidy(database, bench.storage)

    with database.transaction() as session:
        assert session.scalars(select(Lane.key)).all() == ["1"]


def test_a_worker_is_forgotten_a_week_after_its_end_unless_a_job_of_its_time_is_kept(database, bench, made):
    made(days=30)
    now = datetime.now(UTC)
    with database.transaction() as session:
        session.execute(update(Worker).values(started_at=now - timedelta(days=60)))
        for name, start, end in (("kept", 31, 29), ("young", 7, 6), ("old", 20, 8)):
            since, until = now - timedelta(days=start), now - timedelta(days=end)
            session.add(
                Worker(name=name, host="h", pid=1, queues=[], concurrency=1, started_at=since, ended_at=until)
            )

    tidy(database, bench.storage)

    with database.transaction() as session:
        left = session.scalars(select(Worker.name).order_by(Worker.name)).all()
    assert left == ["kept", "remote@here", "young"]


def test_no_job_is_deleted_by_way_of_its_project(database, project_id, made):
    made()

    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(text("DELETE FROM projects"))


@pytest.fixture
def sent_along(database, bench, project_id):
    """`sent_along()`: the number and the key of a picture that comes along with jobs, stored."""

    def record(digit="a"):
        picture = files.Picture("inputImage-1.png", "image/png", 7, digit * 64)
        with database.transaction() as session:
            [row] = files.record_inputs(session, project_id, [picture]).values()
        bench.storage.put(row.storage_key, b"picture")
        return row.id, row.storage_key

    return record


def test_a_picture_that_came_along_goes_with_the_last_job_that_used_it(
    database, bench, made, keep, sent_along
):
    keep(jobs_days=3)
    number, key = sent_along()
    old, young = made(days=4), made(days=2)
    with database.transaction() as session:
        files.use(session, {old: [number], young: [number]})

    tidy(database, bench.storage)
    assert bench.storage.exists(key)
    keep(jobs_days=1)
    tidy(database, bench.storage)
    tidy(database, bench.storage)

    assert not bench.storage.exists(key)


def test_a_picture_whose_job_was_never_queued_goes_after_a_day(database, bench, sent_along):
    _, key = sent_along()
    tidy(database, bench.storage)
    assert bench.storage.exists(key)

    with database.transaction() as session:
        session.execute(update(Erasure).values(due_at=func.now() - timedelta(seconds=1)))
    tidy(database, bench.storage)

    assert not bench.storage.exists(key)


def test_bytes_that_cannot_be_erased_are_tried_again(database, bench, sent_along, monkeypatch):
    number, key = sent_along()
    with database.transaction() as session:
        files.delete_unused(session, [number])

    def refuse(*_):
        raise Unwritable("read-only")

    with monkeypatch.context() as patch:
        patch.setattr(type(bench.storage), "delete_below", refuse)
        tidy(database, bench.storage)
    assert bench.storage.exists(key)
    tidy(database, bench.storage)

    assert not bench.storage.exists(key)


def test_a_deleted_file_is_forgotten_when_jobs_of_its_time_would_be(database, bench, keep, project_id):
    with database.transaction() as session:
        outer = files.add_folder(session, project_id, None, "outer")
        files.add_folder(session, project_id, outer.id, "inner")
        files.add_folder(session, project_id, None, "young")
        session.execute(update(File).values(deleted_at=func.now() - timedelta(days=2)))
        session.execute(update(File).where(File.name == "young").values(deleted_at=func.now()))
        files.add_folder(session, project_id, None, "there")
    tidy(database, bench.storage)
    assert names(database) == ["inner", "outer", "there", "young"]

    keep(jobs_days=1)
    tidy(database, bench.storage)

    assert names(database) == ["there", "young"]


def names(database):
    with database.transaction() as session:
        return session.scalars(select(File.name).order_by(File.name)).all()


def test_a_deleted_file_is_remembered_while_a_job_is_said_to_have_used_it(
    database, bench, keep, made, sent_along
):
    number, _ = sent_along()
    job_id = made(days=0)
    with database.transaction() as session:
        files.use(session, {job_id: [number]})
        session.execute(update(File).values(deleted_at=func.now() - timedelta(days=9)))
    keep(jobs_days=1)

    tidy(database, bench.storage)

    assert names(database) == ["inputImage-1.png"]
