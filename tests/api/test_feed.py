"""The feed: whoever watches a job is told of every row of its ledger, in order, until there will be none."""

import asyncio
import contextlib
import threading

import pytest
from sqlalchemy import delete, event, make_url, text

from api.feed import Feed, Told
from api.watchers import WORDS_MAX, Watcher
from broker import Broker, Word, create_app
from models import retention, transitions
from models.event import JobEvent
from models.job import Job
from models.lifecycle import Status
from models.session import Database
from models.transitions import NewJob
from models.watching import Moved

DEADLINE_S = 60

ALL = [
    "task_queue",
    "task_accept",
    "task_preprocess_start",
    "task_preprocess_end",
    "task_assign",
    "task_start",
    "task_end",
    "task_postprocess_start",
    "task_postprocess_end",
]


@pytest.fixture
def feed(database):
    made = Feed(database)
    made.start()
    yield made
    made.stop()


async def told(feed, job_id, after_seq=0):
    """All that a watcher is told until there is no more."""
    async with asyncio.timeout(DEADLINE_S), feed.watch(job_id, after_seq) as watcher:
        return [moved async for moved in watcher]


async def first(watcher, status):
    """The watcher's next row with this status."""
    async with asyncio.timeout(DEADLINE_S):
        async for moved in watcher:
            if moved.status == status:
                return moved
    raise AssertionError(f"ended without {status}")


def statuses(moves):
    return [moved.status.value for moved in moves]


# --- the ledger ------------------------------------------------------------------------------------


def test_a_watcher_is_told_of_every_status_in_order(feed, hand):
    job_id = hand.queue()

    async def scene():
        watching = asyncio.create_task(told(feed, job_id))
        await asyncio.to_thread(hand.succeed, job_id)
        return await watching

    moves = asyncio.run(scene())

    assert statuses(moves) == ALL
    assert [moved.seq for moved in moves] == list(range(1, 10))


def test_all_who_watch_a_job_are_told_the_same(feed, hand):
    job_id = hand.queue()

    async def scene():
        watching = [asyncio.create_task(told(feed, job_id)) for _ in range(5)]
        await asyncio.to_thread(hand.succeed, job_id)
        return await asyncio.gather(*watching)

    every = asyncio.run(scene())

    assert [statuses(moves) for moves in every] == [ALL] * 5


def test_who_comes_late_is_told_everything_from_the_beginning(feed, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    moves = asyncio.run(told(feed, job_id))

    assert statuses(moves) == ALL


def test_who_knows_a_part_is_told_the_rest(feed, hand):
    job_id = hand.queue()
    hand.succeed(job_id)

    moves = asyncio.run(told(feed, job_id, after_seq=7))

    assert statuses(moves) == ["task_postprocess_start", "task_postprocess_end"]


@pytest.mark.parametrize("after_seq", [9, 10, 2**31, 2**80])
def test_who_knows_all_of_an_ended_job_is_told_that_there_is_no_more(feed, hand, after_seq):
    job_id = hand.queue()
    hand.succeed(job_id)

    assert asyncio.run(told(feed, job_id, after_seq)) == []


def test_who_begins_later_than_another_misses_nothing(feed, hand):
    job_id = hand.queue()
    hand.start(job_id)

    async def scene():
        async with feed.watch(job_id) as watcher:
            await first(watcher, Status.START)
            return await asyncio.wait_for(_first_seqs(feed, job_id, 6), DEADLINE_S)

    assert asyncio.run(scene()) == [1, 2, 3, 4, 5, 6]


async def _first_seqs(feed, job_id, count):
    async with feed.watch(job_id) as watcher:
        return [(await anext(watcher)).seq for _ in range(count)]


def test_a_row_is_told_as_the_ledger_has_it(feed, hand):
    job_id = hand.queue()
    claim, attempt_id = hand.assign(job_id)

    async def scene():
        async with feed.watch(job_id) as watcher:
            return await first(watcher, Status.ASSIGN)

    moved = asyncio.run(scene())

    assert (moved.job_id, moved.seq, moved.claim, moved.attempt_id) == (job_id, 5, claim.number, attempt_id)
    assert moved.at.tzinfo is not None


def test_a_ledger_longer_than_one_look_is_told_whole(feed, database, hand):
    job_id = hand.queue()
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO job_events (job_id, seq, status, claim)"
                " SELECT :job_id, seq, 'task_queue', 0 FROM generate_series(2, 1000) AS seq"
            ),
            {"job_id": job_id},
        )
    seen = asyncio.run(asyncio.wait_for(_first_seqs(feed, job_id, 1000), DEADLINE_S))

    assert seen == list(range(1, 1001))


# --- those who go, and those who are slow ----------------------------------------------------------


