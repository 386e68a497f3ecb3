"""A vendor that takes five requests at a time never gets a sixth, whoever counts: we, or it alone."""

import pytest

import simulator
from models.lifecycle import Outcome
from models.limit import WHOLE, Limit

pytestmark = pytest.mark.acceptance

MOST = 5
JOBS = 40


@pytest.fixture
def workers_of(town):
    """`workers_of(books)`: three remote workers, each with more slots than the vendor has places."""

    def start(books) -> None:
        town.environment.update(books.environment)
        town.start_control()
        for number in range(3):
            town.start_remote(name=f"remote{number}")

    return start


def _ordered(town):
    return town.order(
        [(f"a lighthouse, number {number}", {}) for number in range(JOBS)], wanted_providers=("wiro",)
    )


def _outcomes(town, jobs) -> set[Outcome]:
    return {job.outcome for job in town.jobs(jobs)}


def _refused(books) -> int:
    runs = [one for one in books.requests("wiro") if "/Run/" in one["path"]]
    return len(runs) - len(books.ledger("wiro"))


def test_five_at_a_time_is_kept_exactly_by_three_workers(town, workers_of):
    with simulator.running(latency="0.4-0.8") as books:
        with town.database.transaction() as session:
            session.add(Limit(provider="wiro", model_slug=WHOLE, max_in_flight=MOST))
        workers_of(books)

        jobs = _ordered(town)
        town.eventually(lambda: town.have_ended(jobs))

        assert _outcomes(town, jobs) == {Outcome.SUCCEEDED}
        assert books.peaks() == {"wiro": MOST}
        assert len(books.ledger("wiro")) == JOBS
        assert _refused(books) == 0


def test_a_vendor_that_refuses_the_sixth_teaches_all_workers_and_fails_no_job(town, workers_of):
    with simulator.running(latency="0.4-0.8", wiro_balance_usd=10.0 * MOST) as books:
        workers_of(books)

        jobs = _ordered(town)
        town.eventually(lambda: town.have_ended(jobs))

        assert _outcomes(town, jobs) == {Outcome.SUCCEEDED}
        assert books.peaks() == {"wiro": MOST}
        assert len(books.ledger("wiro")) == JOBS  # each was bought once
        with town.database.transaction() as session:
            learnt = session.get_one(Limit, ("wiro", WHOLE)).learnt_in_flight
        # With us counts as well what it has finished, until somebody asks for it.
        assert 1 <= learnt <= 3 * MOST
        assert _refused(books) < 3 * JOBS
