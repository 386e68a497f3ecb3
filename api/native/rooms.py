"""How many jobs providers and offers have and may have, as the dispatcher counts them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

import providers
from api.native.schemas.market import LimitAnswer
from api.native.schemas.words import plain_usd
from models import limits
from models.lifecycle import OfferKey
from models.limit import WHOLE, Limit
from models.widths import width


@dataclass(frozen=True, slots=True)
class Rooms:
    """What is in flight and what limits there are, at one moment."""

    in_flight: Counter[OfferKey]
    limits: Mapping[OfferKey, Limit]
    now: datetime

    def of_provider(self, name: str) -> LimitAnswer:
        """All that one provider makes."""
        count = sum(jobs for (provider, _), jobs in self.in_flight.items() if provider == name)
        return self._answer(self.limits.get((name, WHOLE)), count, providers.documented_limit(name))

    def of_offer(self, offer: OfferKey) -> LimitAnswer:
        """What is made by one offer."""
        return self._answer(self.limits.get(offer), self.in_flight[offer], None)

    def _answer(self, limit: Limit | None, in_flight: int, documented: int | None) -> LimitAnswer:
        """Of a row, or of what nobody ever limited."""
        row = limit or Limit(refusals=0)
        return LimitAnswer(
            in_flight=in_flight,
            max_in_flight=documented if row.max_in_flight is None else row.max_in_flight,
            documented_in_flight=documented,
            window=width(row.learnt_in_flight, row.learnt_at, self.now),
            refusals=row.refusals,
            quiet_until=row.quiet_until if limits.is_quiet(row, self.now) else None,
            per_second=row.per_second,
            price_usd=plain_usd(row.price_usd),
            paused_at=row.paused_at,
        )


def read(session: Session) -> Rooms:
    """As it is now."""
    in_flight: Counter[OfferKey] = Counter()
    for use in limits.in_use(session):
        in_flight[use.provider, use.model_slug] += use.places
    now = session.execute(select(func.clock_timestamp())).scalar_one()
    return Rooms(in_flight, limits.limits(session), now)