def test_who_goes_away_is_forgotten(feed, hand):
    job_id = hand.queue()

    async def scene():
        async with feed.watch(job_id) as watcher:
            await anext(watcher)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01), feed.watch(job_id) as watcher:
                await first(watcher, Status.CANCEL)

    asyncio.run(scene())

    assert not feed._watchers


def test_nothing_is_read_while_nobody_watches(feed, database, hand):
    reads = []
    event.listen(database._by_number, "before_cursor_execute", lambda *_: reads.append(1))
    job_id = hand.queue()

    async def scene():
        async with feed.watch(job_id) as watcher:
            await anext(watcher)

    asyncio.run(scene())
    count = len(reads)
    threading.Event().wait(0.5)

    assert count > 0
    assert len(reads) <= count + 2  # of a look that was on its way


def test_who_takes_nothing_is_read_nothing_more_for(feed, hand, eventually):
    slow_id, quick_id = hand.queue(), hand.queue()

    async def scene():
        async with feed.watch(slow_id) as slow:
            await asyncio.to_thread(eventually, lambda: not slow.is_hungry)
            await asyncio.to_thread(hand.succeed, slow_id)
            await asyncio.to_thread(hand.succeed, quick_id)
            assert statuses(await told(feed, quick_id)) == ALL
            kept = list(slow._moves)
            return kept, [moved async for moved in slow]

    kept, moves = asyncio.run(scene())

    assert statuses(kept) == ["task_queue"]
    assert statuses(moves) == ALL


# --- the end ---------------------------------------------------------------------------------------


def test_a_deleted_job_ends_its_watchers(feed, database, hand, monkeypatch):
    monkeypatch.setattr("api.feed.CHECK_S", 0.2)
    job_id = hand.queue()

    async def scene():
        async with asyncio.timeout(DEADLINE_S), feed.watch(job_id) as watcher:
            await anext(watcher)
            await asyncio.to_thread(_delete, database, job_id)
            return [moved async for moved in watcher]

    assert asyncio.run(scene()) == []


def _delete(database, job_id):
    with database.transaction() as session:
        retention.with_door_open(session, delete(JobEvent).where(JobEvent.job_id == job_id))
        session.execute(delete(Job).where(Job.id == job_id))


def test_an_ended_job_whose_ledger_is_kept_no_longer_ends_its_watchers(feed, database, hand):
    job_id = hand.queue()
    hand.succeed(job_id)
    with database.transaction() as session:
        retention.with_door_open(session, delete(JobEvent).where(JobEvent.job_id == job_id))

    assert asyncio.run(told(feed, job_id)) == []


def test_a_job_that_never_was_ends_its_watchers(feed):
    assert asyncio.run(told(feed, 4711)) == []


def test_a_stopped_feed_lets_its_watchers_go(feed, hand):
    job_id = hand.queue()

    async def scene():
        async with asyncio.timeout(DEADLINE_S), feed.watch(job_id) as watcher:
            await anext(watcher)
            await asyncio.to_thread(feed.stop)
            return [moved async for moved in watcher], await told(feed, job_id)

    assert asyncio.run(scene()) == ([], [])


def test_the_end_of_a_job_is_waited_for(feed, hand):
    job_id = hand.queue()

    async def scene():
        waiting = asyncio.create_task(feed.ended(job_id, DEADLINE_S))
        await asyncio.to_thread(hand.succeed, job_id)
        return await waiting

    assert asyncio.run(scene())


def test_the_end_of_a_job_is_waited_for_no_longer_than_asked(feed, hand):
    job_id = hand.queue()

    assert not asyncio.run(feed.ended(job_id, 0.05))
    assert not feed._watchers


# --- Postgres away ---------------------------------------------------------------------------------


def test_postgres_away_for_a_moment_costs_watchers_a_moment(feed, hand, servers, database_url, eventually):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_admin(servers))
        name = make_url(database_url).database
        job_id = hand.queue()

        async def scene():
            async with asyncio.timeout(DEADLINE_S), feed.watch(job_id) as watcher:
                await anext(watcher)
                _close(server, name)
                await asyncio.to_thread(eventually, lambda: feed._away_until > 0)
                coming = asyncio.create_task(told(feed, job_id))
                _open(server, name)
                await asyncio.to_thread(hand.succeed, job_id)
                return statuses([moved async for moved in watcher]), statuses(await coming)

        assert asyncio.run(scene()) == (ALL[1:], ALL)


@contextlib.contextmanager
def _admin(servers):
    administration = Database(servers[0])
    yield administration
    administration.dispose()


def _close(server, name):
    with server.statement() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )


def _open(server, name):
    with server.statement() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


# --- many ------------------------------------------------------------------------------------------


