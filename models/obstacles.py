"""What keeps waiting jobs from going now, as far as it can be told without reading one of them.

Paused, halted or being stopped; no budget left; nobody who may make them gets anything new.
What is merely full makes room by and by, so it is no obstacle.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy.orm import Session

from models import closures, kinds, limits
from models.closures import Closures, Sellers
from models.limits import Terms
from models.scopes import Scope, campaign_scope, project_scope
from models.turns import Stream


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What stands still at one moment.

    Attributes:
        terms: of the projects and campaigns of which something waits.
        reserved_usd: of their budgets, for what is in flight.
        closures: what providers and offers get nothing new.
        sold_by: who sells a model.
    """

    terms: Mapping[Scope, Terms]
    reserved_usd: Mapping[Scope, Decimal]
    closures: Closures
    sold_by: Sellers

    def is_paused(self, scope: Scope) -> bool:
        """Whether nothing new of a project or a campaign is sent; one that is being stopped is paused too."""
        return scope in self.terms and self.terms[scope].is_paused

    def is_spent(self, scope: Scope) -> bool:
        """Whether nothing is left of its budget."""
        left_usd = self.terms[scope].left_usd if scope in self.terms else None
        return left_usd is not None and left_usd <= self.reserved_usd.get(scope, 0)

    def weight(self, scope: Scope) -> int:
        """Turns it gets for each turn of one of weight 1."""
        return self.terms[scope].weight if scope in self.terms else 1

    def may_go(self, stream: Stream) -> bool:
        """Whether nothing is known that keeps the jobs of the stream from their turn."""
        scopes = (project_scope(stream.project_id), campaign_scope(stream.campaign_id))
        return not any(self.is_paused(one) or self.is_spent(one) for one in scopes) and self.is_sold(stream)

    def is_sold(self, stream: Stream) -> bool:
        """Whether somebody who may make its jobs gets new ones."""
        kind = kinds.read(stream.kind)
        names = closures.makers(kind, self.sold_by)
        return bool(names) and self.closures.why_all(names, kind.model_slug) is None


def read(session: Session, streams: Collection[Stream], sold_by: Sellers) -> Obstacles:
    """Those of all who wait, as it is now."""
    reserved_usd: defaultdict[Scope, Decimal] = defaultdict(Decimal)
    for use in limits.in_use(session):
        for scope in (project_scope(use.project_id), campaign_scope(use.campaign_id)):
            reserved_usd[scope] += use.reserved_usd
    projects, campaigns = {one.project_id for one in streams}, {one.campaign_id for one in streams} - {0}
    # After what is in use, as `limits.terms` asks for.
    terms = limits.terms(session, projects, campaigns)
    return Obstacles(terms, reserved_usd, closures.read(session), sold_by)
