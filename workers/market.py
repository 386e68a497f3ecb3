"""What is so of the workers, the offers and those who pay, read at one moment under the dispatcher's lock."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy.orm import Session

from broker import LOCAL, REMOTE, queue_of
from models import limits, queries
from models.lifecycle import OfferKey
from models.limit import WHOLE, Limit
from models.limits import Terms, Use
from models.scopes import Scope, campaign_scope, offer_scope, project_scope, provider_scope
from workers import breakers
from workers.breaker import Passage
from workers.routing import Market

BACKLOG_S = 3.0
"""A provider with a limit on requests a second gets jobs for so many seconds; others wait in Postgres."""


class Sold(Protocol):
    """What dispatch needs to know of an offer."""

    @property
    def provider(self) -> str:
        """Who sells it."""

    def price(self, parameters: Mapping[str, Any], /) -> Decimal | None:
        """US dollars, estimated, of a job with these parameters; None when unknown."""


Offers = Mapping[str, Sequence[Sold]]
"""Those that are on, by model, in the order of preference."""


@dataclass(frozen=True, slots=True)
class Slots:
    """What is in flight, and what the workers of each queue may still take."""

    used: Sequence[Use]
    free: Mapping[str, int]

    def has_free(self, provider: str) -> bool:
        """Whether a worker may take a job for this provider."""
        return self.free[queue_of(provider)] > 0

    @property
    def has_suspect(self) -> bool:
        """Whether a job runs with which workers have died."""
        return any(use.suspects for use in self.used)


def slots(session: Session) -> Slots:
    """Counted, not remembered."""
    used = limits.in_use(session)
    capacity = queries.capacity(session)
    free = {queue: capacity[queue] for queue in (REMOTE, LOCAL)}
    for use in used:
        free[queue_of(use.provider)] -= use.slots
    return Slots(used, {queue: max(0, count) for queue, count in free.items()})


def read(  # noqa: PLR0917 - each is a fact of its own
    session: Session,
    slots: Slots,
    offers: Offers,
    documented: Mapping[str, int],
    terms: Mapping[Scope, Terms],
    now: datetime,
) -> tuple[Market, Mapping[OfferKey, Limit]]:
    """The market, but for the latencies; and the limits it was made of.

    Args:
        session: the unit of work.
        slots: as they are.
        offers: who sells what.
        documented: jobs at a time, by what the providers themselves say.
        terms: of those who wait.
        now: the database's time.
    """
    rows = limits.limits(session)
    passages = breakers.passages(session)
    keys = [(offer.provider, slug) for slug, sold in offers.items() for offer in sold]
    shut = {offer for offer, who in passages.items() if who is Passage.NONE}
    shut |= {offer for offer in keys if _takes_nothing_new(rows, offer, now)}
    return Market(
        offers={slug: [offer.provider for offer in sold] for slug, sold in offers.items()},
        queues={provider: queue_of(provider) for provider, _ in keys},
        free_slots=slots.free,
        places=_places(slots.used, keys, rows, documented, now) | _rooms(slots.used, terms),
        purses=_purses(session, slots.used, terms, rows),
        shut=shut,
        probed={offer for offer, who in passages.items() if who is Passage.ONE},
        busy={(use.provider, use.model_slug) for use in slots.used if use.slots},
    ), rows


def _takes_nothing_new(rows: dict[OfferKey, Limit], offer: OfferKey, now: datetime) -> bool:
    provider, _ = offer
    return limits.is_paused(rows, offer) or limits.is_quiet(rows.get((provider, WHOLE)), now)


def _places(
    used: Iterable[Use],
    keys: Iterable[OfferKey],
    rows: Mapping[OfferKey, Limit],
    documented: Mapping[str, int],
    now: datetime,
) -> dict[Scope, int]:
    """Jobs that providers and offers may still get."""
    taken: Counter[Scope] = Counter()
    unsent: Counter[str] = Counter()
    for use in used:
        taken[provider_scope(use.provider)] += use.places
        taken[offer_scope((use.provider, use.model_slug))] += use.places
        unsent[use.provider] += use.unsent
    places: dict[Scope, int] = {}
    for offer in keys:
        provider, _ = offer
        whole = rows.get((provider, WHOLE))
        for scope, most in (
            (offer_scope(offer), limits.ceiling(rows.get(offer), None, now)),
            (provider_scope(provider), limits.ceiling(whole, documented.get(provider), now)),
        ):
            if most is not None:
                places[scope] = most - taken[scope]
        if whole is not None and whole.per_second is not None:
            scope = provider_scope(provider)
            backlog = max(1, math.ceil(whole.per_second * BACKLOG_S)) - unsent[provider]
            places[scope] = min(backlog, places.get(scope, backlog))
    return places


def _rooms(used: Iterable[Use], terms: Mapping[Scope, Terms]) -> dict[Scope, int]:
    """Jobs of projects and campaigns that may still be in flight."""
    taken: Counter[Scope] = Counter()
    for use in used:
        taken[project_scope(use.project_id)] += use.places
        taken[campaign_scope(use.campaign_id)] += use.places
    return {
        scope: one.max_in_flight - taken[scope]
        for scope, one in terms.items()
        if one.max_in_flight is not None
    }


def _purses(
    session: Session,
    used: Sequence[Use],
    terms: Mapping[Scope, Terms],
    rows: Mapping[OfferKey, Limit],
) -> dict[Scope, Decimal]:
    """Dollars that projects and campaigns may still reserve."""
    bound = limits.bound_usd(session, used, terms, rows)
    return {
        scope: _left(one.left_usd, bound[scope]) for scope, one in terms.items() if one.left_usd is not None
    }


def _left(usd: Decimal, bound_usd: Decimal | None) -> Decimal:
    """While something is in flight of which nobody knows what it costs, only what is free is sent."""
    return min(usd, Decimal(0)) if bound_usd is None else usd - bound_usd
