"""A worker that has lost its claim pays nothing, and says that it has not."""

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from models import queries, transitions
from models.attempts import Failure
from models.errors import StaleTransition
from models.job import Job
from models.lifecycle import AttemptState, Billed, OnUnknown, Outcome, Status
from models.session import Database
from models.transitions import Claim
from providers.base import LostAnswer
from providers.errors import SubmissionUnknown, Unavailable
from workers import fencing
from workers.heartbeat import Heartbeat, Identity
from workers.running import NEVER, RunningJobs, StopSignal
from workers.turn import Ending, Turn


class Ghost:
    """A worker that freezes after its intent, and thaws when others have done this and that with its job."""

    def __init__(self, desk, provider) -> None:
        self.desk = desk
        self._provider = provider

    def haunt(self, job_id, meanwhile, then=lambda: None):
        """How its turn ended."""
        signal = StopSignal()

        def freeze() -> None:
            self._provider.on_submit = lambda: None
            meanwhile(job_id)
            signal._ours_at = NEVER  # the clock went on
            then()

        self._provider.on_submit = freeze
        return self.desk.run(job_id, signal)

    def rescue(self, job_id) -> None:
        """Its job waits for the next worker."""
        with self.desk.bench.database.transaction() as session:
            assert transitions.rescue(session, Job.id == job_id, "worker was silent")

    def rescue_and_hold(self, job_id) -> None:
        """The next worker has found an intent that may have been sent."""
        self.rescue(job_id)
        self.desk.run(job_id)


@pytest.fixture
def ghost(desk, provider):
    return Ghost(desk, provider)


def _unavailable() -> None:
    raise Unavailable("the handshake took too long")


def _lost() -> None:
    raise SubmissionUnknown("the connection broke")


# --- the look ----------------------------------------------------------------------------------------


def test_a_ghost_whose_job_was_rescued_buys_nothing(ghost, provider, enqueue):
    job_id = enqueue()

    finish = ghost.haunt(job_id, ghost.rescue)

    assert finish.ending is Ending.LOST
    assert not provider.bought


def test_a_worker_that_was_frozen_and_still_has_its_job_buys_it(ghost, provider, enqueue):
    finish = ghost.haunt(enqueue(), lambda _: None)

    assert finish.ending is Ending.SUCCEEDED
    assert list(provider.bought.values()) == [1]


def test_what_was_seen_just_now_is_not_looked_at_again(desk, enqueue, monkeypatch):
    monkeypatch.setattr(queries, "is_held", _fail)

    assert desk.run(enqueue()).ending is Ending.SUCCEEDED


def _fail(*_):
    raise AssertionError("looked in Postgres")


def test_nothing_is_sent_while_postgres_cannot_say_whose_job_it_is(ghost, provider, enqueue, monkeypatch):
    answers = iter([OperationalError("SELECT", {}, Exception("gone"))])
    looked = queries.is_held

    def is_held(*where):
        for error in answers:
            assert not provider.bought
            raise error
        return looked(*where)

    monkeypatch.setattr(queries, "is_held", is_held)

    finish = ghost.haunt(enqueue(), lambda _: None)

    assert finish.ending is Ending.SUCCEEDED
    assert list(provider.bought.values()) == [1]
    assert len(provider.submitted) == 2


def test_a_heartbeat_sees_which_jobs_are_its_own(database_url, bench, dispatched, eventually):
    running, claim = RunningJobs(), dispatched()
    beat = Heartbeat(Database(database_url, pool_size=1), Identity("remote@here", ("remote",), 4), running)
    beat.start()
    mine, stale = running.add(claim), running.add(Claim(claim.job_id, claim.number - 1))
    with bench.database.transaction() as session:
        transitions.accept(session, claim, beat.worker_id())

    eventually(lambda: mine.was_ours_within(fencing.FRESH_S))
    beat.stop()

    assert not stale.was_ours_within(1e9)


def test_a_claim_that_was_lost_is_not_asked_for_twice(bench, enqueue, dispatched):
    claim = dispatched(enqueue())
    with bench.database.transaction() as session:
        session.execute(update(Job).values(claim=Job.claim + 1))

    with pytest.raises(StaleTransition):
        fencing.may_send(Turn(bench, claim, StopSignal()))()


# --- nothing was bought, and that is known ------------------------------------------------------------


@pytest.mark.parametrize("then", [lambda: None, _unavailable], ids=["stopped by the look", "refused"])
def test_a_job_held_for_a_ghost_is_bought_when_the_ghost_says_that_it_bought_nothing(
    ghost, desk, provider, enqueue, then
):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue()

    assert ghost.haunt(job_id, ghost.rescue_and_hold, then).ending is Ending.LOST
    released, [unbought] = desk.read(job_id)
    finish = desk.run(job_id)

    assert (released.held_at, released.open_provider, released.status) == (None, None, Status.QUEUE)
    assert (unbought.state, unbought.billed) == (AttemptState.CANCELLED, Billed.NO)
    assert finish.ending is Ending.SUCCEEDED
    assert list(provider.bought.values()) == [1]


def test_a_ghost_that_does_not_know_whether_it_bought_leaves_its_job_on_hold(ghost, desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue()

    ghost.haunt(job_id, ghost.rescue_and_hold, _lost)

    job, [attempt] = desk.read(job_id)
    assert job.held_at is not None
    assert attempt.state is AttemptState.UNKNOWN


def test_a_rescued_job_that_nobody_took_yet_is_not_held_at_all(ghost, desk, provider, enqueue):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue()

    ghost.haunt(job_id, ghost.rescue)

    assert desk.run(job_id).ending is Ending.SUCCEEDED
    assert list(provider.bought.values()) == [1]


def test_a_worker_that_is_about_to_hold_the_job_is_told_too(bench, desk, dispatched, provider, enqueue):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue()
    desk.leave(job_id)
    claim = dispatched(job_id)
    with bench.database.transaction() as session:
        transitions.accept(session, claim, desk._worker_id)
        [attempt] = queries.attempts(session, job_id)

    with bench.database.transaction() as session:
        assert transitions.record_unbought(session, attempt.id, "nothing was sent")
        assert not transitions.record_unbought(session, attempt.id, "nothing was sent")

    with bench.database.transaction() as session, pytest.raises(StaleTransition):
        transitions.hold(session, claim, attempt.id, Failure("submission_unknown", "x"))
    assert desk.run(job_id).ending is Ending.SUCCEEDED


def test_an_attempt_that_was_bought_again_meanwhile_is_known_to_have_cost_nothing(
    ghost, desk, provider, enqueue
):
    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    job_id = enqueue(on_unknown=OnUnknown.RESEND)

    def buy_again(job_id) -> None:
        ghost.rescue(job_id)
        desk.run(job_id)
        assert desk.run(job_id).ending is Ending.SUCCEEDED

    ghost.haunt(job_id, buy_again)

    job, [first, second] = desk.read(job_id)
    assert (first.billed, second.billed) == (Billed.NO, Billed.YES)
    assert first.settled_usd == 0
    assert job.outcome is Outcome.SUCCEEDED
    assert list(provider.bought.values()) == [1]


def test_a_ticket_is_not_talked_away(bench, desk, enqueue, dispatched):
    job_id = enqueue()
    desk.leave(job_id)
    with bench.database.transaction() as session:
        [attempt] = queries.attempts(session, job_id)
        transitions.record_ticket(session, attempt.id, {"id": "t"})

    with bench.database.transaction() as session:
        assert not transitions.record_unbought(session, attempt.id, "nothing was sent")

    assert desk.read(job_id)[1][0].ticket == {"id": "t"}