def test_two_thousand_watched_jobs_are_each_told_their_own(feed, database, project_id):
    with database.transaction() as session:
        queued = transitions.enqueue(session, [NewJob(project_id, "a/b", {"prompt": "x"})] * 2000)
        ids = [job.id for job in queued]

    async def scene():
        watching = [asyncio.create_task(told(feed, job_id)) for job_id in ids]
        await asyncio.to_thread(_cancel, database, ids)
        return await asyncio.gather(*watching)

    every = asyncio.run(scene())

    assert {tuple(statuses(moves)) for moves in every} == {("task_queue", "task_cancel")}
    assert [moves[0].job_id for moves in every] == ids


def _cancel(database, ids):
    with database.transaction() as session:
        transitions.cancel_waiting(session, Job.id.in_(ids), len(ids))


# --- words -----------------------------------------------------------------------------------------


def _moved(seq, status, claim=1):
    return Moved(1, seq, Status(status), None, claim, None, None, None)


async def _taken(watcher):
    """What a watcher can take at once."""
    seen = []
    with contextlib.suppress(TimeoutError, StopAsyncIteration):
        while True:
            seen.append(await asyncio.wait_for(anext(watcher), 0.01))
    return [one.log if isinstance(one, Told) else one.status.value for one in seen]


def _watched(*steps):
    """What a watcher takes after each step: rows it is given, or words it is told."""

    async def scene():
        watcher = Watcher(1, 0)
        seen = []
        for step in steps:
            watcher.tell(step) if isinstance(step, Told) else watcher.give([step])
            seen.append(await _taken(watcher))
        return seen

    return asyncio.run(scene())


def test_a_word_is_told_while_the_provider_works():
    assert _watched(_moved(1, "task_output"), Told(1, 0.5, "half")) == [["task_output"], ["half"]]


def test_a_word_that_is_earlier_than_the_ledger_waits_for_it():
    steps = (_moved(1, "task_accept"), Told(1, 0.5, "half"), _moved(2, "task_output"))

    assert _watched(*steps) == [["task_accept"], [], ["task_output", "half"]]


@pytest.mark.parametrize(
    ("status", "claim"), [("task_end", 1), ("task_queue", 2), ("task_postprocess_end", 1)]
)
def test_a_word_that_is_later_than_the_ledger_is_dropped(status, claim):
    steps = (_moved(1, "task_output"), _moved(2, status, claim), Told(1, 0.5, "half"))

    assert _watched(*steps) == [["task_output"], [status], []]


def test_of_many_words_the_last_are_kept():
    async def scene():
        watcher = Watcher(1, 0)
        for number in range(1000):
            watcher.tell(Told(1, None, str(number)))
        watcher.give([_moved(1, "task_output")])
        return await _taken(watcher)

    assert asyncio.run(scene()) == ["task_output", *map(str, range(1000 - WORDS_MAX, 1000))]


def test_what_is_said_reaches_those_who_watch_the_job(feed, database, hand):
    job_id, other_id = hand.queue(), hand.queue()
    claim, attempt_id = hand.start(job_id)

    async def scene():
        async with asyncio.timeout(DEADLINE_S), feed.watch(job_id) as watcher:
            await first(watcher, Status.START)
            feed.tell(
                [Word(other_id, claim.number, None, "for nobody"), Word(job_id, claim.number, 0.5, "half")]
            )
            await asyncio.to_thread(_output, database, claim, attempt_id)
            await first(watcher, Status.OUTPUT)
            return await anext(watcher)

    assert asyncio.run(scene()) == Told(claim.number, 0.5, "half")


def _output(database, claim, attempt_id):
    with database.transaction() as session:
        transitions.output(session, claim, attempt_id, None)


def test_what_a_worker_tells_is_heard_through_redis_while_somebody_watches(
    database, redis_url, hand, eventually
):
    queue = Broker(create_app(redis_url))
    feed = Feed(database, queue.listen)
    feed.start()
    job_id = hand.queue()
    claim, attempt_id = hand.start(job_id)
    _output(database, claim, attempt_id)
    word = Word(job_id, claim.number, 0.5, "half")

    async def scene():
        async with asyncio.timeout(DEADLINE_S), feed.watch(job_id) as watcher:
            await asyncio.to_thread(eventually, lambda: queue.tell([word]))
            await first(watcher, Status.OUTPUT)
            return await anext(watcher)

    heard = asyncio.run(scene())

    assert heard == Told(claim.number, 0.5, "half")
    eventually(lambda: not queue.tell([word]))  # nobody listens any more
    feed.stop()


def test_without_redis_the_ledger_is_told_all_the_same(database, hand):
    feed = Feed(database, Broker(create_app("redis://127.0.0.1:1/0")).listen)
    feed.start()
    job_id = hand.queue()
    hand.succeed(job_id)

    assert statuses(asyncio.run(told(feed, job_id))) == ALL
    feed.stop()
