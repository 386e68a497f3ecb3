"""One campaign at each of the four vendors, and from one to the next when it goes down."""

from collections import Counter
from decimal import Decimal
from urllib.parse import urlsplit

import pytest

import simulator
from models import queries, transitions
from models.lifecycle import BreakerState, Outcome, Status, StopOutcome

pytestmark = pytest.mark.acceptance

VENDORS = ("wiro", "runware", "bfl", "vtrix")


@pytest.fixture
def vendors(town):
    """The four vendors on loopback, and a town whose processes know them."""
    with simulator.running(latency="0.2-0.6") as running:
        town.environment.update(running.environment)
        town.start_control()
        yield running


def _prompts(count: int, kind: str) -> list[tuple[str, dict[str, str]]]:
    return [(f"{kind} number {number}", {}) for number in range(count)]


def _providers(town, jobs) -> list[str]:
    """Who made each picture."""
    return [town.attempts(job)[-1].provider for job in jobs]


def _breaker(town, provider) -> BreakerState:
    with town.database.transaction() as session:
        found = [one.state for one in queries.breakers(session) if one.provider == provider]
    return found[0] if found else BreakerState.CLOSED


def test_the_same_prompts_come_back_as_pictures_from_each_vendor(town, vendors):
    town.start_remote()
    jobs = {
        vendor: town.order(_prompts(6, f"a {vendor} lighthouse"), wanted_providers=(vendor,))
        for vendor in VENDORS
    }

    every = [job for some in jobs.values() for job in some]
    town.eventually(lambda: town.have_ended(every))

    assert {job.outcome for job in town.jobs(every)} == {Outcome.SUCCEEDED}
    for vendor, some in jobs.items():
        assert set(_providers(town, some)) == {vendor}
        assert all(job.cost_usd == Decimal("0.04") for job in town.jobs(some))
    assert Counter(entry["vendor"] for entry in vendors.ledger()) == dict.fromkeys(VENDORS, 6)


def test_jobs_move_on_when_a_vendor_goes_down_and_come_back_when_it_is_up(town, vendors):
    wanted = ("wiro", "runware")
    with simulator.running(latency="0.2-0.6") as wiro:  # of its own, so that it can be gone
        town.environment["WIRO_BASE_URL"] = wiro.environment["WIRO_BASE_URL"]
        town.start_remote()
        port = urlsplit(wiro.url).port
        wiro.process.kill()
        wiro.process.wait(timeout=10)

    moved = town.order(_prompts(12, "a moving lighthouse"), wanted_providers=wanted)
    town.eventually(lambda: town.have_ended(moved))

    assert {job.outcome for job in town.jobs(moved)} == {Outcome.SUCCEEDED}
    assert set(_providers(town, moved)) == {"runware"}
    assert _breaker(town, "wiro") is not BreakerState.CLOSED
    told = [[attempt.provider for attempt in town.attempts(job)] for job in moved]
    assert ["wiro", "runware"] in told
    assert Counter(entry["vendor"] for entry in vendors.ledger()) == {"runware": 12}

    with simulator.running(port, latency="0.2-0.6") as wiro:
        town.eventually(lambda: _is_back_at(town, "wiro", wanted))

    assert _breaker(town, "wiro") is BreakerState.CLOSED


def _is_back_at(town, provider, wanted) -> bool:
    """Whether a new job goes there again."""
    [job] = town.order(_prompts(1, "a returning lighthouse"), wanted_providers=wanted)
    town.eventually(lambda: town.have_ended([job]))
    return _providers(town, [job]) == [provider]


def test_a_lost_answer_is_asked_for_where_that_can_be_done_and_held_elsewhere(town, vendors):
    town.start_remote()
    jobs = {
        vendor: town.order(
            [(f"a lost {vendor} lighthouse [[fault:lost_answer]]", {})], wanted_providers=(vendor,)
        )[0]
        for vendor in VENDORS
    }

    held = [jobs[vendor] for vendor in VENDORS if vendor != "runware"]
    town.eventually(lambda: all(job.held_at is not None for job in town.jobs(held)))
    town.eventually(lambda: town.have_ended([jobs["runware"]]))

    assert town.job(jobs["runware"]).outcome is Outcome.SUCCEEDED
    assert {job.outcome for job in town.jobs(held)} == {None}
    assert Counter(entry["vendor"] for entry in vendors.ledger()) == dict.fromkeys(VENDORS, 1)


def test_a_kill_reaches_the_vendor_where_it_can_and_says_so_where_it_cannot(town, vendors):
    town.start_remote()
    jobs = {
        vendor: town.order(
            [(f"an endless {vendor} lighthouse [[fault:hang]]", {})], wanted_providers=(vendor,)
        )[0]
        for vendor in VENDORS
    }
    every = list(jobs.values())
    town.eventually(lambda: all(job.status in {Status.START, Status.OUTPUT} for job in town.jobs(every)))

    with town.database.transaction() as session:
        for job in every:
            transitions.request_kill(session, job.id)
    town.broker.revoke([job.uuid for job in every], terminate=True)
    town.eventually(lambda: town.have_ended(every))

    stopped = {vendor: town.job(job).stopped_how for vendor, job in jobs.items()}
    cannot = StopOutcome.CANNOT_CANCEL
    assert stopped == {"wiro": StopOutcome.CANCELLED, "runware": cannot, "bfl": cannot, "vtrix": cannot}
    assert {entry["vendor"]: entry["state"] for entry in vendors.ledger()}["wiro"] == "cancelled"
