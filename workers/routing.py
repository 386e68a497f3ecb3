"""Which provider makes a job's picture.  Pure: it is told what is so and decides.

A job's candidates are the offers of its model that are on, that can express it, and
that have not failed it for good.  Where it names providers, only those.  They are
ranked by the job's own failures there, then by its route; the first that is to be had,
and that whoever pays can pay, gets the job.  What is begun is gone on with where it was
begun: it has its place there and its money is reserved.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from models.candidates import Wanting, candidates
from models.kinds import Kind
from models.lifecycle import OfferKey, Route
from models.ranking import ranked, supposed_latency_s
from models.scopes import Scope, campaign_scope, offer_scope, project_scope, provider_scope


class Waiting(Wanting, Protocol):
    """What routing needs to know of a waiting job."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def project_id(self) -> int:
        """Whose it is."""

    @property
    def campaign_id(self) -> int:
        """What it belongs to; 0 for nothing."""

    @property
    def model_slug(self) -> str:
        """What it asks for."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """How it is to be made; some prices depend on it."""

    @property
    def route(self) -> Route:
        """By what its candidates are ranked."""

    @property
    def open_provider(self) -> str | None:
        """Who has its open attempt; None when it has none."""


@dataclass(frozen=True, slots=True)
class Market:
    """What is so now.

    Attributes:
        offers: the providers that sell each model and are on, in the order of preference.
        queues: the queue whose workers serve each provider; several share one, and its slots.
        free_slots: jobs the workers of each queue may still take.
        places: jobs that may still be in flight in each scope; one that is not there takes any number.
        purses: dollars that each scope may still reserve; one that is not there may reserve any sum.
        shut: offers to which nothing new goes: their breaker lets nobody through, they are paused, or their
            provider asked for quiet.
        probed: offers whose breaker lets one job through, to see.
        busy: offers that are working for us.
    """

    offers: Mapping[str, Sequence[str]]
    queues: Mapping[str, str]
    free_slots: Mapping[str, int]
    places: Mapping[Scope, int] = field(default_factory=dict)
    purses: Mapping[Scope, Decimal] = field(default_factory=dict)
    shut: Collection[OfferKey] = frozenset()
    probed: Collection[OfferKey] = frozenset()
    busy: Collection[OfferKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Pick:
    """A job's turn.

    Attributes:
        job_id: which job.
        provider: where it goes.
        is_probe: it is the one that tries an offer.
        price_usd: what is to be reserved for it; None when nobody knows, or it was reserved before.
        is_begun: it goes on with its open attempt.
    """

    job_id: int
    provider: str
    is_probe: bool = False
    price_usd: Decimal | None = None
    is_begun: bool = False


Price = Callable[[Waiting, str], Decimal | None]
"""What a job would cost at a provider; None when nobody knows."""

Latencies = Callable[[], Mapping[OfferKey, float]]
"""Seconds, as lately measured; an offer that is not there has not been lately."""

BROKE_AFTER = 32
"""Jobs in a row for which a budget is too small, before nothing more of that payer is looked at: a million
may wait behind them, and hardly one of them costs less."""


class Allotment:
    """One round of handing out: what is left shrinks with each pick.

    Args:
        market: what is so at its beginning.
        price: asked for jobs that are routed by it, and for what is to be reserved.
        latencies: asked for jobs that are routed by them.
    """

    def __init__(self, market: Market, price: Price, latencies: Latencies) -> None:
        self._market = market
        self._price = price
        self._latencies = latencies
        self._slots = Counter(market.free_slots)
        self._places = dict(market.places)
        self._purses = dict(market.purses)
        self._probes = set(market.probed)
        self._busy = set(market.busy)
        self._answers: dict[Kind, bool] = {}
        self._unpaid: Counter[Scope] = Counter()

    @property
    def free_slots(self) -> int:
        """How many jobs all workers may still take."""
        return self._slots.total()

    def has_room(self, project_id: int, campaign_id: int) -> bool:
        """Whether one more job of a project, and of its campaign, may be in flight and can be paid."""
        return all(
            self._is_free(scope) and self._unpaid[scope] < BROKE_AFTER
            for scope in (project_scope(project_id), campaign_scope(campaign_id))
        )

    def serves(self, kind: Kind) -> bool:
        """Whether somebody would take a new job of this kind now; its price is not asked for."""
        if kind not in self._answers:
            sold_by = self._market.offers.get(kind.model_slug, ())
            self._answers[kind] = any(
                self._is_open((name, kind.model_slug)) for name in candidates(kind, sold_by)
            )
        return self._answers[kind]

    def place(self, job: Waiting, failures: Mapping[str, int]) -> Pick | None:
        """Where the job goes, if it can go anywhere now.

        Args:
            job: whose turn it is.
            failures: how often it has failed at which provider.
        """
        pick = self._gone_on_with(job) if job.open_provider is not None else self._begun(job, failures)
        if pick is not None:
            self._take(job, pick)
        return pick

    def _gone_on_with(self, job: Waiting) -> Pick | None:
        """An open attempt passes every breaker and limit: asking costs nothing, and its place is its own."""
        for name in self._market.offers.get(job.model_slug, ()):
            if name == job.open_provider and self._slots[self._market.queues[name]] > 0:
                return Pick(job.id, name, is_begun=True)
        return None

    def _begun(self, job: Waiting, failures: Mapping[str, int]) -> Pick | None:
        if not self.has_room(job.project_id, job.campaign_id):
            return None
        for name in self._ranked(job, failures):
            offer = (name, job.model_slug)
            if not self._is_open(offer):
                continue
            price_usd = self._price(job, name)
            if self._can_pay(job, price_usd):
                return Pick(job.id, name, is_probe=offer in self._probes, price_usd=price_usd)
        return None

    def _is_open(self, offer: OfferKey) -> bool:
        """Whether something new can go there."""
        provider, _ = offer
        return (
            self._slots[self._market.queues[provider]] > 0
            and offer not in self._market.shut
            and (offer in self._probes or offer not in self._market.probed)
            and self._is_free(provider_scope(provider))
            and self._is_free(offer_scope(offer))
        )

    def _is_free(self, scope: Scope) -> bool:
        return self._places.get(scope, 1) > 0

    def _can_pay(self, job: Waiting, price_usd: Decimal | None) -> bool:
        """Where there is a budget, nothing is bought whose price nobody knows."""
        payers = [scope for scope in _payers(job) if scope in self._purses]
        broke = [scope for scope in payers if price_usd is None or price_usd > self._purses[scope]]
        self._unpaid.update(broke)
        return not broke

    def _take(self, job: Waiting, pick: Pick) -> None:
        offer = (pick.provider, job.model_slug)
        self._slots[self._market.queues[pick.provider]] -= 1
        self._busy.add(offer)
        self._answers.clear()
        if job.open_provider is not None:  # its place and its money are its own already
            return
        for scope in (provider_scope(pick.provider), offer_scope(offer), *_payers(job)):
            if scope in self._places:
                self._places[scope] -= 1
            if scope in self._purses and pick.price_usd is not None:
                self._purses[scope] -= pick.price_usd
                self._unpaid[scope] = 0
        if pick.is_probe:
            self._probes.remove(offer)

    def _ranked(self, job: Waiting, failures: Mapping[str, int]) -> list[str]:
        def latency_s(name: str) -> float:
            offer = (name, job.model_slug)
            return supposed_latency_s(self._latencies().get(offer), is_busy=offer in self._busy)

        names = candidates(job, self._market.offers.get(job.model_slug, ()))
        return ranked(names, job.route, failures, lambda name: self._price(job, name), latency_s)


def _payers(job: Waiting) -> tuple[Scope, Scope]:
    return project_scope(job.project_id), campaign_scope(job.campaign_id)
