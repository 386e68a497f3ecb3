"""Which provider makes a job's picture.  Pure: it is told what is so and decides.

A job's candidates are the offers of its model that are on, that can express it, and
that have not failed it for good.  Where it names providers, only those.  They are
ranked by the job's own failures there, then by its route; the first that is to be had
gets the job.  What is begun is gone on with where it was begun.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from models.lifecycle import OfferKey, Route


class Failures(Protocol):
    """A job's failed attempts at one offer."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def is_out(self) -> bool:
        """One of them would come again: the job never goes back there."""


class Wanting(Protocol):
    """What a job says about who may make its picture."""

    @property
    def wanted_providers(self) -> Sequence[str] | None:
        """No others, best first; None for any."""

    @property
    def excluded(self) -> Mapping[str, str]:
        """The providers that cannot express it, each with a sentence why."""


class Waiting(Wanting, Protocol):
    """What routing needs to know of a waiting job."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def model_slug(self) -> str:
        """What it asks for."""

    @property
    def route(self) -> Route:
        """By what its candidates are ranked."""

    @property
    def open_provider(self) -> str | None:
        """Who has its open attempt; None when it has none."""


@dataclass(frozen=True, slots=True)
class Market:
    """What is so of the offers now.

    Attributes:
        offers: the providers that sell each model and are on, in the order of preference.
        queues: the queue whose workers serve each provider; several share one, and its slots.
        free_slots: jobs the workers of each queue may still take.
        shut: offers whose breaker lets nobody through.
        probed: offers whose breaker lets one job through, to see.
        latencies: seconds, as lately measured; an offer that is not there has not been lately.
        busy: offers that are working for us.
    """

    offers: Mapping[str, Sequence[str]]
    queues: Mapping[str, str]
    free_slots: Mapping[str, int]
    shut: Collection[OfferKey] = frozenset()
    probed: Collection[OfferKey] = frozenset()
    latencies: Mapping[OfferKey, float] = field(default_factory=dict)
    busy: Collection[OfferKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Pick:
    """A job's turn: which job, at which provider, and whether it is the one that tries it."""

    job_id: int
    provider: str
    is_probe: bool = False


Price = Callable[[int, str], Decimal | None]
"""What a job, by its number, would cost at a provider; None when nobody knows."""

DEAREST = Decimal("Infinity")


def choose(
    waiting: Sequence[Waiting],
    market: Market,
    failures: Mapping[int, Mapping[str, Failures]],
    price: Price,
) -> list[Pick]:
    """The picks for `waiting`, in their order, as far as the slots reach.

    Args:
        waiting: jobs in the order of their turn.
        market: what is so of the offers.
        failures: the failed attempts of those jobs that have any, by provider.
        price: asked only for jobs that are routed by it.
    """
    slots = dict(market.free_slots)
    probes = set(market.probed)
    busy = set(market.busy)
    picks = []
    for job in waiting:
        ranked = _ranked(job, market, failures.get(job.id, {}), price, busy)
        open_now = [name for name in ranked if slots.get(market.queues[name], 0) > 0]
        pick = _first(job, open_now, market, probes)
        if pick is None:
            continue
        offer = (pick.provider, job.model_slug)
        slots[market.queues[pick.provider]] -= 1
        busy.add(offer)
        if pick.is_probe:
            probes.remove(offer)
        picks.append(pick)
    return picks


def candidates(job: Wanting, sold_by: Sequence[str], failures: Mapping[str, Failures]) -> list[str]:
    """The providers that may get a new attempt of a job some time, in the order of preference.

    Args:
        job: what it says about who may make its picture.
        sold_by: the providers that sell its model and are on, in the catalogue's order.
        failures: its failed attempts, by provider.
    """
    wanted = sold_by if job.wanted_providers is None else job.wanted_providers
    return [
        name
        for name in wanted
        if name in sold_by and name not in job.excluded and not (name in failures and failures[name].is_out)
    ]


def _ranked(
    job: Waiting,
    market: Market,
    failures: Mapping[str, Failures],
    price: Price,
    busy: Collection[OfferKey],
) -> list[str]:
    sold_by = market.offers.get(job.model_slug, ())
    if job.open_provider is not None:
        return [name for name in sold_by if name == job.open_provider]

    def rank(name: str) -> tuple[int, Decimal | float]:
        failed = failures[name].count if name in failures else 0
        match job.route:
            case Route.ORDER:
                return failed, 0
            case Route.PRICE:
                return failed, _price_rank(price(job.id, name))
            case Route.LATENCY:
                return failed, _latency_rank((name, job.model_slug), market, busy)

    # Sorting is stable: where ranks are equal, the order of preference stays.
    return sorted(candidates(job, sold_by, failures), key=rank)


def _price_rank(price_usd: Decimal | None) -> Decimal:
    """What has no known price comes last: it may be anything."""
    return DEAREST if price_usd is None else price_usd


def _latency_rank(offer: OfferKey, market: Market, busy: Collection[OfferKey]) -> float:
    """Seconds; nobody has measured an offer until somebody goes there, so one job at a time does."""
    if offer in market.latencies:
        return market.latencies[offer]
    return math.inf if offer in busy else 0.0


def _first(job: Waiting, ranked: Sequence[str], market: Market, probes: Collection[OfferKey]) -> Pick | None:
    """The first that lets the job through; an open attempt passes every breaker: asking costs nothing."""
    for name in ranked:
        offer = (name, job.model_slug)
        if job.open_provider is not None:
            return Pick(job.id, name)
        if offer in probes:
            return Pick(job.id, name, is_probe=True)
        if offer not in market.shut and offer not in market.probed:
            return Pick(job.id, name)
    return None
