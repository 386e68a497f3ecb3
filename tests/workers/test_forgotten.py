"""A provider knows nothing of its own ticket, or of one that was mistyped: the job waits, it is not lost."""

from models import queries, transitions
from models.lifecycle import AttemptState, OnUnknown, Outcome
from providers.base import Done, Failed, LostAnswer
from providers.errors import Forgotten, SubmissionUnknown
from workers.generate import generate
from workers.running import StopSignal
from workers.turn import Ending


def _lose_the_answer(provider):
    def lost():
        raise SubmissionUnknown("the connection was cut")

    provider.on_lost_answer = LostAnswer.NOBODY_KNOWS
    provider.on_submit = lost


def _job(bench, claim):
    with bench.database.transaction() as session:
        return queries.job(session, claim.job_id)


def _attempts(bench, claim):
    with bench.database.transaction() as session:
        return [(one.state, one.ticket) for one in queries.attempts(session, claim.job_id)]


def _adopt(bench, claim, ticket):
    with bench.database.transaction() as session:
        assert transitions.adopt(session, claim.job_id, ticket)


def test_a_mistyped_id_brings_the_job_back_to_the_person(bench, provider, dispatched, worker_id):
    _lose_the_answer(provider)
    claim = dispatched()
    generate(bench, claim, worker_id, StopSignal())
    _adopt(bench, claim, {"id": "nonsense"})
    pictures = provider.on_check()
    provider.on_check = lambda: Failed(Forgotten("knows no task nonsense"), None)

    finish = generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    assert finish.ending is Ending.HELD
    assert _job(bench, claim).held_at is not None
    assert _attempts(bench, claim) == [(AttemptState.UNKNOWN, None)]

    _adopt(bench, claim, {"id": "the-right-one"})
    provider.on_check = lambda: pictures
    generate(bench, dispatched(claim.job_id), worker_id, StopSignal())

    assert isinstance(pictures, Done)
    assert _job(bench, claim).outcome is Outcome.SUCCEEDED
    assert _attempts(bench, claim) == [(AttemptState.DONE, {"id": "the-right-one"})]
    assert len(provider.submitted) == 1


def test_what_is_forgotten_fails_where_the_job_would_rather_fail(
    bench, provider, dispatched, enqueue, worker_id
):
    claim = dispatched(enqueue(on_unknown=OnUnknown.FAIL))
    provider.on_check = lambda: Failed(Forgotten("knows it no more"), None)

    finish = generate(bench, claim, worker_id, StopSignal())

    assert finish.ending is Ending.FAILED
    assert _attempts(bench, claim)[0][0] is AttemptState.FAILED
