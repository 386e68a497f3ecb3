"""How large a house is, who works in it, and what it is allowed."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random

VENDORS = ("wiro", "runware", "bfl", "vtrix")
SMALL, LARGE = "black-forest-labs/flux-2-flex", "black-forest-labs/flux-pro-1-1"
SOLD_BY = {SMALL: ("wiro", "bfl"), LARGE: VENDORS}

PROJECTS = 2
CAMPAIGNS = 3
"""Of each project; the last of them is paused and resumed."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens.

    Attributes:
        lasts_s: from the first fault to the last.
        fault_every_s: of those of the house, on average; vendors have twice as many.
    """

    lasts_s: float
    jobs: int
    remotes: int
    controls: int
    fault_every_s: float


SHORT = Size(lasts_s=18, jobs=200, remotes=2, controls=1, fault_every_s=1.2)


def long(minutes: float, jobs: int) -> Size:
    """A run of `make chaos`."""
    return Size(lasts_s=minutes * 60, jobs=jobs, remotes=3, controls=2, fault_every_s=2.5)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a project is allowed."""

    weight: int
    max_in_flight: int | None
    budget_usd: Decimal | None


USUAL_PRICE_USD = Decimal("0.045")


def terms(size: Size) -> list[Terms]:
    """One project may do as it likes, the other's budget is too small for what is ordered."""
    half_of_its_share = round(USUAL_PRICE_USD * size.jobs / PROJECTS / 2, 2)
    return [Terms(3, None, None), Terms(1, 25, half_of_its_share)]


AT_A_TIME = {"vtrix": 4, "runware": 12}
"""Requests at a vendor, as an operator limits them."""

A_SECOND = {"runware": 15.0}
PRICES_USD = {
    (vendor, model_slug): USUAL_PRICE_USD for model_slug in SOLD_BY for vendor in SOLD_BY[model_slug]
}
"""As an operator tells them, for where the catalogue knows none: under a budget nothing is bought blindly."""


def remotes(size: Size) -> list[str]:
    """The roles of the workers that talk to vendors."""
    return [f"worker-remote-{number}" for number in range(size.remotes)]


def controls(size: Size) -> list[str]:
    """The roles of the workers that dispatch and sweep."""
    return [f"worker-control-{number}" for number in range(size.controls)]


def moments(chance: Random, every_s: float, until_s: float) -> Iterator[float]:
    """Times that come by chance, so often on average."""
    at_s = chance.expovariate(1 / every_s)
    while at_s < until_s:
        yield round(at_s, 2)
        at_s += chance.expovariate(1 / every_s)
