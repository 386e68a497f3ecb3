"""Workers are killed in the worst moments, and two books are compared: the vendors' and ours.

A wave of jobs at all four vendors, a kill -9 at one point of a job's way, then the next wave.
`pytest tests/acceptance/test_money.py --kills 200` is the long version of the same test.
"""

import itertools
import sys
from collections import Counter
from dataclasses import dataclass

import pytest

import simulator
from models.lifecycle import AttemptState, Outcome, Status
from models.transitions import EnqueuedJob

pytestmark = pytest.mark.acceptance

VENDORS = ("wiro", "runware", "bfl", "vtrix")


@dataclass(frozen=True)
class Point:
    """A moment on a job's way at which its worker dies.

    Attributes:
        name: the moment.
        marker: what makes the simulator linger there, in the prompt of the jobs.
        is_reached: `(town, books, jobs) -> bool`.
    """

    name: str
    marker: str
    is_reached: object


def _states(town, jobs) -> set[AttemptState]:
    return {attempt.state for job in jobs for attempt in town.attempts(job)[-1:]}


def _is_intended(town, books, jobs) -> bool:
    return AttemptState.INTENT in _states(town, jobs)


def _is_charged_and_unanswered(town, books, jobs) -> bool:
    charged = {entry["prompt"] for entry in books.ledger()}
    waiting = [job for job in jobs if town.attempts(job) and town.attempts(job)[-1].ticket is None]
    return any(prompt_of(town, job) in charged for job in waiting)


def _is_polled(town, books, jobs) -> bool:
    return any(job.status in {Status.START, Status.OUTPUT} for job in town.jobs(jobs))


def _is_postprocessed(town, books, jobs) -> bool:
    return any(job.status in {Status.END, Status.POSTPROCESS_START} for job in town.jobs(jobs))


POINTS = (
    Point("before the request is taken", "[[fault:stall]]", _is_intended),
    Point("taken, before the ticket", "[[fault:slow_answer]]", _is_charged_and_unanswered),
    Point("while it is polled", "", _is_polled),
    Point("after the result, before the download", "[[fault:slow_first_byte]]", _is_postprocessed),
    Point("during the download", "[[fault:slow_download]]", _is_postprocessed),
)


def prompt_of(town, job) -> str:
    return town.job(job).parameters["prompt"]


def test_charges_and_attempts_agree_after_every_kill(town, request, capfd):
    kills = request.config.getoption("--kills")
    with simulator.running(latency="0.5-1.5") as books:
        town.environment.update(books.environment)
        town.start_control()
        worker = town.start_remote()
        every: list[EnqueuedJob] = []
        before: list[EnqueuedJob] = []
        for number, point in zip(range(kills), itertools.cycle(POINTS), strict=False):
            wave = _wave(town, number, point)
            every += wave
            town.eventually(lambda p=point, w=wave: p.is_reached(town, books, w))
            town.kill(worker)
            worker = town.start_remote(name=f"remote{number % 2}")
            town.eventually(lambda b=before: _is_over(town, b))  # three deaths would quarantine it
            before = wave
        town.eventually(lambda: _is_over(town, every))

        ledger = books.ledger()
        _tell(capfd, town, kills, ledger, every)
        _compare(town, ledger, every)


def _tell(capfd, town, kills, ledger, jobs) -> None:
    """The figures, for whoever runs the long version."""
    ends = Counter(
        f"{town.attempts(job)[-1].provider} {'held' if record.held_at else record.outcome}"
        for job, record in zip(jobs, town.jobs(jobs), strict=True)
    )
    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    with capfd.disabled():
        sys.stdout.write(f"\n{kills} kills, {len(jobs)} jobs, {len(ledger)} requests charged for: {told}\n")


def _wave(town, number, point) -> list[EnqueuedJob]:
    """A job at each vendor, with a prompt that no other job has."""
    return [
        town.order(
            [(f"wave {number}, {point.name}, at {vendor} {point.marker}".strip(), {})],
            wanted_providers=(vendor,),
        )[0]
        for vendor in VENDORS
    ]


def _is_over(town, jobs) -> bool:
    return all(job.outcome is not None or job.held_at is not None for job in town.jobs(jobs))


def _compare(town, ledger, jobs) -> None:
    """Each charge is an attempt of ours, and no job was charged for twice."""
    charges = Counter(entry["prompt"] for entry in ledger)
    assert max(charges.values()) == 1
    assert len(ledger) == sum(charges.values())

    records = {job.parameters["prompt"]: job for job in town.jobs(jobs)}
    assert charges.keys() <= records.keys()
    for job in jobs:
        record = town.job(job)
        _compare_one(record, town.attempts(job), charges[record.parameters["prompt"]])


def _compare_one(record, attempts, charged) -> None:
    ticketed = [attempt for attempt in attempts if attempt.ticket is not None]
    lost = [attempt for attempt in attempts if attempt.state is AttemptState.UNKNOWN]
    told = f"job {record.id}: {[(a.provider, a.state.value, a.ticket is not None) for a in attempts]}"

    # What the vendor charged for we know of: by its ticket, or as lost.
    assert len(ticketed) <= charged <= len(ticketed) + len(lost), told
    if record.outcome is Outcome.SUCCEEDED:
        assert (charged, len(ticketed)) == (1, 1), told
    else:
        assert record.held_at is not None, told
        assert lost, told
        assert attempts[-1].provider != "runware", told  # it can be asked
