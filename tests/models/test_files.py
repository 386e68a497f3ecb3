"""Files of projects: who uses them, and when they go."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from models import files, transitions
from models.errors import FileGone, NotFound
from models.file import Erasure, File, FileKind, JobFile
from models.files import Picture
from models.transitions import NewJob

RED = Picture("inputImage-1.png", "image/png", 3, "aa" * 32)
BLUE = Picture("inputImage-2.png", "image/png", 4, "bb" * 32)


@pytest.fixture
def record(database, project_id):
    """`record(*pictures)`: the numbers of their files."""

    def write(*pictures):
        with database.transaction() as session:
            rows = files.record_inputs(session, project_id, pictures)
            return [rows[picture.sha256].id for picture in pictures]

    return write


@pytest.fixture
def queue(database, project_id):
    """`queue(*file_ids)`: the number of a job that uses them."""

    def enqueue(*file_ids):
        job = NewJob(project_id, "a/b", {"prompt": "x"}, file_ids=file_ids)
        with database.transaction() as session:
            return transitions.enqueue(session, [job])[0].id

    return enqueue


@pytest.fixture
def there(database):
    """The names of the files that are there."""

    def look():
        with database.transaction() as session:
            query = select(File.name).where(File.deleted_at.is_(None)).order_by(File.name)
            return session.scalars(query).all()

    return look


@pytest.fixture
def promised(database):
    """How many erasures are promised, and how many of them are due."""

    def look():
        with database.transaction() as session:
            is_due = Erasure.due_at <= func.now()
            return session.execute(select(func.count(), func.count().filter(is_due))).one()

    return look


def let_go(database, *job_ids):
    with database.transaction() as session:
        files.let_go(session, job_ids)


def pass_a_day(database):
    with database.transaction() as session:
        session.execute(update(Erasure).values(due_at=func.now() - timedelta(seconds=1)))


def test_the_same_picture_is_recorded_once(record, promised):
    assert record(RED, BLUE) == record(RED, BLUE)
    assert promised() == (2, 0)


def test_what_a_job_uses_is_promised_to_stay(record, queue, promised):
    queue(*record(RED))

    assert promised() == (0, 0)


def test_the_last_job_that_lets_go_takes_its_pictures_along(database, record, queue, there, promised):
    first, second = queue(*record(RED, BLUE)), queue(*record(RED))

    let_go(database, first)
    assert there() == [RED.name]
    let_go(database, second)

    assert there() == []
    assert promised() == (2, 2)


def test_a_deleted_picture_that_is_sent_again_is_another_file(database, record, queue, there):
    [old] = record(RED)
    let_go(database, queue(old))

    [new] = record(RED)

    assert (new != old, there()) == (True, [RED.name])


def test_a_job_is_not_queued_with_a_file_that_is_gone(database, record, queue):
    [gone] = record(RED)
    let_go(database, queue(gone))

    with pytest.raises(FileGone):
        queue(gone)


def test_a_retry_uses_what_its_old_job_used(database, record, queue, there):
    old = queue(*record(RED))
    with database.transaction() as session:
        transitions.cancel(session, old)
        again = transitions.Again(old, {}, "a/b|*|")
        new = transitions.try_again(session, [again], even_if_paid=True)[old]

    let_go(database, old)

    assert there() == [RED.name]
    with database.transaction() as session:
        assert session.scalars(select(JobFile.job_id)).all() == [new.id]


def test_who_deletes_waits_for_who_begins_to_use(database, record, queue, there, eventually):
    [shared] = record(RED)
    old, new = queue(shared), queue()

    with database.transaction() as session:
        files.use(session, {new: [shared]})
        deleting = threading.Thread(target=let_go, args=(database, old))
        deleting.start()
        eventually(lambda: _somebody_waits(database))
    deleting.join()

    assert there() == [RED.name]


def test_who_begins_to_use_waits_for_who_deletes(database, record, queue, there, eventually):
    [shared] = record(RED)
    old = queue(shared)
    refused = []

    def use():
        try:
            queue(shared)
        except FileGone as exc:
            refused.append(exc)

    with database.transaction() as session:
        files.let_go(session, [old])
        using = threading.Thread(target=use)
        using.start()
        eventually(lambda: _somebody_waits(database))
    using.join()

    assert (len(refused), there()) == (1, [])


def _somebody_waits(database):
    with database.transaction() as session:
        return session.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one()


def test_what_nobody_used_in_time_is_deleted(database, record, queue, there):
    record(RED)
    queue(*record(BLUE))
    pass_a_day(database)

    with database.transaction() as session:
        due = files.due_erasures(session, 10)

    assert (len(due), there()) == (1, [BLUE.name])


def test_a_promise_about_what_was_used_meanwhile_is_taken_back(database, record, queue, there, promised):
    [red] = record(RED)
    queue(red)
    with database.transaction() as session:
        files.promise_erasure(session, "1/inputs/xx/key", file_id=red)

    with database.transaction() as session:
        assert files.due_erasures(session, 10) == []

    assert (there(), promised()) == ([RED.name], (0, 0))


def test_a_folder_is_there_once_and_goes_with_all_that_lies_in_it(database, project_id, promised):
    with database.transaction() as session:
        outer = files.add_folder(session, project_id, None, "outer")
        assert files.add_folder(session, project_id, None, "outer").id == outer.id
        inner = files.add_folder(session, project_id, outer.id, "inner")
        session.add(_upload(project_id, inner.id))
        session.add(_upload(project_id, None))

    with database.transaction() as session:
        files.delete_files(session, [outer.id])
        top = files.lying_in(session, project_id, None, before_id=None, limit=10)
        with pytest.raises(NotFound):
            files.by_uuid(session, project_id, inner.uuid)

    assert [file.name for file in top] == ["a.txt"]
    assert promised() == (1, 1)


def _upload(project_id, parent_id, number=0):
    return File(
        project_id=project_id,
        parent_id=parent_id,
        kind=FileKind.UPLOAD,
        name="a.txt",
        access_key=f"key{parent_id}-{number}",
        storage_key=f"{project_id}/uploads/xx/key{parent_id}-{number}/a.txt",
    )


def test_two_who_bring_the_same_pictures_at_once_share_their_files(database, record, project_id, eventually):
    other = []

    with database.transaction() as session:
        red = files.record_inputs(session, project_id, [RED])[RED.sha256].id
        bringing = threading.Thread(target=lambda: other.extend(record(BLUE, RED)))
        bringing.start()
        eventually(lambda: _somebody_waits(database))
        blue = files.record_inputs(session, project_id, [BLUE])[BLUE.sha256].id
    bringing.join()

    assert other == [blue, red]


def test_any_number_of_jobs_may_use_a_file(database, record, project_id, there):
    jobs = [NewJob(project_id, "a/b", {"prompt": "x"}, file_ids=tuple(record(RED)))] * 2000

    with database.transaction() as session:
        numbers = [job.id for job in transitions.enqueue(session, jobs)]
        session.add_all([_upload(project_id, None, number) for number in range(2000)])

    let_go(database, *numbers[1:])
    assert there()[-1] == RED.name
    with database.transaction() as session:
        assert len(files.delete_files(session, session.scalars(select(File.id)).all())) == 2000
