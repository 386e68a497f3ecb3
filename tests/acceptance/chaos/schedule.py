"""What will happen in a run, drawn from a seed: the same seed and size, the same plan.

Knows no process, no database and no clock.  Times are seconds since the run began.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from chaos.faults import Fault, house_faults, vendor_faults
from chaos.orders import Burst, Wish, bursts, wishes
from chaos.size import Size


@dataclass(frozen=True, slots=True)
class Plan:
    """All that will happen, each list in the order of time."""

    seed: int
    size: Size
    faults: Sequence[Fault]
    bursts: Sequence[Burst]
    wishes: Sequence[Wish]


def draw(seed: int, size: Size) -> Plan:
    """The plan of this seed."""
    # One generator for each list: a wish more must not change every fault after it.
    house, vendors, callers, whims = (
        Random(f"{seed} {name}")  # noqa: S311 - to be repeated
        for name in ("house", "vendors", "callers", "wishes")
    )
    faults = [*house_faults(house, size), *vendor_faults(vendors, size)]
    return Plan(
        seed=seed,
        size=size,
        faults=sorted(faults, key=lambda fault: fault.at_s),
        bursts=bursts(callers, size),
        wishes=wishes(whims, size),
    )
