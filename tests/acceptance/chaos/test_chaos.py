"""Everything is killed, frozen, cut, filled up and spoiled while callers work; then the books are compared.

`make chaos MINUTES=15 JOBS=5000 SEED=7` is the long version of the same test.
"""

import json
import secrets
import shutil
import sys
import time
from pathlib import Path
from random import Random

import pytest
import redis

import simulator
from chaos import invariants, schedule
from chaos.callers import Callers
from chaos.faults import LONGEST_FREEZE_S
from chaos.hands import Hands
from chaos.house import House, house, left_overs
from chaos.report import Report
from chaos.rest import Person
from chaos.size import SHORT, long
from chaos.watch import Watch

pytestmark = pytest.mark.acceptance

USUAL_SEED = 20261121
"""Of the short run: a suite that fails now and then tells nobody anything.  `make chaos` draws its own."""

WHOLE_WITHIN_S = 60.0
REST_WITHIN_S = 240.0


@pytest.fixture
def plan(request) -> schedule.Plan:
    minutes = request.config.getoption("--minutes")
    if minutes is None:
        return schedule.draw(request.config.getoption("--seed") or USUAL_SEED, SHORT)
    seed = request.config.getoption("--seed") or secrets.randbelow(10**9)
    return schedule.draw(seed, long(minutes, request.config.getoption("--jobs")))


@pytest.fixture
def tell(capfd):
    """Says a line to whoever follows the run."""

    def say(line: object) -> None:
        with capfd.disabled():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    return say


def test_nothing_is_lost_and_nothing_is_paid_twice(plan, request, tmp_path, tell):
    is_long = plan.size is not SHORT
    report = Report(plan.seed)
    tell(f"\nchaos: seed {plan.seed}, {plan.size}")

    with (
        simulator.running(latency="0.5-4", seed=plan.seed) as vendors,
        house(tmp_path, plan.size, vendors.environment) as home,
    ):
        _run(home, vendors, plan, report, tell if is_long else lambda _line: None)
        _settle(home, vendors, report)
        _compare(home, vendors, report)
        if report.violations:
            # They lie on a disk that is gone in a moment.
            shutil.copytree(home.home / "logs", tmp_path / "logs")
            tell(f"the logs are in {tmp_path / 'logs'}")
    report.figures["processes left"] = dict.fromkeys(left_overs(home.home), 1)

    file = Path(request.config.getoption("--report") or tmp_path / "chaos.json")
    report.write(file)
    if is_long or report.violations:
        tell(report)
    assert not report.violations, f"seed {plan.seed} broke {sorted(report.violations)}; see {file}"
    assert not report.figures["processes left"], f"seed {plan.seed}"


def _run(home: House, vendors: simulator.Running, plan: schedule.Plan, report: Report, tell) -> None:
    """Faults and callers, for as long as the plan lasts."""
    hands = Hands(home, vendors, plan.faults, Random(f"{plan.seed} whom"))  # noqa: S311 - to be repeated
    callers = Callers(home, plan)
    start_s = time.monotonic()
    callers.begin()
    with Watch(home.database) as watch:
        try:
            while (now_s := time.monotonic() - start_s) < plan.size.lasts_s:
                for fault in hands.work(now_s):
                    tell(fault)
                home.until(lambda: False, 0.05)
        finally:
            hands.rest()
        report.took_s["faults"] = time.monotonic() - start_s
        home.until(callers.is_done, LONGEST_FREEZE_S + 30)
        callers.end()
    report.figures |= {"done to it": hands.done, "missed": hands.missed, "callers": callers.did}
    report.figures["looks meanwhile"] = {"all": watch.looks}
    report.add_violations(watch.found)
    report.promised = callers.prompts


def _settle(home: House, vendors: simulator.Running, report: Report) -> None:
    """Nothing goes wrong any more: everything comes to rest."""
    start_s = time.monotonic()
    person = Person(home, vendors)
    came_to_rest = person.bring_to_rest(REST_WITHIN_S)
    report.took_s["rest"] = time.monotonic() - start_s
    report.figures["a person"] = person.did
    if not came_to_rest:
        report.violations["it comes to rest"] = [f"not within {REST_WITHIN_S:.0f} s"]


def _compare(home: House, vendors: simulator.Running, report: Report) -> None:
    """Every invariant, by our records and the vendors' book."""
    ledger = vendors.ledger()
    with home.database.transaction() as session, redis.Redis.from_url(home.redis_url) as queue:
        report.count(session, ledger)
        outputs = home.outputs.folder
        found = invariants.broken(session, json.dumps(ledger), report.promised, outputs, queue)
        report.add_violations(found)
    report.figures["speed"] = {
        "jobs a minute": round(60 * sum(report.figures["jobs"].values()) / sum(report.took_s.values()))
    }
