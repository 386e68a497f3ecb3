"""Workers are replaced while a campaign runs, at no attempt and no charge; the API while somebody waits."""

import json
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from sqlalchemy import func, select

import simulator
from client.sse import Reader
from models.job import Job
from models.lifecycle import Outcome

pytestmark = pytest.mark.acceptance

VENDORS = ("wiro", "runware", "bfl", "vtrix")
FLEET = ("one", "two", "three")
ENDS_WITHIN_S = 30
"""Generous: what it takes is measured in benchmarks/rescue.py."""


@pytest.fixture
def vendors(town):
    """The four vendors on loopback, each picture slow enough to be in flight when its worker leaves."""
    with simulator.running(latency="2-4") as running:
        town.environment.update(running.environment)
        town.start_control()
        yield running


def _campaign(town, count, marker=""):
    return {
        vendor: town.order(
            [(f"{vendor} lighthouse {number} {marker}".strip(), {}) for number in range(count)],
            wanted_providers=(vendor,),
        )
        for vendor in VENDORS
    }


def _all(campaign):
    return [job for jobs in campaign.values() for job in jobs]


def _replace(town, process, name, how=(signal.SIGTERM,)):
    for one in how:
        process.send_signal(one)
    process.wait(timeout=ENDS_WITHIN_S)
    return town.start_remote(name)


def _assert_nothing_was_lost(town, vendors, jobs) -> None:
    assert {job.outcome for job in town.jobs(jobs)} == {Outcome.SUCCEEDED}
    assert {job.worker_deaths for job in town.jobs(jobs)} == {0}
    assert [len(town.attempts(job)) for job in jobs] == [1] * len(jobs)
    charges = Counter(entry["prompt"] for entry in vendors.ledger())
    assert (len(charges), set(charges.values())) == (len(jobs), {1})


def test_a_rolling_restart_of_all_workers_costs_no_attempt_and_no_charge(town, vendors):
    workers = {name: town.start_remote(name) for name in FLEET}
    jobs = _all(_campaign(town, 20))
    town.eventually(lambda: len(vendors.ledger()) >= 10)

    for name in FLEET:
        _replace(town, workers[name], f"{name}-new")
    town.eventually(lambda: town.have_ended(jobs))

    _assert_nothing_was_lost(town, vendors, jobs)
    reasons = [reason for job in jobs for _, reason in town.trail(job) if reason]
    assert reasons.count("its worker is shutting down") >= 10  # it was no idle fleet


@pytest.mark.parametrize(
    "how",
    [(signal.SIGQUIT,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGQUIT)],
    ids=["quit", "told twice", "told, then quit"],
)
def test_however_a_worker_is_told_to_end_its_jobs_go_on_elsewhere(town, vendors, how):
    worker = town.start_remote()
    jobs = _all(_campaign(town, 3))
    town.eventually(lambda: len(vendors.ledger()) >= 8)

    _replace(town, worker, "next", how)
    town.eventually(lambda: town.have_ended(jobs))

    _assert_nothing_was_lost(town, vendors, jobs)


def test_a_purchase_on_its_way_is_finished_before_its_worker_ends(town, vendors):
    worker = town.start_remote()
    jobs = _all(_campaign(town, 2, "[[fault:slow_answer:3s]]"))
    town.eventually(lambda: len(vendors.ledger()) >= len(jobs))  # charged, and not yet answered

    _replace(town, worker, "next")
    town.eventually(lambda: town.have_ended(jobs))

    _assert_nothing_was_lost(town, vendors, jobs)


def test_control_and_beat_may_be_replaced_too(town, vendors):
    town.start_remote()
    control, beat = [process for process in town.processes if process.poll() is None][:2]
    jobs = _all(_campaign(town, 10))
    town.eventually(lambda: len(vendors.ledger()) >= 5)

    for process in (control, beat):
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=ENDS_WITHIN_S)
    town.start_control()
    town.eventually(lambda: town.have_ended(jobs))

    _assert_nothing_was_lost(town, vendors, jobs)


@pytest.mark.parametrize("media_type", ["application/json", "text/event-stream"])
def test_who_waits_for_a_task_when_the_api_is_asked_to_end_is_told_which_it_is(town, media_type):
    """It goes on and may cost money: whoever ordered it must find it again."""
    url = f"{town.start_api()}/v1/Run/black-forest-labs/flux-pro-1-1/sync"
    headers = {"x-api-key": "key", "accept": media_type}
    ask = partial(httpx.post, url, headers=headers, json={"prompt": "a lighthouse"}, timeout=ENDS_WITHIN_S)
    with ThreadPoolExecutor() as waiting:
        answer = waiting.submit(ask)
        town.eventually(lambda: _newest_job(town) or answer.done())
        town.processes[-1].terminate()
        told = answer.result()

    if media_type == "application/json":
        assert (told.status_code, told.json()["taskid"]) == (504, str(_newest_job(town)))
    else:
        last = list(Reader().feed(told.content))[-1]
        assert (last.kind, json.loads(last.data)["taskid"]) == ("error", str(_newest_job(town)))


def _newest_job(town) -> int | None:
    with town.database.transaction() as session:
        return session.scalar(select(func.max(Job.id)))
