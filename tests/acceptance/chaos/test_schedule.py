"""The plan of a run is its seed's: a failing run can be drawn again."""

import pytest

from chaos.faults import VENDOR_FAULTS, Kind
from chaos.schedule import draw
from chaos.size import SHORT, long
from simulator.faults import Fault as SimulatedFault

LONG = long(minutes=15, jobs=5000)


@pytest.mark.parametrize("size", [SHORT, LONG])
def test_the_same_seed_gives_the_same_plan(size):
    assert draw(7, size) == draw(7, size)
    assert draw(7, size) != draw(8, size)


def test_every_kind_of_fault_comes_up_in_a_long_run():
    plan = draw(7, LONG)

    assert {fault.kind for fault in plan.faults} == set(Kind)
    assert {fault.how["fault"] for fault in plan.faults if fault.kind is Kind.VENDOR} == set(VENDOR_FAULTS)


def test_every_fault_is_over_when_the_run_is():
    for size in (SHORT, LONG):
        assert all(fault.at_s + fault.lasts_s <= size.lasts_s for fault in draw(7, size).faults)


def test_every_fault_of_a_vendor_is_one_the_simulator_knows():
    vendors = [fault for fault in draw(7, LONG).faults if fault.kind is Kind.VENDOR]

    for fault in vendors:
        assert SimulatedFault.model_validate({"vendor": fault.target, **fault.how})


def test_as_many_jobs_are_ordered_as_were_asked_for():
    numbers = [order.number for burst in draw(7, LONG).bursts for order in burst.orders]

    assert numbers == list(range(5000))
